"""Every spelling of a number becomes one, or is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.intake.phones import PhoneRefused, normal_phone, read_recipients, split_list


@pytest.mark.parametrize(
    ("given_phone", "region", "digits"),
    [
        ("15550100001", "", "15550100001"),
        ("+15550100001", "ID", "15550100001"),
        ("0015550100001", "ID", "15550100001"),
        (" +1 (555) 010-0001 ", "", "15550100001"),
        ("+1.555.010.0001", "", "15550100001"),
        ("+44 (0) 7700 900123", "", "447700900123"),
        ("\u202a+1\u00a0555\u2011010\u20110001\u202c", "", "15550100001"),
        # Bare digits are international even where they would also be a number of the region.
        ("14155552671", "ID", "14155552671"),
        ("08123456789", "ID", "628123456789"),
        ("07700 900123", "GB", "447700900123"),
        ("15550100001@s.whatsapp.net", "", "15550100001"),
    ],
)
def test_a_number_in_any_spelling(given_phone: str, region: str, digits: str) -> None:
    assert normal_phone(given_phone, region) == f"{digits}@s.whatsapp.net"


@pytest.mark.parametrize("group", ["120363000000000001@g.us", "15550100001-1500000000@g.us"])
def test_a_group(group: str) -> None:
    assert normal_phone(group, "") == group


@pytest.mark.parametrize(
    ("given_phone", "region", "reason"),
    [
        ("", "", "empty"),
        ("   ", "", "empty"),
        ("alphabetic", "", "characters"),
        ("1555O100001", "", "characters"),
        ("15550+100001", "", "characters"),
        ("\u0661\u0665\u0665\u0665\u0660\u0661\u0660\u0660\u0660\u0660\u0661", "", "characters"),
        ("123", "", "too short"),
        ("+123456", "", "too short"),
        ("1234567890123456", "", "too long"),
        ("08123456789", "", "begins with 0"),
        ("0812", "ID", "not a phone number of ID"),
        ("+08123456789", "ID", "no country code"),
        ("000123456789", "ID", "no country code"),
        ("15550100001:12@s.whatsapp.net", "", "before @s.whatsapp.net"),
        ("123@newsletter", "", "only ids of"),
        ("status@broadcast", "", "only ids of"),
        ("15550100001@lid", "", "only ids of"),
        ("me@g.us", "", "not a group"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_with_its_reason(given_phone: str, region: str, reason: str) -> None:
    with pytest.raises(PhoneRefused, match=reason):
        normal_phone(given_phone, region)


@given(st.text())
def test_whatever_comes_is_a_number_or_refused(text: str) -> None:
    try:
        phone = normal_phone(text, "ID")
    except PhoneRefused:
        return
    name, _, server = phone.partition("@")
    assert server in ("s.whatsapp.net", "g.us")
    assert name.replace("-", "").isdigit()
    assert name.isascii()


def test_recipients_are_sorted_into_accepted_rejected_and_duplicates() -> None:
    recipients = read_recipients(["15550100001", "+1 555 010 0001", "abc", 5, "551187654321", "5511987654321"], "")
    assert recipients.accepted == ["15550100001@s.whatsapp.net", "551187654321@s.whatsapp.net"]
    assert [phone for phone, _ in recipients.rejected] == ["abc", "5"]
    assert recipients.duplicates == 2
    assert recipients.several


def test_one_recipient_is_not_several() -> None:
    assert not read_recipients(["15550100001"], "").several


def test_a_refused_value_is_shown_shortened_and_clean() -> None:
    [(shown, _)] = read_recipients(["x\x00" + "y" * 100], "").rejected
    assert shown == "x" + "y" * 39


@pytest.mark.parametrize(
    ("text", "parts"),
    [("15550100001", ["15550100001"]), ("a,b", ["a", "b"]), ("a, b,\n", ["a", " b"]), ("a\nb", ["a", "b"]), ("", [""])],
)
def test_a_list_in_one_string(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts
