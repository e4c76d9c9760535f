"""What is defined anew whenever its text changes: functions, views and triggers, one in each file of ``functions/``.

A file makes what it is named after, by ``create or replace``. Its first line may say which others must be there before it::

    -- needs: gate_key, sendable

"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

_NEEDS = re.compile(r"-- needs: (.+)")


class WrongNeeds(Exception):
    """A file needs one that is not there, or itself by way of others."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One file of ``functions/``."""

    name: str
    text: str

    @property
    def needs(self) -> list[str]:
        said = _NEEDS.match(self.text)
        return said[1].split(", ") if said else []


def read_definitions(folder: Path) -> list[Definition]:
    """All of a folder, each after those that it needs. Raises WrongNeeds."""
    return in_order(Definition(file.stem, file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.sql")))


def in_order(definitions: Iterable[Definition]) -> list[Definition]:
    """Each after those that it needs. Raises WrongNeeds."""
    by_name = {definition.name: definition for definition in definitions}
    for definition in by_name.values():
        if missing := set(definition.needs) - set(by_name):
            raise WrongNeeds(f"functions/{definition.name}.sql needs {', '.join(sorted(missing))}, which no file makes")
    try:
        order = list(TopologicalSorter({name: item.needs for name, item in by_name.items()}).static_order())
    except CycleError as error:
        raise WrongNeeds(
            f"files of functions/ need each other in a circle: {' needs '.join(error.args[1][::-1])}"
        ) from error
    return [by_name[name] for name in order]
