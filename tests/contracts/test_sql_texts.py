"""What the SQL of the schema keeps to: each text once, in the file of its name, and everybody who names a file names one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from migrations.definitions import read_definitions
from shared.database.connection import SCHEMA

ROOT = Path(__file__).parent.parent.parent
MIGRATIONS = ROOT / "migrations"
NUMBERED = sorted(file.name for file in MIGRATIONS.glob("*.sql"))
DEFINITIONS = read_definitions(MIGRATIONS / "functions")
NAMES = {definition.name for definition in DEFINITIONS}
MAKES = re.compile(r"\bcreate\s+(?:or\s+replace\s+)?(?:function|procedure|view|trigger)\s+(\w+)", re.IGNORECASE)
OURS = ("migrations", "shared", "services", "standalone", "bench", "tests", "docs")


def texts(*suffixes: str) -> list[tuple[Path, str]]:
    """Files of the project."""
    files = [file for folder in OURS for file in (ROOT / folder).rglob("*") if file.suffix in suffixes]
    return [(file, file.read_text(encoding="utf-8")) for file in sorted(files)]


def code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def test_numbers_have_no_gap() -> None:
    assert [int(name[:4]) for name in NUMBERED] == list(range(1, len(NUMBERED) + 1))


def test_the_services_need_the_newest_number() -> None:
    assert NUMBERED[-1] == SCHEMA


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_a_file_makes_what_it_is_named_after_and_nothing_else(definition: object) -> None:
    name, text = definition.name, definition.text  # type: ignore[attr-defined]
    assert MAKES.findall(code(text)) == [name]
    # So that it can be applied again, beside services that call it.
    assert re.search(rf"^create or replace (function|view|trigger) {name}\b", text, re.MULTILINE)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_a_file_says_which_others_it_needs(definition: object) -> None:
    name, text, needs = definition.name, definition.text, definition.needs  # type: ignore[attr-defined]
    mentioned = {other for other in NAMES - {name} if re.search(rf"\b{other}\b", code(text))}
    assert needs == sorted(mentioned)


def test_nothing_is_made_in_a_second_place() -> None:
    places = Counter(name for _, text in texts(".sql") for name in MAKES.findall(code(text)))
    assert {name: count for name, count in places.items() if name in NAMES and count != 1} == {}
    elsewhere = [file.name for file in MIGRATIONS.glob("*.sql") if MAKES.search(code(file.read_text(encoding="utf-8")))]
    assert elsewhere == []


def test_every_lock_has_a_number_of_its_own() -> None:
    keys = [
        number
        for definition in DEFINITIONS
        if definition.name.endswith("_key")
        for number in re.findall(r"select (\d+) \$\$", definition.text)
    ]
    assert len(keys) > 1
    assert len(set(keys)) == len(keys)


def test_files_that_pages_and_code_speak_of_are_there() -> None:
    named = [
        (file, name)
        for file, text in texts(".md", ".py", ".sql")
        for name in re.findall(r"\bmigrations/[\w/]+\.\w+", text)
    ]
    assert named
    assert [f"{file.relative_to(ROOT)}: {name}" for file, name in named if not (ROOT / name).exists()] == []
