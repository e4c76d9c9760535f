"""The fields of a form out of its pairs of name and text: ``phone``, ``phone[]`` and ``phone[3]`` are one field.

PHP's http_build_query and JavaScript's qs number the items of a list. They count by their numbers, in whatever order they come;
an item without a number follows the highest one before it. No list is made as long as a number says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import itemgetter

from shared.runtime.envelope import InvalidInput

_ITEM = re.compile(r"([^\[\]]+)\[([0-9]*)\]")
_LONGEST_INDEX = 9  # digits; a list is bounded by its items


def plain_name(name: str) -> str:
    """The field that a name of a form belongs to. Raises InvalidInput naming it where it is deeper than a list."""
    return _field_and_index(name)[0]


def fields_of(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The texts of each field in their order. Raises InvalidInput naming a field that is no plain list."""
    found: dict[str, list[tuple[int, str]]] = {}
    highest: dict[str, int] = {}
    for name, text in pairs:
        field, given = _field_and_index(name)
        index = highest.get(field, -1) + 1 if given is None else given
        highest[field] = max(index, highest.get(field, -1))
        found.setdefault(field, []).append((index, text))
    return {field: [text for _, text in sorted(items, key=_index)] for field, items in found.items()}


_index = itemgetter(0)


def _field_and_index(name: str) -> tuple[str, int | None]:
    """None: it has no number."""
    if not name.endswith("]"):
        return name, None
    item = _ITEM.fullmatch(name)
    if item is None:
        field = name.partition("[")[0] or name
        raise InvalidInput(
            (field[:100], f"'{name[:100]}' is no item of a list; {field[:100]}[] or {field[:100]}[0] is wanted")
        )
    field, index = item[1], item[2]
    if len(index) > _LONGEST_INDEX:
        raise InvalidInput((field[:100], f"a number of more than {_LONGEST_INDEX} digits is no place in a list"))
    return field, int(index) if index else None
