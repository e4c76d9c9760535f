"""Which digits are a phone number, and of which country: the numbering plans as the package ``phonenumbers`` has them.

A number counts as one when its country code exists and the rest has a length that the country uses. That it follows the
country's pattern too is asked wherever something at its head is not as it should be: new ranges are given out before the
plans know them, and a number that nobody has harms nobody.

The package takes 20 µs a number, the length alone 0.5; a campaign of a million takes the short way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneMetadata, PhoneNumber, PhoneNumberDesc

MOST_DIGITS = 15
"""E.164; also what the sender takes for a person."""
FEWEST_DIGITS = 7
_CODES = frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
# The 1 of Mexican mobiles, abolished in 2019, is in the ids of those who joined WhatsApp before.
_MEXICAN_WITH_1 = re.compile(r"1[2-9][0-9]{9}")


class NoNumber(ValueError):
    """These digits are no phone number; the text says why."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """``lengths``: digits after the country code. ``suspect``: how a number begins that has to be looked at, since at home
    something is dialled before numbers that begins alike; ``trunk``: that, where it is the same for all numbers."""

    code: str
    lengths: frozenset[int]
    suspect: re.Pattern[str]
    pattern: re.Pattern[str]
    trunk: str

    def dialled(self, national: str, written: str) -> bool:
        """Whether ``written`` is how this number is dialled at home. Carriers' digits after the 0, which some countries have,
        are not told from digits of the number."""
        return self.code == "54" or written in (national, self.trunk + national)

    def fits(self, national: str) -> bool:
        return len(national) in self.lengths and self.pattern.fullmatch(national) is not None


@cache
def _plan(code: str) -> _Plan:
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = _metadata(region, int(code))
    # Argentina's 9 and 15 come and go with how a number is dialled, so each of its numbers is looked at.
    prefix = "" if code == "54" else f"0|{metadata.national_prefix_for_parsing or '0'}"
    return _Plan(
        code,
        frozenset(_general(metadata).possible_length),
        re.compile(prefix),
        _pattern(metadata),
        metadata.national_prefix or "",
    )


def _metadata(region: str, code: int = 0) -> PhoneMetadata:
    """Of a region, or of a country code that belongs to none, such as those of satellites. Raises LookupError."""
    found = (
        PhoneMetadata.metadata_for_nongeo_region(code, None)
        if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
        else PhoneMetadata.metadata_for_region(region, None)
    )
    if found is None:
        raise LookupError(region)
    return found


def _general(metadata: PhoneMetadata) -> PhoneNumberDesc:
    if metadata.general_desc is None:
        raise LookupError(metadata.id)
    return metadata.general_desc


def _pattern(metadata: PhoneMetadata) -> re.Pattern[str]:
    return re.compile(_general(metadata).national_number_pattern or "(?!)")


def _split(digits: str) -> tuple[str, str]:
    """Country code and the rest. Raises NoNumber."""
    for length in (1, 2, 3):
        if digits[:length] in _CODES:
            return digits[:length], digits[length:]
    raise NoNumber("it begins with no country code that exists")


def is_plainly_international(digits: str) -> bool:
    """Whether these digits are a number as they stand, with nothing at its head that would have to be looked at."""
    try:
        code, national = _split(digits)
    except NoNumber:
        return False
    plan = _plan(code)
    return len(national) in plan.lengths and plan.suspect.match(national) is None and len(digits) <= MOST_DIGITS


def international(digits: str) -> str:
    """The number without a trunk prefix after its country code (``62 0812…``, ``54 9 11 15…``). Raises NoNumber."""
    if len(digits) < FEWEST_DIGITS:
        raise NoNumber("it is too short; 7 to 15 digits with the country code are wanted")
    if digits.startswith("0"):
        raise NoNumber("no country code begins with 0")
    if is_plainly_international(digits):
        return digits
    code, national = _split(digits)
    found = code + (_of_argentina(national) if code == "54" else _without_trunk_zero(_plan(code), national))
    if len(found) > MOST_DIGITS:
        raise NoNumber("it is too long; 7 to 15 digits with the country code are wanted")
    return found


def _without_trunk_zero(plan: _Plan, national: str) -> str:
    if plan.code == "52" and _MEXICAN_WITH_1.fullmatch(national):
        return national
    if not national.startswith("0"):
        _check(plan, national)
        return national
    if national.startswith("00"):
        raise NoNumber("two zeros follow its country code")
    # Where zeros belong to numbers, as in Italy, the package keeps them.
    kept = _as_dialled(plan.code, national)
    if not plan.fits(kept) or not plan.dialled(kept, national):
        raise NoNumber(f"what follows country code {plan.code} is no number there")
    return kept


def _check(plan: _Plan, national: str) -> None:
    if len(national) not in plan.lengths:
        size = "short" if len(national) < min(plan.lengths) else "long"
        if min(plan.lengths) < len(national) < max(plan.lengths):
            raise NoNumber(f"no number of country code {plan.code} has {len(national)} digits after it")
        raise NoNumber(f"it is too {size} for a number of country code {plan.code}")
    # A prefix other than 0 is part of a number as often as not, so it is not taken away.
    if not plan.fits(national) or _as_dialled(plan.code, national) != national:
        raise NoNumber(f"what follows country code {plan.code} is no number there")


def _of_argentina(national: str) -> str:
    """Abroad a mobile has 9 before its area code; at home 15 after it, which some write as well."""
    plan = _plan("54")
    if plan.fits(national):
        return national
    for written in (national, national.removeprefix("9")):
        kept = _as_dialled("54", written)
        if plan.fits(kept):
            return kept
    raise NoNumber("what follows country code 54 is no number there")


def _as_dialled(code: str, national: str) -> str:
    try:
        number = phonenumbers.parse(f"+{code}{national}", None)
    except phonenumbers.NumberParseException:
        return ""
    return str(phonenumbers.national_significant_number(number))


def of_region(digits: str, region: str) -> str:
    """The international number behind one that is dialled within ``region`` (ISO code), or from there abroad, and begins
    with 0. Raises NoNumber."""
    abroad = dialled_abroad(digits, region)
    if abroad is not None:
        return abroad
    try:
        national = str(phonenumbers.national_significant_number(phonenumbers.parse(digits, region)))
    except phonenumbers.NumberParseException:
        raise NoNumber(f"it is not a phone number of {region}") from None
    plan = _plan(str(phonenumbers.country_code_for_region(region)))
    trunk = _metadata(region).national_prefix or ""
    if not plan.fits(national) or not (plan.dialled(national, digits) or digits == trunk + national):
        raise NoNumber(f"it is not a phone number of {region}")
    if len(plan.code + national) > MOST_DIGITS:
        raise NoNumber(f"it is not a phone number of {region}")
    return plan.code + national


def dialled_abroad(digits: str, region: str) -> str | None:
    """The international number that is reached by dialling these digits, a prefix for calls abroad first, in ``region``."""
    try:
        number = phonenumbers.parse(digits, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return None
    if number.country_code_source != CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return None
    found = f"{number.country_code}{phonenumbers.national_significant_number(number)}"
    return found if phonenumbers.is_possible_number(number) and len(found) <= MOST_DIGITS else None


def is_dialled_in(digits: str, region: str) -> bool:
    """Whether bare digits, which count as international, may as well be another number that is dialled within ``region``, as
    they stand or with a 0 before them that is gone: what a spreadsheet leaves of ``081234567890`` is a number of Japan, too."""
    dialling = _dialling(region)
    return (
        dialling.pattern.fullmatch(digits) is not None
        and phonenumbers.is_valid_number(PhoneNumber(country_code=int(dialling.code), national_number=int(digits)))
        and not (digits.startswith(dialling.code) and is_valid(digits))
    ) or any(
        dialling.prefix.match(dialled) is not None and _is_dialled_otherwise(dialled, digits, region)
        for dialled in (digits, "0" + digits)
    )


@dataclass(frozen=True, slots=True)
class _Dialling:
    """How a region dials: its country code, the pattern of its numbers, and what goes before them or before another
    country's; a 0 alone before them is no such prefix, since ``pattern`` tells as much."""

    code: str
    pattern: re.Pattern[str]
    prefix: re.Pattern[str]


@cache
def _dialling(region: str) -> _Dialling:
    metadata = _metadata(region)
    prefixes = [one for one in (metadata.national_prefix, metadata.international_prefix) if one and one != "0"]
    if metadata.national_prefix is None:
        # Numbers may begin with 0 themselves.
        prefixes.append("0")
    return _Dialling(
        str(metadata.country_code), _pattern(metadata), re.compile("|".join(f"(?:{one})" for one in prefixes) or "(?!)")
    )


def _is_dialled_otherwise(dialled: str, digits: str, region: str) -> bool:
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException:
        return False
    reached = f"{number.country_code}{phonenumbers.national_significant_number(number)}"
    return reached != digits and bool(phonenumbers.is_valid_number(number))


def is_valid(digits: str) -> bool:
    """Whether an international number follows its country's plan to the last digit."""
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}", None)))
    except phonenumbers.NumberParseException:
        return False
