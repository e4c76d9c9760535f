"""The order in which functions, views and triggers are applied."""

from __future__ import annotations

import pytest

from migrations.definitions import Definition, WrongNeeds, in_order


def definition(name: str, *needs: str) -> Definition:
    head = f"-- needs: {', '.join(needs)}\n\n" if needs else ""
    return Definition(name, f"{head}create or replace function {name}() returns integer language sql return 1;\n")


def order(*definitions: Definition) -> list[str]:
    return [one.name for one in in_order(definitions)]


def test_each_comes_after_those_that_it_needs() -> None:
    found = order(definition("a", "c", "d"), definition("b"), definition("c", "d"), definition("d", "b"))
    assert found == ["b", "d", "c", "a"]


def test_only_the_first_line_says_what_is_needed() -> None:
    assert Definition("a", "-- What it is for.\n-- needs: b\n").needs == []


def test_a_circle_is_named() -> None:
    with pytest.raises(
        WrongNeeds, match=r"(a needs b needs c needs a|b needs c needs a needs b|c needs a needs b needs c)$"
    ):
        order(definition("a", "b"), definition("b", "c"), definition("c", "a"), definition("d"))


def test_what_no_file_makes_is_named() -> None:
    with pytest.raises(WrongNeeds, match=r"functions/a\.sql needs x, y"):
        order(definition("a", "y", "b", "x"), definition("b"))
