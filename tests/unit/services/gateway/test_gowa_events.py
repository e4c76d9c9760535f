"""What webhooks say, in the shapes of GOWA 7, 8 and 9; nothing that somebody posts makes reading them fail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.inbound.gowa_events import (
    InboundMessage,
    ReceiptEvent,
    is_signed,
    numbers_named,
    read_event,
    reporting_endpoint,
)
from shared.endpoints.identity import Endpoint
from shared.messages import Receipt

ANA = "15550100001@s.whatsapp.net"
HIDDEN = "204800000000001@lid"
GROUP = "120363000000000001@g.us"
ACCOUNT = "15550109999@s.whatsapp.net"
ACK = {
    "event": "message.ack",
    "device_id": "15550109999@s.whatsapp.net",
    "session_id": "sales-1",
    "timestamp": "2026-09-01T10:15:05Z",
    "payload": {
        "ids": ["3EB0A1B2C3D4E5F6071829", "3EB0A1B2C3D4E5F6071830"],
        "chat_id": HIDDEN,
        "from": ANA,
        "from_lid": HIDDEN,
        "receipt_type": "delivered",
        "receipt_type_description": "means the message was delivered to the device",
    },
}
TEXT = {
    "event": "message",
    "device_id": "15550109999@s.whatsapp.net",
    "session_id": "sales-1",
    "payload": {
        "id": "3A5F00112233445566AA",
        "timestamp": "2026-09-01T12:20:00+02:00",
        "is_from_me": False,
        "chat_id": ANA,
        "chat_lid": HIDDEN,
        "from": ANA,
        "from_lid": HIDDEN,
        "from_name": "Ana",
        "body": "stop",
        "replied_to_id": "3EB0A1B2C3D4E5F6071829",
    },
}
TEXT_OF_7 = {
    "sender_id": "15550100001",
    "chat_id": "15550100001",
    "from": ANA,
    "message": {"text": "stop", "id": "3A5F", "replied_id": "3EB0A1", "quoted_message": "Hello"},
    "pushname": "Ana",
    "timestamp": "2026-09-01T10:20:00Z",
}


def _with(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return event | {"payload": event["payload"] | changes}


@pytest.mark.parametrize(("kind", "receipt"), [("delivered", Receipt.DELIVERED), ("read", Receipt.READ)])
def test_a_receipt(kind: str, receipt: Receipt) -> None:
    ids = ("3EB0A1B2C3D4E5F6071829", "3EB0A1B2C3D4E5F6071830")
    assert read_event(_with(ACK, receipt_type=kind)) == ReceiptEvent(ids, receipt, ANA, ACCOUNT)


@pytest.mark.parametrize(
    ("changes", "recipient"),
    [
        ({"from": "15550100001:12@s.whatsapp.net"}, ANA),
        ({"from": HIDDEN, "chat_id": ANA}, ANA),
        ({"from": HIDDEN, "chat_id": HIDDEN}, HIDDEN),
        ({"from": None, "chat_id": None}, ""),
        ({"from": None, "chat_id": HIDDEN}, HIDDEN),
        ({"from": 15550100001}, HIDDEN),
        # Each member says so of a message to the group; none of them was written to.
        ({"chat_id": GROUP}, GROUP),
        ({"from": HIDDEN, "chat_id": GROUP}, GROUP),
        ({"chat_id": "status@broadcast"}, ""),
        ({"chat_id": "120363000000000003@newsletter"}, ""),
        ({"from": f"{ANA} in {GROUP}", "chat_id": "120363000000000001"}, ""),
    ],
)
def test_whose_receipt_it_is(changes: dict[str, Any], recipient: str) -> None:
    said = read_event(_with(ACK, **changes))
    assert isinstance(said, ReceiptEvent)
    assert said.recipient == recipient


@pytest.mark.parametrize(
    ("device", "account"),
    [("15550109999:32@s.whatsapp.net", ACCOUNT), ("sales-1", ""), (None, ""), ([ACCOUNT], "")],
)
def test_the_number_of_the_account_that_reports(device: object, account: str) -> None:
    said = read_event(ACK | {"device_id": device})
    assert isinstance(said, ReceiptEvent)
    assert said.account == account


def test_a_receipt_of_version_7_has_no_device() -> None:
    event = {
        "event": "message.ack",
        "timestamp": "2026-09-01T10:15:05Z",
        "payload": {
            "ids": ["3EB0"],
            "chat_id": "120363000000000001@g.us",
            "sender_id": ANA,
            "from": f"{ANA} in 120363000000000001@g.us",
            "receipt_type": "read",
        },
    }
    assert read_event(event) == ReceiptEvent(("3EB0",), Receipt.READ, GROUP)
    assert reporting_endpoint(event, [Endpoint("a", "http://a", "")]) == "a"
    assert reporting_endpoint(event, [Endpoint("a", "http://a", ""), Endpoint("b", "http://b", "")]) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_type": "read-self"},
        {"receipt_type": "played"},
        {"receipt_type": None},
        {"receipt_type": ["read"]},
        {"ids": []},
        {"ids": "3EB0"},
        {"ids": [None, 7, "", "x" * 101]},
        {"ids": None},
    ],
)
def test_receipts_that_say_nothing_about_a_message(changes: dict[str, Any]) -> None:
    assert read_event(_with(ACK, **changes)) is None


def test_ids_are_cleaned_and_each_counts_once() -> None:
    event = read_event(_with(ACK, ids=["A\x00", "A", 5, "B"]))
    assert isinstance(event, ReceiptEvent)
    assert event.whatsapp_ids == ("A", "B")


def test_a_text() -> None:
    said = InboundMessage(
        ANA, HIDDEN, "3A5F00112233445566AA", "stop", "3EB0A1B2C3D4E5F6071829", datetime(2026, 9, 1, 10, 20, tzinfo=UTC)
    )
    assert read_event(TEXT) == said


def test_a_text_of_version_7() -> None:
    said_at = datetime(2026, 9, 1, 10, 20, tzinfo=UTC)
    assert read_event(TEXT_OF_7) == InboundMessage(ANA, "", "3A5F", "stop", "3EB0A1", said_at)


NO_LID = {"from_lid": None, "chat_lid": None}


@pytest.mark.parametrize(
    ("changes", "phone", "lid"),
    [
        ({"from": "15550100001:12@s.whatsapp.net"}, ANA, HIDDEN),
        ({"from": HIDDEN, "chat_id": HIDDEN}, "", HIDDEN),
        ({"from": HIDDEN, "chat_id": HIDDEN} | NO_LID, "", HIDDEN),
        ({"from": HIDDEN} | NO_LID, ANA, HIDDEN),
        ({"chat_id": HIDDEN} | NO_LID, ANA, HIDDEN),
        ({"from_lid": "204800000000001:7@lid"}, ANA, HIDDEN),
        (NO_LID, ANA, ""),
        ({"from": "12@s.whatsapp.net", "chat_id": "x"} | NO_LID, "", ""),
    ],
)
def test_whose_text_it_is(changes: dict[str, Any], phone: str, lid: str) -> None:
    said = read_event(_with(TEXT, **changes))
    assert isinstance(said, InboundMessage)
    assert (said.phone, said.lid) == (phone, lid)


def _reaction(**changes: Any) -> dict[str, Any]:
    return _with(TEXT, body=None, reaction="👍", reacted_message_id="3EB0", **changes) | {"event": "message.reaction"}


@pytest.mark.parametrize(
    ("event", "whatsapp_id"),
    [
        (_with(TEXT, body=None, image={"path": "statics/media/x.jpe"}), "3A5F00112233445566AA"),
        (_with(TEXT, body=None, location={"degreesLatitude": 1.5}), "3A5F00112233445566AA"),
        (_with(TEXT, body=""), "3A5F00112233445566AA"),
        (_with(TEXT, body=None, id="x" * 101), ""),
        (_reaction(), ""),
        (TEXT | {"event": "message.edited"}, ""),
        (TEXT_OF_7 | {"message": {"text": "", "id": "3A5F"}, "image": {"media_path": "x"}}, "3A5F"),
        (TEXT_OF_7 | {"message": "stop"}, ""),
    ],
)
def test_whatever_somebody_writes_is_heard(event: dict[str, Any], whatsapp_id: str) -> None:
    said = read_event(event)
    assert isinstance(said, InboundMessage)
    assert (said.phone, said.whatsapp_id, said.text) == (ANA, whatsapp_id, "")


@pytest.mark.parametrize(
    "event",
    [
        _with(TEXT, is_from_me=True),
        _with(TEXT, chat_id="120363000000000001@g.us"),
        _with(TEXT, chat_id="120363000000000001@g.us", is_from_me=True),
        TEXT_OF_7 | {"from": f"{ANA} in 120363000000000001@g.us"},
    ],
)
def test_what_may_be_answered_and_binds_nobody(event: dict[str, Any]) -> None:
    said = read_event(event)
    assert isinstance(said, InboundMessage)
    assert (said.phone, said.lid, said.text, said.replied_to) == ("", "", "", "")
    assert said.whatsapp_id


@pytest.mark.parametrize(
    "event",
    [
        _with(TEXT, chat_id="status@broadcast"),
        _with(TEXT, chat_id="status@broadcast", is_from_me=True),
        _with(TEXT, chat_id="120363000000000003@newsletter"),
        _reaction(is_from_me=True),
        _reaction(chat_id="120363000000000001@g.us"),
        TEXT | {"event": "message.revoked"},
        TEXT | {"event": ["message"]},
        TEXT | {"payload": None},
        {"event": "call.offer", "payload": {"call_id": "C0FFEE01", "from": ANA}},
        {},
    ],
)
def test_what_means_nothing_to_us(event: dict[str, Any]) -> None:
    assert read_event(event) is None


OURSELVES, OUR_LID = "15550109999@s.whatsapp.net", "204800000000099@lid"


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (ACK, {(HIDDEN, ANA)}),
        (_with(ACK, from_lid=None), {(HIDDEN, ANA)}),
        (_with(ACK, chat_id=ANA), {(HIDDEN, ANA)}),
        (_with(ACK, chat_id="120363000000000001@g.us"), {(HIDDEN, ANA)}),
        (_with(ACK, receipt_type="read-self", **{"from": OURSELVES}, from_lid=OUR_LID), {(OUR_LID, OURSELVES)}),
        # Our own phone has read what was written in that chat.
        (_with(ACK, receipt_type="read", **{"from": OURSELVES}, from_lid=None), set()),
        (_with(ACK, **{"from": "15550109999:3@s.whatsapp.net"}, from_lid=None), set()),
        # Whose phone it was cannot be told.
        (_with(ACK, from_lid=None) | {"device_id": None}, set()),
        (_with(ACK, **{"from": HIDDEN}), set()),
        (TEXT, {(HIDDEN, ANA)}),
        (_with(TEXT, **{"from": HIDDEN}), {(HIDDEN, ANA)}),
        (_with(TEXT, is_from_me=True, from_lid=None, chat_lid=None, chat_id=HIDDEN, **{"from": OURSELVES}), set()),
        (_with(TEXT, is_from_me=True, **{"from": OURSELVES, "from_lid": OUR_LID}), {(OUR_LID, OURSELVES), (HIDDEN, ANA)}),
        (_with(TEXT, chat_id="120363000000000001@g.us", chat_lid=None), {(HIDDEN, ANA)}),
        ({}, set()),
    ],
)  # fmt: skip
def test_which_number_is_behind_a_hidden_id(event: dict[str, Any], named: set[tuple[str, str]]) -> None:
    assert numbers_named(event) == named


@pytest.mark.parametrize("moment", [None, 5, "", "yesterday", "2026-09-01T10:20:00", "0001-01-01T00:00:00+23:59"])
def test_a_time_that_is_none(moment: object) -> None:
    said = read_event(_with(TEXT, timestamp=moment))
    assert isinstance(said, InboundMessage)
    assert said.said_at is None


def test_the_account_is_known_by_its_slot_or_its_own_id() -> None:
    one, two = Endpoint("a", "http://one", "sales-1"), Endpoint("b", "http://one", "15550109999@s.whatsapp.net")
    other = Endpoint("c", "http://two", "sales-1")
    assert reporting_endpoint(ACK, [one]) == "a"
    assert reporting_endpoint({"device_id": "15550109999@s.whatsapp.net"}, [one, two]) == "b"
    assert reporting_endpoint(ACK, [one, other]) == "", "two senders have a slot of this name"
    assert reporting_endpoint(ACK, []) == ""
    # Named by nobody, since its sender has no other.
    assert reporting_endpoint(ACK, [Endpoint("d", "http://three", "")]) == "d"
    assert reporting_endpoint(ACK, [Endpoint("d", "http://three", ""), one]) == "a"
    assert reporting_endpoint(ACK | {"session_id": "x"}, [Endpoint("d", "http://three", ""), one]) == "d"
    assert reporting_endpoint({"session_id": ["sales-1"]}, [one]) == ""


def test_the_signature_is_of_the_exact_body() -> None:
    # The figure of a published example: HMAC-SHA256 of "Hello, World!" with this key.
    key, signature = "It's a Secret to Everybody", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert is_signed(b"Hello, World!", f"sha256={signature}", key)
    assert is_signed(b"Hello, World!", f"sha256={signature.upper()}", key)
    assert not is_signed(b"Hello, World! ", f"sha256={signature}", key)
    assert not is_signed(b"Hello, World!", signature, key)
    assert not is_signed(b"Hello, World!", f"sha1={signature}", key)
    assert not is_signed(b"Hello, World!", f"sha256={signature}", "another key")
    assert not is_signed(b"Hello, World!", "", key)
    assert not is_signed(b"Hello, World!", "sha256=\udcff\u00e9", key)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([ANA, HIDDEN, "stop"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_KEYS = (
    *("event", "payload", "message", "from", "chat_id", "body", "text", "ids", "receipt_type", "timestamp"),
    *("session_id", "device_id", "is_from_me", "replied_to_id", "replied_id", "id", "from_lid", "chat_lid"),
)
_LIKE = st.dictionaries(st.sampled_from(_KEYS), _JSON | st.sampled_from(["message", "message.ack", "delivered"]))


@given(event=_LIKE, payload=_LIKE)
def test_nothing_makes_it_fail(event: dict[str, Any], payload: dict[str, Any]) -> None:
    for whole in (event, event | {"payload": payload}, event | {"message": payload}):
        read_event(whole)
        numbers_named(whole)
        reporting_endpoint(whole, [Endpoint("a", "http://a", "x")])
