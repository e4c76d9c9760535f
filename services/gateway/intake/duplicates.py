"""Who was in a list before, and in which row: exact, and in memory that a list of a million cannot use up.

The first 100,000 stand in a dict, which is ten times as fast. Beyond that each takes 12 bytes and its share of an index, 20 MiB
for a million in place of the 120 MiB of a dict: a number has at most 15 digits, so it fits into 64 bits as it is.
``docs/decisions/0028`` has what else was measured.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

_FEW = 100_000
"""As many as a request may have by default (MAX_RECIPIENTS); a dict of so many takes 14 MiB."""


class FirstRows:
    """The rows in which people came first. Rows are counted by the caller, from 0 to 2^32 - 1."""

    def __init__(self, few: int = _FEW) -> None:
        self._few = few
        self._rows: dict[str, int] = {}
        self._packed: _PackedRows | None = None

    def first_row(self, key: str, row: int) -> int:
        """``row``, where nobody with this key came before; otherwise the row that did."""
        if self._packed is not None:
            return self._packed.first_row(_number_of(key), row)
        first = self._rows.setdefault(key, row)
        if len(self._rows) > self._few:
            self._packed = _PackedRows(2 * self._few)
            for known, seen in self._rows.items():
                self._packed.first_row(_number_of(known), seen)
            self._rows.clear()
        return first


def _number_of(key: str) -> int:
    """A person's digits as the number that they are. A group's id can have 41 characters: 64 bits of its hash, by which two of
    a million groups are taken for one in one of thirty million lists."""
    if key.isdecimal():
        return int(key)
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")


class _PackedRows:
    """A hash table in three arrays: numbers and their rows in the order they came, and an index of places among them."""

    def __init__(self, expected: int) -> None:
        # Place 0 is nobody's: in the index it means that nothing is there.
        self._numbers = array("Q", (0,))
        self._rows = array("I", (0,))
        self._index = array("I")
        self._grow(1 << max(expected, 4).bit_length())

    def first_row(self, number: int, row: int) -> int:
        slot = self._slot_of(number)
        if place := self._index[slot]:
            return self._rows[place]
        self._index[slot] = len(self._numbers)
        self._numbers.append(number)
        self._rows.append(row)
        if len(self._numbers) * 3 > len(self._index) * 2:
            self._grow(len(self._index) * 2)
        return row

    def _slot_of(self, number: int) -> int:
        """Where its place stands in the index, or would."""
        index, numbers = self._index, self._numbers
        mask = len(index) - 1
        # Of bytes, since their hash has a secret of this process in it: nobody can make up a list whose numbers all meet.
        slot = hash(number.to_bytes(8, "big")) & mask
        while (place := index[slot]) and numbers[place] != number:
            slot = (slot + 1) & mask
        return slot

    def _grow(self, slots: int) -> None:
        self._index = array("I", bytes(4 * slots))
        for place in range(1, len(self._numbers)):
            self._index[self._slot_of(self._numbers[place])] = place
