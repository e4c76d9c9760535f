"""JSON is read as it is meant where it can be meant in one way; what is wrong has a place."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.strict_json import NotJson, parse_json, repeated_key

WHOLE = {"message": "Grüße 👋", "phone": ["15550100001"]}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(WHOLE).encode(),
        b"\xef\xbb\xbf" + orjson.dumps(WHOLE),
        json.dumps(WHOLE, ensure_ascii=False).encode("utf-16"),
        json.dumps(WHOLE, ensure_ascii=False).encode("utf-16-le"),
        json.dumps(WHOLE, ensure_ascii=False).encode("utf-32"),
        orjson.dumps(WHOLE).replace("👋".encode(), b"\xed\xa0\xbd\xed\xb1\x8b"),
    ],
    ids=["escaped", "byte order mark", "UTF-16", "UTF-16 without a mark", "UTF-32", "CESU-8"],
)
def test_every_encoding_of_unicode_is_read(body: bytes) -> None:
    assert parse_json(body) == WHOLE


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"cut \ud83d", "cut \x00"),
        (r"\ude00 cut", "\x00 cut"),
        (r"\ud83d\ud83d\ude00\ude00", "\x00\U0001f600\x00"),
        (r"\uD83Dx\uDE00", "\x00x\x00"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\x00"),
        (r"\"\ud83d\"", '"\x00"'),
    ],
)
def test_half_an_emoji_leaves_the_rest_whole(written: str, read: str) -> None:
    assert parse_json(b'{"message": "%b"}' % written.encode()) == {"message": read}


def test_half_an_emoji_as_bytes_too() -> None:
    assert parse_json(b'{"message": "cut \xed\xa0\xbd"}') == {"message": "cut \x00"}


@given(st.text(st.characters(), max_size=20), st.booleans())
def test_any_text_is_read_up_to_its_halves(text: str, ascii_only: bool) -> None:
    body = json.dumps({"a": text}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    # What stands in UTF-16 as a pair is a pair.
    paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    expected = "".join("\x00" if 0xD800 <= ord(one) < 0xE000 else one for one in paired)
    assert parse_json(body) == {"a": expected}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"phone": "1", "duration": NaN}', ["'duration'", "NaN", "line 1 column 28"]),
        (b'{"phone": "1",\n "duration": -Infinity}', ["'duration'", "Infinity", "line 2"]),
        (b'{"message": "a" "b"}', ["line 1 column 17"]),
        (b"{\"message\": 'a'}", ["'message'", "column 13"]),
        (b'{"message": "\xff"}', ["UTF-8"]),
        ('{"message": "ü"}'.encode("latin-1"), ["UTF-8"]),
        (b'{"message": "\\ud83"}', ["column"]),
        (b"[" * 5000, ["dep"]),
        (b"", ["empty"]),
    ],
)
def test_what_is_wrong_has_a_place(body: bytes, words: list[str]) -> None:
    with pytest.raises(NotJson) as error:
        parse_json(body)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"phone": "1", "phone": "2"}', "phone"),
        (b'{"phone": "1", "message": "phone"}', None),
        (b'{"phone": "1", "message": "\\"phone\\" it says"}', None),
        (b'{"phone": [{"a": 1}, {"a": 2}]}', None),
        (b'{"a": {"phone": 1}, "phone": {"phone": 2}}', None),
        (b"{}", None),
    ],
)
def test_a_key_given_twice(body: bytes, key: str | None) -> None:
    value: dict[str, Any] = parse_json(body)
    assert repeated_key(body, value) == key
