"""The body that most requests have: a text and one plain number as JSON, and nothing else.

Read in one step, which takes a tenth of what the general way takes for the same (1 µs in place of 9). Whatever is not
exactly this goes the general way, which also finds the words for what is wrong with it; a test holds that both agree.
"""

from __future__ import annotations

import msgspec

from services.gateway.intake.fields import Wish
from services.gateway.intake.phones import plain_phone
from services.gateway.send_requests import MAX_TEXT
from services.gateway.text import clean


class _PlainText(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    phone: str
    message: str


_decode = msgspec.json.Decoder(_PlainText).decode


def read_plain_text(raw: bytes, region: str) -> tuple[str, Wish] | None:
    """The recipient and what is wanted; None: it is to be read in the general way."""
    if raw.count(b'"phone"') > 1 or raw.count(b'"message"') > 1:
        return None
    try:
        text = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    message = clean(text.message)
    phone = plain_phone(text.phone, region)
    if phone is None or len(text.message) > MAX_TEXT or not message.strip():
        return None
    return phone, Wish({"message": message})
