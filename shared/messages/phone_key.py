"""One key per person, however the number is spelt: opt-outs, duplicates, stickiness and gaps compare it.

Four countries have two spellings of one mobile number, and WhatsApp knows the person under either: Brazil's ninth digit,
Mexico's 1 after 52, Argentina's 9 after 54, and Benin's 01, which came before all its numbers at the end of 2024. The key is
for comparing only; what is sent to is the number as it was given.
"""

from __future__ import annotations

import re

# Only mobiles that existed with eight digits (6 to 9 first) have a twin; 55 AA 9 3… would fall onto a landline.
_BRAZIL = re.compile(r"(55[0-9]{2})9([6-9][0-9]{7})")
_MEXICO = re.compile(r"521([0-9]{10})")
_ARGENTINA = re.compile(r"549([0-9]{10})")
_BENIN = re.compile(r"22901([0-9]{8})")
_TWO_SPELLINGS = ("55", "521", "549", "22901")
"""What the patterns begin with: to look for one of these takes a quarter of trying all four, and a campaign has many keys."""


def phone_key(phone: str) -> str:
    """The key of a number (digits, with or without ``@s.whatsapp.net``); a group's id is its own key."""
    digits = phone.removesuffix("@s.whatsapp.net")
    if not digits.startswith(_TWO_SPELLINGS):
        return digits
    if match := _BRAZIL.fullmatch(digits):
        return match[1] + match[2]
    if match := _MEXICO.fullmatch(digits):
        return "52" + match[1]
    if match := _ARGENTINA.fullmatch(digits):
        return "54" + match[1]
    if match := _BENIN.fullmatch(digits):
        return "229" + match[1]
    return digits
