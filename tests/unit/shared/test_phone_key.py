"""One key per person, however the number is spelt."""

import pytest

from shared.messages.phone_key import phone_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5511987654321", "551187654321"),
        ("5215512345678", "525512345678"),
        ("5491123456789", "541123456789"),
        ("2290167123456", "22967123456"),
        ("15550100001@s.whatsapp.net", "15550100001"),
    ],
)
def test_both_spellings_have_one_key(one: str, other: str) -> None:
    assert phone_key(one) == phone_key(other)


def test_a_brazilian_landline_is_not_the_mobile_that_ends_alike() -> None:
    assert phone_key("5511932654321") != phone_key("551132654321")


@pytest.mark.parametrize("phone", ["15550100001", "521555010", "4915550100001", "54911234567890"])
def test_other_numbers_are_their_own_key(phone: str) -> None:
    assert phone_key(phone) == phone


def test_a_group_is_its_own_key() -> None:
    assert phone_key("120363000000000001@g.us") == "120363000000000001@g.us"


@pytest.mark.parametrize("digits", ["5511", "551187654321", "52155", "5490", "22901", "229012345678"])
def test_a_number_that_only_begins_like_one_with_two_spellings_is_its_own_key(digits: str) -> None:
    assert phone_key(digits) == digits
