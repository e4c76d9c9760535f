"""Who was in a list before is known exactly, however long the list is, and in little memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.intake.duplicates import FirstRows

GROUPS = [
    "120363000000000001@g.us",
    "15550100001-1600000000@g.us",
    "15550100001@g.us",
    "1" * 20 + "-" + "2" * 20 + "@g.us",
]
PEOPLE = ["15550100001", "1555010000", "5550100001", "999999999999999", "1000000"]


@pytest.mark.parametrize("few", [0, 3, 100])
def test_the_first_row_of_each_is_told(few: int) -> None:
    rows = FirstRows(few)
    keys = [*PEOPLE, *GROUPS]
    assert [rows.first_row(key, row) for row, key in enumerate(keys)] == [*range(len(keys))]
    assert [rows.first_row(key, 50) for key in reversed(keys)] == [*reversed(range(len(keys)))]


@given(
    st.lists(st.sampled_from(PEOPLE + GROUPS) | st.from_regex(r"[1-9][0-9]{6,7}", fullmatch=True)), st.integers(0, 20)
)
def test_it_is_what_a_dict_would_say(keys: list[str], few: int) -> None:
    rows, known = FirstRows(few), dict[str, int]()
    for row, key in enumerate(keys):
        assert rows.first_row(key, row) == known.setdefault(key, row)


def test_a_long_list_takes_no_more_than_its_numbers() -> None:
    people = 10_000
    tracemalloc.start()
    try:
        rows = FirstRows(few=1_000)
        for row in range(people):
            rows.first_row(str(6_281_000_000_000 + row * 7919), row)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 12 bytes each and their share of an index; in a dict they would be 120.
    assert kept < 30 * people


def test_a_long_list_is_told_exactly_across_all_the_sizes_it_grows_through() -> None:
    rows, people = FirstRows(few=1_000), 30_000
    keys = [str(6_281_000_000_000 + row * 7919) for row in range(people)]
    assert all(rows.first_row(key, row) == row for row, key in enumerate(keys))
    assert all(rows.first_row(key, people) == row for row, key in enumerate(keys))
