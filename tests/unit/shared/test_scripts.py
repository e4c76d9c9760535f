"""Scripts are put together from their pieces: in order, each once, and never in a circle."""

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.queue.scripts import FOLDER, ScriptError, load_scripts

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a script, or a piece: `write("include/clock", "local now = 1")`."""
    (tmp_path / "include").mkdir()

    def to(name: str, *lines: str) -> None:
        (tmp_path / f"{name}.lua").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    return to


def test_a_piece_stands_where_it_is_named_and_pieces_are_no_scripts(tmp_path: Path, write: Write) -> None:
    write("include/clock", "local now = 1")
    write("one", "local before = 0", "-- include: clock", "return now")
    assert {name: script.text for name, script in load_scripts(tmp_path).items()} == {
        "one": "local before = 0\nlocal now = 1\nreturn now\n"
    }


def test_what_a_piece_needs_stands_before_it_and_nothing_stands_twice(tmp_path: Path, write: Write) -> None:
    write("include/clock", "local now = 1")
    write("include/pauses", "-- include: clock", "local pause = now")
    write("one", "-- include: pauses", "-- include: clock", "-- include: pauses", "return pause")
    assert load_scripts(tmp_path)["one"].text == "local now = 1\nlocal pause = now\nreturn pause\n"


def test_each_script_has_its_own_copy(tmp_path: Path, write: Write) -> None:
    write("include/clock", "local now = 1")
    write("one", "-- include: clock")
    write("two", "-- include: clock")
    assert {script.text for script in load_scripts(tmp_path).values()} == {"local now = 1\n"}


def test_an_unknown_piece_names_the_script_and_who_wants_it(tmp_path: Path, write: Write) -> None:
    write("include/pauses", "-- include: clok")
    write("one", "-- include: pauses")
    with pytest.raises(ScriptError, match=r"one\.lua: pauses\.lua includes clok, and there is no include/clok\.lua"):
        load_scripts(tmp_path)


@pytest.mark.parametrize(
    ("pieces", "circle"),
    [
        ({"a": "a"}, "a -> a"),
        ({"a": "b", "b": "c", "c": "a"}, "a -> b -> c -> a"),
        ({"a": "b", "b": "b"}, "a -> b -> b"),
    ],
    ids=["itself", "of three", "behind another"],
)
def test_a_circle_names_the_script_and_the_way(
    tmp_path: Path, write: Write, pieces: dict[str, str], circle: str
) -> None:
    for piece, included in pieces.items():
        write(f"include/{piece}", f"-- include: {included}")
    write("one", "-- include: a")
    with pytest.raises(ScriptError, match=rf"one\.lua: .*circle: {circle}$"):
        load_scripts(tmp_path)


def test_only_a_line_of_its_own_includes(tmp_path: Path, write: Write) -> None:
    write("one", "local x = 1 -- include: nothing", "-- what to include: nothing")
    assert load_scripts(tmp_path)["one"].text.count("\n") == 2


def test_an_error_is_told_by_file_and_line(tmp_path: Path, write: Write) -> None:
    write("include/clock", "-- the clock", "local now = 1")
    write("one", "local before = 0", "-- include: clock", "return now")
    script = load_scripts(tmp_path)["one"]
    said = "ERR user_script:3: a nil value script: abc, on @user_script: 4."
    assert script.traced(said) == "ERR clock.lua:2: a nil value script: abc, on @one.lua:3."
    assert script.traced("on @user_script:99.") == "on @user_script:99."


def test_every_piece_is_included_by_two_scripts() -> None:
    scripts = load_scripts()
    for piece in sorted((FOLDER / "include").glob("*.lua")):
        users = [
            name
            for name, script in scripts.items()
            if any(place.startswith(f"{piece.name}:") for place in script.places)
        ]
        assert len(users) > 1, f"{piece.name} is shared by {users}"
