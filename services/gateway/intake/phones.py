"""Who a request goes to: every spelling of a number becomes digits in international form, or is refused with a reason.

A ``+`` or ``00`` says that the country code follows; a leading 0 is national and takes DEFAULT_REGION; bare digits are
international, unless they may as well be a number of DEFAULT_REGION whose 0 is gone: then nobody can know. What is not
certainly one number is never repaired into one, since that would be somebody else's. ``phone_spelling`` reads the text,
``numbering_plans`` knows the countries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.gateway.intake.duplicates import FirstRows
from services.gateway.intake.numbering_plans import (
    FEWEST_DIGITS,
    NoNumber,
    dialled_abroad,
    international,
    is_dialled_in,
    is_plainly_international,
    is_valid,
    of_region,
)
from services.gateway.intake.phone_spelling import NotOneNumber, read_spelling, without_marks
from services.gateway.text import clean
from shared.messages.phone_key import phone_key

PERSON = "@s.whatsapp.net"
EVERYONE = "@everyone"
_PLAIN = re.compile(r"[1-9][0-9]{6,14}")
_GROUP = re.compile(r"[0-9]{5,20}(-[0-9]{5,20})?@g\.us")
_HIDDEN = re.compile(r"[1-9][0-9]{4,19}@lid")
_BETWEEN_PHONES = re.compile(r"[,;\t\r\n]")
_LONGEST = 100  # characters; nobody writes a number with more
_TWO_NUMBERS = "it seems to hold two numbers; give each by itself, or one without spaces"
_SHOWN = 40  # characters of a refused value that are shown again


class PhoneRefused(ValueError):
    """This cannot be sent to; the text says why."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """``accepted``: ``<digits>@s.whatsapp.net`` or a group's id, each person once, in the order given. ``rejected``: pairs of
    what was given and why not. ``several``: more than one was given."""

    accepted: list[str]
    rejected: list[tuple[str, str]]
    duplicates: int
    several: bool


def plain_phone(given: str, region: str) -> str | None:
    """The phone as it is stored where the text is nothing but digits that need no further look; None otherwise."""
    if _PLAIN.fullmatch(given) and is_plainly_international(given) and not (region and is_dialled_in(given, region)):
        return given + PERSON
    return None


def normal_phone(given: str, region: str) -> str:
    """The phone as it is stored. ``region``: ISO country of numbers with a leading 0, '' for none. Raises PhoneRefused."""
    if (plain := plain_phone(given, region)) is not None:
        return plain
    if len(given) > _LONGEST:
        raise PhoneRefused("it is too long for a phone number")
    text = without_marks(given)
    if not text:
        raise PhoneRefused("it is empty")
    try:
        return _normal_id(text) if "@" in text else _digits(text, region) + PERSON
    except (NotOneNumber, NoNumber) as error:
        raise PhoneRefused(str(error)) from None


def _digits(text: str, region: str) -> str:
    spelt = read_spelling(text)
    heads = list(_heads_of_two(spelt.groups))
    try:
        found = _resolved(spelt.digits, spelt.plus, region)
    except NoNumber:
        if heads:
            raise NotOneNumber(_TWO_NUMBERS) from None
        raise
    # A few countries have numbers so long that their groups could be two.
    if heads and (not is_valid(found) or any(_is_number(head, spelt.plus, region) for head in heads)):
        raise NotOneNumber(_TWO_NUMBERS)
    return found


def _heads_of_two(groups: Sequence[str]) -> Iterator[str]:
    """What stands before each cut between two groups that leaves enough digits for a number on either side."""
    left = sum(map(len, groups))
    head = ""
    for group in groups:
        head += group
        left -= len(group)
        if min(len(head), left) >= FEWEST_DIGITS:
            yield head


def _is_number(digits: str, plus: bool, region: str) -> bool:
    try:
        _resolved(digits, plus, region)
    except NoNumber:
        return False
    return True


def _resolved(digits: str, plus: bool, region: str) -> str:
    """The international number that is meant by these digits. Raises NoNumber."""
    if plus:
        return international(digits.removeprefix("00"))
    if digits.startswith("00"):
        return _abroad(digits, region)
    if digits.startswith("0"):
        if not region:
            raise NoNumber("it begins with 0; write it with the country code (or set DEFAULT_REGION)")
        return of_region(digits, region)
    found = international(digits)
    if region and is_dialled_in(digits, region):
        raise NoNumber(f"it may be a number of {region} as well; write it with + and the country code, or with its 0")
    return found


def _abroad(digits: str, region: str) -> str:
    """What follows the prefix for calls abroad: 00, or where ``region`` dials another one, such as Australia's 0011, that."""
    dialled = dialled_abroad(digits, region) if region else None
    try:
        found = international(digits[2:])
    except NoNumber:
        if dialled is None:
            raise
        return dialled
    if dialled not in (None, found):
        raise NoNumber(f"dialled in {region} it is another number; write it with +")
    return found


def _normal_id(text: str) -> str:
    name, _, server = text.partition("@")
    if server == "s.whatsapp.net":
        if not _PLAIN.fullmatch(name):
            raise PhoneRefused("before @s.whatsapp.net 7 to 15 digits with the country code are wanted")
        return international(name) + PERSON
    if server == "g.us":
        if not _GROUP.fullmatch(text):
            raise PhoneRefused("it is not a group's id")
        return text
    raise PhoneRefused("only ids of persons (@s.whatsapp.net) and groups (@g.us) can be sent to")


def normal_mention(given: str, region: str) -> str:
    """Who is mentioned, as the sender takes it: digits, ``@everyone``, or the hidden id of somebody in a group (``@lid``).
    Raises PhoneRefused."""
    text = without_marks(given)
    if text == EVERYONE or _HIDDEN.fullmatch(text):
        return text
    phone = normal_phone(text, region)
    if not phone.endswith(PERSON):
        raise PhoneRefused("a group cannot be mentioned")
    return phone.removesuffix(PERSON)


def split_list(text: str) -> list[str]:
    """The parts of a list written with commas, semicolons, tabs or line ends; empty parts are dropped."""
    parts = _BETWEEN_PHONES.split(text)
    return [part for part in parts if part.strip()] if len(parts) > 1 else parts


def shown(refused: str) -> str:
    """A refused value for its sender to recognise: short, and with signs that nobody could see written out."""
    visible = (one if one.isprintable() else f"\\u{ord(one):04x}" for one in clean(refused[: 2 * _SHOWN]))
    return "".join(visible)[:_SHOWN]


def read_recipients(given: Sequence[object], region: str) -> Recipients:
    """Sorts what was given into accepted, rejected and duplicates. Takes 0.2 s for 100,000: not for the event loop."""
    accepted: list[str] = []
    rejected: list[tuple[str, str]] = []
    duplicates = 0
    first_rows = FirstRows()
    for row, one in enumerate(given):
        if not isinstance(one, str):
            rejected.append((clean(str(one))[:_SHOWN], "a string is wanted"))
            continue
        try:
            phone = normal_phone(one, region)
        except PhoneRefused as error:
            rejected.append((shown(one), str(error)))
            continue
        key = phone_key(phone)
        # The very same text, mostly: kept twice, 100,000 of them would be 6 MB more.
        if first_rows.first_row(one if key == one else key, row) == row:
            accepted.append(phone)
        else:
            duplicates += 1
    return Recipients(accepted, rejected, duplicates, len(given) > 1)
