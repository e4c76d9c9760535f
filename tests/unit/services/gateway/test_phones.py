"""Every spelling of a number becomes one, or is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.intake.phones import PhoneRefused, normal_mention, normal_phone, read_recipients, split_list


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
        # A column of numbers that was read as decimals.
        ("15550100001.0", "", "15550100001"),
        ("6281234567890.00", "", "6281234567890"),
        ("6.281.234.567.890", "", "6281234567890"),
        # What is dialled at home between country code and number, but not where it belongs to the number.
        ("+62 0812 3456 7890", "", "6281234567890"),
        ("62081234567890@s.whatsapp.net", "", "6281234567890"),
        ("0062 0812 3456 7890", "", "6281234567890"),
        ("+36 06 20 123 4567", "", "36201234567"),
        ("+55 0 11 98765 4321", "", "5511987654321"),
        ("+39 06 698 12345", "", "390669812345"),
        ("+39 (0)6 698 12345", "", "390669812345"),
        ("+225 07 12 34 56 78", "", "2250712345678"),
        ("07 12 34 56 78", "CI", "2250712345678"),
        # Argentina's 15 and 9, Mexico's 1.
        ("54 9 11 15 2345 6789", "", "5491123456789"),
        ("+54 11 15-2345-6789", "", "5491123456789"),
        ("+54 9 011 15 2345-6789", "", "5491123456789"),
        ("011 15 2345-6789", "AR", "5491123456789"),
        ("+54 11 1523-4567", "", "541115234567"),
        ("+52 1 55 1234 5678", "", "5215512345678"),
        # What nobody sees, and what spreadsheets put around.
        ("\ufeff15550100001", "", "15550100001"),
        ("+1\u200b555\u20600100001\u200e\u200f", "", "15550100001"),
        ("\u2066+1\u202f555\u3000010\u20020001\u2069", "", "15550100001"),
        ("'+6281234567890", "", "6281234567890"),
        ('"15550100001"', "", "15550100001"),
        ("tel:+1-555-010-0001", "", "15550100001"),
        ("\uff0b1\uff08555\uff09010\uff0d0001", "", "15550100001"),
        ("(+62) 812-3456-7890", "", "6281234567890"),
        ("+49 30/5550100", "", "49305550100"),
        ("030/5550100", "DE", "49305550100"),
        ("0664/1234567", "AT", "436641234567"),
        ("919876543210", "IN", "919876543210"),
        ("011 62 812 3456 7890", "US", "6281234567890"),
        ("0011 65 8123 4567", "AU", "6581234567"),
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
        ("15550100001@c.us", "", "only ids of"),
        # Two in a cell, a range, an extension: glued together they would be somebody else's.
        ("+49 30 5550100/01", "", "extension"),
        ("+49 30 5550100-01", "", "extension"),
        ("+49 30 5550100 / 5550101", "", "two numbers"),
        ("030 5550100/5550", "DE", "two numbers"),
        ("5550101 5550102", "", "two numbers"),
        ("4930123 4930124", "", "two numbers"),
        ("+4930123 4930124", "", "two numbers"),
        ("0812345 0812346", "ID", "two numbers"),
        ("+1 555 010 0001 / +1 555 010 0002", "", "more than one"),
        ("15550100001\t15550100002", "", "more than one"),
        ("15550100001;15550100002", "", "more than one"),
        ("15550100001\n15550100002", "", "more than one"),
        ("15550100001 or 15550100002", "", "characters"),
        ("+1 555 010 0001 ext. 5", "", "extension"),
        ("+15550100001x12", "", "extension"),
        ("+15550100001#12", "", "extension"),
        ("1. 5550100001", "", "characters"),
        ("1) 5550100001", "", "characters"),
        ("1 - 5550100001", "", "number of a list"),
        ("-15550100001", "", "characters"),
        ("15550100001-", "", "characters"),
        # What spreadsheets make of numbers.
        ("1.55501E+10", "", "shortened"),
        ("1,55501e10", "", "shortened"),
        ("155501000.01", "", "decimal"),
        ("15550100.5", "", "decimal"),
        ("62812345.000", "", "decimal"),
        # Country codes that do not exist, and lengths that no number there has.
        ("999123456789", "", "no country code that exists"),
        ("+2101234567", "", "no country code that exists"),
        ("+62 812", "", "too short"),
        ("15550100", "", "too short"),
        ("155501000011", "", "too long"),
        ("+44 20 1234 567890", "", "too long"),
        ("87015550100", "KZ", "country code 870"),
        # At their heads they are no numbers of that country.
        ("+11555010000", "", "country code 1 "),
        ("+10555010000", "", "country code 1 "),
        ("+62 00 812 3456 78", "", "two zeros"),
        ("+34 0 912 345 678", "", "country code 34"),
        # A carrier's digits may follow the 0, or digits of the number: Colombia's 3, Brazil's 15.
        ("+57 0 321 123 4567", "", "country code 57"),
        ("0321 123 4567", "CO", "not a phone number of CO"),
        ("+55 015 11 98765 4321", "", "two numbers"),
        ("+550151198765432", "", "country code 55"),
        ("54 15 2345 6789", "", "country code 54"),
        ("0011 65 8123 4567", "", "country code 1"),
        # Without their 0, which a spreadsheet has dropped, they look like numbers of Japan, Iran, India and Egypt.
        ("81234567890", "ID", "ID as well"),
        ("9876543210", "IN", "98 has 8 digits|IN as well"),
        ("9123456789", "IN", "IN as well"),
        ("2025550123", "US", "US as well"),
        ("88612345678", "RU", "RU as well"),
        ("\u202e15550100001", "", r"U\+202E right-to-left override"),
        ("1555\u31640100001", "", r"U\+3164"),
        ("\uff11\uff15550100001", "", "characters"),
        ("1" * 101, "", "too long"),
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


def test_a_refused_value_shows_what_nobody_could_see() -> None:
    [(shown, reason)] = read_recipients(["1555\u31640100001"], "").rejected
    assert shown == "1555\u31640100001"
    [(shown, reason)] = read_recipients(["\u202e15550100001"], "").rejected
    assert (shown, "U+202E" in reason) == ("\\u202e15550100001", True)


@pytest.mark.parametrize(
    ("given_mention", "taken"),
    [
        ("15550100002", "15550100002"),
        ("+1 555 010 0002", "15550100002"),
        ("15550100002@s.whatsapp.net", "15550100002"),
        ("0812 3456 7890", "6281234567890"),
        ("@everyone", "@everyone"),
        ("204800000000001@lid", "204800000000001@lid"),
    ],
)
def test_a_mention_in_any_spelling(given_mention: str, taken: str) -> None:
    assert normal_mention(given_mention, "ID") == taken


@pytest.mark.parametrize(
    "wrong", ["bob", "0812", "", "15550100001,15550100002", "120363000000000001@g.us", "@all", "x@lid"]
)
def test_a_mention_of_nobody_is_refused(wrong: str) -> None:
    with pytest.raises(PhoneRefused):
        normal_mention(wrong, "ID")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("15550100001", ["15550100001"]),
        ("a,b", ["a", "b"]),
        ("a, b,\n", ["a", " b"]),
        ("a\nb", ["a", "b"]),
        ("", [""]),
        ("a;b\tc\r\nd", ["a", "b", "c", "d"]),
    ],
)
def test_a_list_in_one_string(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts
