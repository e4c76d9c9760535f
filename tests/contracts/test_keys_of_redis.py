"""The keys of Redis stand in one file: no other file of the product spells one, and none that it names is unused."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.messages import Lane
from shared.queue import keys
from shared.queue.keys import Keys, stream_of, stream_suffix
from shared.queue.scripts import FOLDER
from tests.servers import ROOT

PRODUCT = ("services", "shared", "standalone")
THE_FILE = ROOT / "shared/queue/keys.py"
KEYS = Keys("q")
KINDS = {key.removeprefix(KEYS.prefix) for key in KEYS.of_each_kind("<id>")} | {":wake", ":probe"}
WORDS = "|".join(sorted({kind.split(":")[1] for kind in KINDS}))


def product_files() -> list[Path]:
    return [file for folder in PRODUCT for file in sorted((ROOT / folder).rglob("*.py")) if file != THE_FILE]


def spelled(source: str) -> Iterator[str]:
    """Strings that are, or begin as, the part of a key after the prefix."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            # The braces stand for what is put in.
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
            if re.match(rf"({{}})?:({WORDS})(:|$)", text) or ("lane" in ast.unparse(node) and text.startswith(":{}")):
                yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and re.match(rf":({WORDS})(:|$)", str(node.value)):
            yield str(node.value)


def test_no_other_file_spells_a_key() -> None:
    found = {str(file.relative_to(ROOT)): list(spelled(file.read_text(encoding="utf-8"))) for file in product_files()}
    assert {name: strings for name, strings in found.items() if strings} == {}


@pytest.mark.parametrize(
    "source",
    ['x = ":bulk"', 'x = f"{prefix}:state:{a}"', 'x = f":{lane.value}"', 'x = f":endpoint:{a}:bulk"'],
)
def test_a_spelled_key_is_seen(source: str) -> None:
    assert list(spelled(source))


def test_only_the_queue_sends_commands_to_redis() -> None:
    """Others ask it for what they want to know. `group` and `way` are no commands."""
    command = re.compile(r"queue\.(ask|run|redis|keys|pool)\b|queue\.keys import")
    for file in product_files():
        if not file.is_relative_to(THE_FILE.parent):
            assert not command.findall(file.read_text(encoding="utf-8")), file


def test_every_name_is_used_by_the_product() -> None:
    asked = [file.read_text(encoding="utf-8") for file in product_files()]
    # Every key of the list is used: our rights are tried on it.
    asked.append(inspect.getsource(Keys.of_each_kind).replace("self.", "keys."))
    names = {*vars(KEYS), *(name for name in vars(Keys) if not name.startswith("_"))}
    assert not {name for name in names if not any(re.search(rf"keys\.{name}\b", text) for text in asked)}


def test_the_scripts_spell_only_keys_of_the_table() -> None:
    table = set(re.findall(r"^``P(:[^`]+)``", keys.__doc__ or "", re.MULTILINE)) | {":wake"}
    shapes = {re.sub(r"<[^>]+>", "*", kind) for kind in table}
    for file in FOLDER.rglob("*.lua"):
        code = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
        for start in re.findall(r"prefix \.\. '(:[a-z:]+)'", code):
            assert any(shape.startswith(start) for shape in shapes), f"{file.name} spells {start}"


def test_the_list_has_a_key_of_each_kind_of_the_table() -> None:
    table = set(re.findall(r"^``P(:[^`]+)``", keys.__doc__ or "", re.MULTILINE)) - {":wake", ":probe"}
    shapes = {re.sub(r"<[^>]+>", "*", kind) for kind in table}
    of_the_list = {re.sub(r"<id>", "*", kind) for kind in KINDS - {":wake", ":probe"}}
    lanes = "|".join(Lane)
    assert {re.sub(rf":endpoint:\*:({lanes})$", ":endpoint:*:*", kind) for kind in of_the_list} == {
        re.sub(r"^(:noted:\*):\*$", r"\1:0", kind) for kind in shapes
    }


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("endpoint", ["", "a-1"])
def test_a_suffix_tells_lane_and_endpoint(lane: Lane, endpoint: str) -> None:
    assert stream_of(stream_suffix(lane, endpoint)) == (lane, endpoint)
