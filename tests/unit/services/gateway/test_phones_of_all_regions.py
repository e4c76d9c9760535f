"""Numbers of every country, in every way that the library of their plans writes them: each becomes the number it is, or is
refused; never another one."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from services.gateway.intake.numbering_plans import FEWEST_DIGITS, MOST_DIGITS, is_plainly_international
from services.gateway.intake.phones import PERSON, PhoneRefused, normal_phone
from shared.messages.phone_key import phone_key

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
PEOPLE_HAVE = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)
WRITTEN_ABROAD = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.RFC3966)


def e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")


def examples(region: str) -> list[phonenumbers.PhoneNumber]:
    found = [phonenumbers.example_number_for_type(region, kind) for kind in PEOPLE_HAVE]
    return [one for one in found if one is not None and len(e164(one)) >= FEWEST_DIGITS]


def read(text: str, region: str = "") -> str | None:
    try:
        return normal_phone(text, region).removesuffix(PERSON)
    except PhoneRefused:
        return None


@pytest.mark.parametrize("region", REGIONS)
def test_a_number_written_with_its_country_code_is_read(region: str) -> None:
    for number in examples(region):
        digits = e164(number)
        written = [phonenumbers.format_number(number, way) for way in WRITTEN_ABROAD]
        for text in [digits, f"00{digits}", f"{digits}{PERSON}", f"{digits}.0", f"\ufeff{digits}\u200e", *written]:
            assert read(text) == digits, text
        for text in written:
            assert read(text, region) == digits, text


@pytest.mark.parametrize("region", REGIONS)
def test_a_number_as_it_is_dialled_at_home_is_read_or_refused(region: str) -> None:
    for number in examples(region):
        text = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        assert read(text, region) in ({e164(number)} if text.startswith("0") else {e164(number), None}), text
        assert read(text.lstrip("0"), region) in (e164(number), None), text


@pytest.mark.parametrize("region", REGIONS)
def test_a_zero_after_the_country_code_changes_nobody(region: str) -> None:
    """Where 0 is dialled before a number at home, it goes; where it belongs to numbers, it stays; elsewhere it is refused.
    Colombia dials a carrier's digit after it, so what follows there may be that."""
    for number in examples(region):
        national = phonenumbers.national_significant_number(number)
        if region != "CO" and phonenumbers.phonenumberutil.ndd_prefix_for_region(region, True) == "0":
            assert read(f"+{number.country_code} (0){national}") == e164(number)
            assert read(f"{number.country_code}0{national}") == e164(number)
        elif (found := read(f"{number.country_code}0{national}")) is not None:
            assert found in (e164(number), f"{number.country_code}0{national}")


@pytest.mark.parametrize("dialled_from", ["AU", "US", "JP", "SG", "ID", "DE", "FI"])
def test_a_number_as_it_is_dialled_from_abroad_is_read_or_refused(dialled_from: str) -> None:
    for region in REGIONS:
        for number in examples(region):
            text = phonenumbers.format_out_of_country_calling_number(number, dialled_from)
            assert read(text, dialled_from) in (e164(number), None), text


@given(st.from_regex(r"\+?[1-9][0-9]{4,16}", fullmatch=True))
def test_what_is_taken_is_possible_by_the_library_and_the_number_that_it_reads(text: str) -> None:
    found = read(text)
    if found is None:
        return
    assert FEWEST_DIGITS <= len(found) <= MOST_DIGITS
    if found.startswith("521"):
        assert found == text.removeprefix("+")
        return
    number = phonenumbers.parse(f"+{found}")
    assert phonenumbers.is_possible_number(number)
    assert e164(number) == found or found.startswith("54")


@given(st.sampled_from(REGIONS), st.integers(4, 12), st.integers(0, 10**12))
def test_what_the_short_way_takes_stays_as_it_is(region: str, length: int, number: int) -> None:
    digits = f"{phonenumbers.country_code_for_region(region)}{number:012}"[: length + 3]
    if not is_plainly_international(digits):
        return
    assert read(digits) == digits == e164(phonenumbers.parse(f"+{digits}"))


@given(st.sampled_from(REGIONS), st.integers(0, 9999))
def test_a_number_that_lost_its_zero_is_never_taken_for_a_foreign_one(region: str, last: int) -> None:
    for example in examples(region):
        lost = f"{str(example.national_number)[:-4]}{last:04}"
        number = phonenumbers.PhoneNumber(country_code=example.country_code, national_number=int(lost))
        assume(phonenumbers.is_valid_number(number))
        assert read(lost, region) in (None, e164(number))


@given(st.sampled_from(REGIONS), st.sampled_from([" ", "-", "\u00a0", "\u2011", " - "]), st.data())
def test_the_key_of_a_person_is_one_however_the_number_is_spelt(region: str, mark: str, data: st.DataObject) -> None:
    found = examples(region)
    assume(found)
    digits = e164(found[0])
    cut = data.draw(st.integers(len(digits) - 6, len(digits) - 3))
    spelt = read(f"+{digits[:cut]}{mark}{digits[cut:]}")
    assert spelt is not None
    assert phone_key(spelt) == phone_key(digits) == phone_key(phone_key(digits))
