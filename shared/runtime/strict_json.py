"""JSON as clients write it: what can be meant in one way only is read, all else is refused with its place.

orjson reads it, which takes UTF-8 alone. What it refuses is looked at again: a byte order mark and UTF-16 are taken off, and
half an emoji, which programs that cut texts by UTF-16 units leave behind (``\\ud83d``), becomes ``\\u0000``. Neither can be
stored, so whoever takes a text strips both, and a phone number with one in it stays wrong.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import orjson

# Escapes one after the other, so that none begins inside another: a whole pair, a half one, any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_HALF = re.compile("[\ud800-\udfff]")
_NO_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_KEY_BEFORE = re.compile(rb'"([^"\\]{1,60})"\s*:\s*-?$')
_MOST_KEYS = 50
"""No object of ours has as many."""
_LOOKED_BACK = 200  # bytes for the key before what is wrong


class NotJson(ValueError):
    """The text says what is wrong and where, by line and column."""


def parse_json(body: bytes) -> Any:
    """The value. Raises NotJson."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refused = error
    try:
        again = _without_halves(_as_utf_8(body))
        return orjson.loads(again)
    except UnicodeError:
        raise NotJson("it is not UTF-8") from None
    except orjson.JSONDecodeError as error:
        refused = error
    raise NotJson(_reason(again, refused))


def _as_utf_8(body: bytes) -> bytes:
    # Of RFC 4627: the first bytes tell the encoding.
    encoding = json.detect_encoding(body)
    if encoding == "utf-8":
        # CESU-8, in which each half of an emoji is encoded by itself, becomes whole by way of UTF-16.
        text = body.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
        return _HALF.sub(r"\\u0000", text.decode("utf-16-le", "surrogatepass")).encode()
    return body.decode(encoding).encode()


def _without_halves(body: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: rb"\u0000" if found[1] else found[0], body)


def _reason(body: bytes, error: orjson.JSONDecodeError) -> str:
    at = len(body.decode("utf-8", "replace")[: error.pos].encode())
    before = _KEY_BEFORE.search(body[max(0, at - _LOOKED_BACK) : at])
    field = f" in '{before[1].decode('utf-8', 'replace')}'" if before else ""
    number = _NO_NUMBER.match(body, at)
    if number:
        return (
            f"it is not valid JSON{field}: {number[0].decode()} is no number: line {error.lineno} column {error.colno}"
        )
    # What orjson says of some that are deeper than its 1,024 levels.
    said = str(error).replace("failed to allocate memory", "it is nested too deep")
    return f"it is not valid JSON{field}: {said}"


def repeated_key(body: bytes, value: dict[str, Any]) -> str | None:
    """A key that the object ``value``, read out of ``body``, has twice there; of its values only the last was read."""
    if len(value) > _MOST_KEYS or all(body.count(b'"%b"' % key.encode()) < 2 for key in value):
        return None
    # It may be a text as well; to know takes reading it again.
    try:
        pairs = json.loads(body, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    counted = Counter(key for key, _ in pairs)
    return next((key for key, count in counted.items() if count > 1), None)
