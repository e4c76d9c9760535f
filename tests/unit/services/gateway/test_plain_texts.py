"""The short way of reading a body and the general way say the same of every body that the short way takes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.intake.fields import Wish, read_wish, take_phones
from services.gateway.intake.phones import read_recipients
from services.gateway.intake.plain_texts import read_plain_text
from services.gateway.send_requests import MAX_TEXT
from shared.messages import Kind
from shared.runtime.envelope import InvalidInput, read_json

PHONE = "15550100001"

_texts = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["", " ", "\x00", "\x00 ", "a\x00b"])
_phones = st.from_regex(r"\+?[0-9,@. ]{0,20}", fullmatch=True) | st.sampled_from(
    [PHONE, f"{PHONE}\n", f"+{PHONE}", "0155501"]
)
_values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _texts | _phones | st.lists(_phones, max_size=2)
_bodies = st.fixed_dictionaries(
    {"phone": _phones | _values, "message": _texts | _values},
    optional={"reference": _values, "lane": st.sampled_from(["bulk", "transactional", None]), "strange": _values},
)


def _general_way(raw: bytes) -> tuple[str, Wish] | None:
    """None: it is refused, or is for several."""
    try:
        values = read_json(raw)
        given = take_phones(values, form=False, limit=100)
        recipients = read_recipients(given, "")
        if recipients.several or not recipients.accepted:
            return None
        return recipients.accepted[0], read_wish(Kind.MESSAGE, values, {}, uploaded=False)
    except InvalidInput:
        return None


@given(_bodies)
@example({"phone": PHONE, "message": " \x00"})
@example({"phone": PHONE, "message": "later", "send_at": "2031-05-17T09:30:00Z"})
@example({"phone": f"{PHONE},{PHONE}", "message": "to two"})
@example({"phone": f"{PHONE}@g.us", "message": "to none"})
@example({"phone": PHONE, "message": "x" * (MAX_TEXT + 1)})
@example({"phone": PHONE, "message": "\x00" * (MAX_TEXT + 1) + "x"})
@example({"phone": PHONE, "message": "ï" * MAX_TEXT})
def test_what_the_short_way_takes_the_general_way_takes_alike(body: dict[str, object]) -> None:
    raw = orjson.dumps(body)
    found = read_plain_text(raw, "")
    if found is not None:
        assert found == _general_way(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'{"phone":"15550100001","message":"half',
        b'{"phone":"15550100001","message":"\xff"}',
        b'{"phone":"15550100001","message":"\\ud800"}',
        b'{"phone":"15550100001","message":"a","message":"b"}',
        b'{"phone":"15550100001","message":"a"} and more',
        b'{"phone":"15550100001","message":"\x01"}',
        b'\xef\xbb\xbf{"phone":"15550100001","message":"a"}',
    ],
)
def test_of_bodies_that_are_hardly_json(raw: bytes) -> None:
    found = read_plain_text(raw, "")
    assert found is None or found == _general_way(raw)


@pytest.mark.parametrize("message", ["Your code is 123456", " x ", "ï\U0001f600", "a\x00b"])
def test_a_text_to_one_plain_number_is_read_in_the_short_way(message: str) -> None:
    raw = orjson.dumps({"phone": PHONE, "message": message})
    assert read_plain_text(raw, "") == (f"{PHONE}@s.whatsapp.net", Wish({"message": message.replace("\x00", "")}))
