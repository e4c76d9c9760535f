"""From the text of one cell to the digits of one phone number: what people put between digits is dropped, and what could be
two numbers, or half of one, is refused. Nothing is glued together or shortened.

Invisible signs come with numbers that are copied from contacts, mails and spreadsheets and say nothing. The one that turns
the order of digits around (U+202E) does, so it is refused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202d\u2060-\u2064\u2066-\u2069\ufeff]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Other keyboards' dashes, plus and parentheses.
_PLAINER = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc", "-")
    | {"\uff0b": "+", "\uff08": "(", "\uff09": ")"}
)
_NEXT_CELL = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029,;|&\\\\]")
_SECOND_PLUS = re.compile(r"(?:[0-9][^0-9]*){7}\+")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'?")
_SCHEME = re.compile(r"tel:(?=\+)", re.IGNORECASE)
# What a column of numbers becomes when a program reads it as decimals.
_DECIMAL = re.compile(r"(\+?[0-9]+)\.0{0,2}")
_ONE_DOT = re.compile(r"[^.]*\.(?:[0-9]{1,2}|0+)")
_SHORTENED = re.compile(r"[0-9]+(?:[.,][0-9]+)?\s*[eE]\+?[0-9]+")
_EXTENSION = re.compile(r"[0-9]\s*(?:x|ext|extn|extension|#|\*)\.?\s*[0-9]+", re.IGNORECASE)
# Groups of digits, perhaps in parentheses, with little between them; a plus may stand at the head.
_IN_PARENTHESES = r"\( ?[0-9]+ ?\)"
_GROUP = rf"(?:{_IN_PARENTHESES}|[0-9]+)"
_NUMBER = re.compile(rf"(?P<plus>\+ ?)?{_GROUP}(?:(?: ?[-/] ?| {{1,3}}|\.){_GROUP}|(?<=\))[0-9]+|{_IN_PARENTHESES})*")
_PLUS_IN_PARENTHESES = re.compile(r"\(\+ ?([0-9]+)\)")
_COUNTED = re.compile(r"[0-9]{1,2} - ")
_BETWEEN = re.compile(r"[^0-9]+")
_AREA_CODE = 7  # digits before a /, country code included, at most; one less where neither + nor 0 says where it begins


class NotOneNumber(ValueError):
    """The text does not hold exactly one phone number; the text of the error says why."""


@dataclass(frozen=True, slots=True)
class Spelt:
    """``groups`` of digits as they were written, 0s at the head included; ``plus``: a + stood before them."""

    groups: tuple[str, ...]
    plus: bool

    @property
    def digits(self) -> str:
        return "".join(self.groups)


def without_marks(text: str) -> str:
    """The text of a cell without invisible signs, spaces around it, the quotes of a spreadsheet and the ``tel:`` of a link."""
    text = _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()
    if quoted := _QUOTED.fullmatch(text):
        text = next(part for part in quoted.groups() if part is not None).strip()
    return _SCHEME.sub("", text)


def read_spelling(text: str) -> Spelt:
    """``text``: as ``without_marks`` gives it. Raises NotOneNumber."""
    text = text.translate(_PLAINER)
    text = _PLUS_IN_PARENTHESES.sub(r"+\1", text, count=1) if text.startswith("(") else text
    if _SHORTENED.fullmatch(text):
        raise NotOneNumber("a spreadsheet has shortened it; format the column as text and fill it anew")
    if _NEXT_CELL.search(text) or _SECOND_PLUS.search(text):
        raise NotOneNumber("it seems to hold more than one number; give each by itself")
    if decimal := _DECIMAL.fullmatch(text):
        text = decimal[1]
    elif _ONE_DOT.fullmatch(text):
        raise NotOneNumber("it looks like a decimal number; format the column as text")
    number = _NUMBER.fullmatch(text)
    if number is None:
        raise NotOneNumber(_why_not(text))
    plus = number["plus"] is not None
    if not plus and _COUNTED.match(text):
        raise NotOneNumber("a number of a list may stand before it; give the phone number alone")
    _refuse_extension(text)
    return Spelt(tuple(_BETWEEN.sub(" ", text).split()), plus)


def _why_not(text: str) -> str:
    if _EXTENSION.search(text):
        return "it has an extension, which cannot be sent to"
    for character in text:
        if not character.isascii() or not character.isprintable():
            name = unicodedata.name(character, "").lower()
            return f"it has characters that do not belong to a phone number (U+{ord(character):04X} {name})".replace(
                " )", ")"
            )
    if re.fullmatch(r"[-+0-9 ()./]*", text):
        return "it has characters where they do not belong in one phone number"
    return "it has characters that do not belong to a phone number"


def _refuse_extension(text: str) -> None:
    """``555 0100/01`` and ``555 0100-01`` name a line of a switchboard, or two of them; ``030/5550100`` is one number."""
    head, dash, tail = text.rpartition("-")
    if dash and "-" not in head and len(tail.strip()) <= 2:
        raise NotOneNumber("it may have an extension, or name two numbers; write one number without - at its end")
    if "/" not in text:
        return
    head, _, tail = text.partition("/")
    before = _BETWEEN.sub("", head).removeprefix("00")
    area_code = _AREA_CODE if text[0] in "+0(" else _AREA_CODE - 1
    if "/" in tail or len(before) > area_code or len(_BETWEEN.sub("", tail)) < 4:
        raise NotOneNumber("it may have an extension, or name two numbers; write one number without /")
