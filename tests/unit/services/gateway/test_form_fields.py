"""Lists as PHP, qs and browsers write them into forms are lists; what is deeper is refused by name."""

from __future__ import annotations

import pytest

from services.gateway.intake.form_fields import fields_of
from shared.runtime.envelope import InvalidInput


def phones(*names: str) -> list[str]:
    """The place in ``names`` of each phone, in the order in which they are read."""
    return fields_of((name, str(place)) for place, name in enumerate(names))["phone"]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("phone", "phone"), "01"),
        (("phone[]", "phone[]"), "01"),
        (("phone[0]", "phone[1]", "phone[2]"), "012"),
        (("phone[2]", "phone[0]", "phone[1]"), "120"),
        (("phone[10]", "phone[9]"), "10"),
        (("phone[007]", "phone[8]"), "01"),
        (("phone[5]", "phone[]", "phone[3]"), "201"),
        (("phone[]", "phone", "phone[0]"), "021"),
        (("phone[0]", "phone[0]"), "01"),
        (("phone[999999999]", "phone[1]"), "10"),
    ],
)
def test_numbers_are_places(names: tuple[str, ...], order: str) -> None:
    assert "".join(phones(*names)) == order


def test_each_field_counts_for_itself() -> None:
    pairs = [("phone[1]", "a"), ("mentions[0]", "b"), ("message", "c"), ("phone[0]", "d"), ("mentions[]", "e")]
    assert fields_of(pairs) == {"phone": ["d", "a"], "mentions": ["b", "e"], "message": ["c"]}


@pytest.mark.parametrize(
    "name",
    [
        "phone[a]",
        "phone[-1]",
        "phone[0][number]",
        "phone[0][]",
        "phone[][]",
        "phone[ 1]",
        "phone[\u0661]",
        "phone[1e3]",
        "phone[1000000000]",
        "phone[" + "9" * 5000 + "]",
        "phone]",
        "phone[[0]]",
    ],
)
def test_what_is_deeper_than_a_list_is_named(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        fields_of([(name, "15550100001")])
    ((field, reason),) = error.value.errors
    assert field in ("phone", "phone]")
    assert reason


@pytest.mark.parametrize("name", ["[0]", "[]", "]"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InvalidInput):
        fields_of([(name, "x")])
