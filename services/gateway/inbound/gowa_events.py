"""What a webhook of the sender says: receipts of messages, a message that came to an account, or which number is behind a
hidden id. Pure; never raises, whatever it is given.

GOWA 8 and 9 post ``{"event", "device_id", "session_id", "timestamp", "payload"}``. GOWA 7 has no device, and its messages have
no ``event`` either: ``{"sender_id", "chat_id", "from", "message": {"text", "id", "replied_id"}, "timestamp"}``. Both name a
receipt ``message.ack`` with ``payload.ids`` and ``payload.receipt_type``. Everything else means nothing here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.gateway.intake.phones import PERSON
from services.gateway.text import clean
from shared.endpoints.identity import Endpoint
from shared.messages import Receipt

# `read-self` is our own account reading what others wrote, so it says nothing about a message of ours.
_RECEIPTS = {"delivered": Receipt.DELIVERED, "read": Receipt.READ}
_MAX_ID = 100  # characters; WhatsApp's have 18 to 32
# A device of the person may stand behind the number: 15550100001:12@s.whatsapp.net.
_PERSON_ID = re.compile(r"([1-9][0-9]{6,14})(?::[0-9]{1,5})?@s\.whatsapp\.net")
_GROUP_ID = re.compile(r"[0-9-]{5,64}@g\.us")
# An id by which WhatsApp hides a number. It is one person's for good, so it may be joined with the number once and kept.
_HIDDEN_ID = re.compile(r"([0-9]{1,20})(?::[0-9]{1,5})?@lid")
_GROUP = "@g.us"
_NO_PERSONS = (_GROUP, "@broadcast", "@newsletter")
# What somebody does in a chat to write there. To take a message back is not to write.
_WRITTEN = frozenset({"message", "message.reaction", "message.edited"})


@dataclass(frozen=True, slots=True)
class ReceiptEvent:
    """``recipient``: whose receipts they are, ``<digits>@s.whatsapp.net``, a group's id, or the hidden id where no number
    is said. ``account``: the JID of the account that reports, ''."""

    whatsapp_ids: tuple[str, ...]
    receipt: Receipt
    recipient: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """What somebody wrote to an account, of whatever kind. ``phone``: ``<digits>@s.whatsapp.net``, '' where WhatsApp hides the
    number; ``lid``: the hidden id, ``<digits>@lid``, '' where it is not said; both '' for a group and for what the account's
    own phone wrote, which bind nobody. ``whatsapp_id``: '' where it cannot be answered, as a reaction. ``text``: '' for none,
    and where it is nobody's word. ``replied_to``: WhatsApp id of the message it answers, ''. ``said_at``: by the account's
    clock; None: it is not said."""

    phone: str
    lid: str
    whatsapp_id: str
    text: str
    replied_to: str
    said_at: datetime | None


def is_signed(raw: bytes, header: str, secret: str) -> bool:
    """Whether ``X-Hub-Signature-256`` is the HMAC-SHA256 of exactly this body; compared in constant time."""
    expected = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(header.lower().encode("utf-8", "surrogateescape"), expected.encode())


def read_event(event: Mapping[str, Any]) -> ReceiptEvent | InboundMessage | None:
    """None: it means nothing here."""
    payload = _object(event.get("payload"))
    match event.get("event"):
        case "message.ack":
            return _receipt(payload, _string(event.get("device_id")))
        case str() as kind if kind in _WRITTEN:
            return _written(kind, payload)
        case None:
            said = _object(event.get("message"))
            names = {"id": "id", "body": "text", "replied_to_id": "replied_id"}
            return _written("message", {**event, **{name: said.get(old) for name, old in names.items()}})
    return None


def numbers_named(event: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(hidden id, phone) of each person whom the event names by both."""
    payload = _object(event.get("payload"))
    sender, chat = _string(payload.get("from")), _string(payload.get("chat_id"))
    pairs = [(payload.get("from_lid"), sender), (payload.get("chat_lid"), chat)]
    # In a chat of two the chat is the other one; but what our own phone has read or written comes from ourselves.
    ourselves = _phone(_string(event.get("device_id")))
    if payload.get("is_from_me") is not True and ourselves and _phone(sender) != ourselves:
        pairs.append((chat, sender))
    named = {(hidden_id(_string(lid)), _phone(phone)) for lid, phone in pairs}
    return {(lid, phone) for lid, phone in named if lid and phone}


def reporting_endpoint(event: Mapping[str, Any], endpoints: Iterable[Endpoint]) -> str:
    """The id of the account that posted it, '' where none or several of the settings could be it."""
    # The slot's name, which is what the settings usually have; older versions give the account's own id alone.
    names = {name for name in (event.get("session_id"), event.get("device_id")) if isinstance(name, str) and name}
    known = list(endpoints)
    found = [endpoint.id for endpoint in known if endpoint.device_id in names]
    # A sender that is asked without a device has one account alone; its events name it, the settings need not.
    found = found or [endpoint.id for endpoint in known if not endpoint.device_id]
    return found[0] if len(found) == 1 else ""


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""


def _receipt(payload: Mapping[str, Any], account: str) -> ReceiptEvent | None:
    receipt = _RECEIPTS.get(_string(payload.get("receipt_type")))
    given = payload.get("ids")
    ids = [_string(one) for one in given] if isinstance(given, list) else []
    wanted = tuple(dict.fromkeys(one for one in ids if 0 < len(one) <= _MAX_ID))
    if receipt is None or not wanted:
        return None
    return ReceiptEvent(wanted, receipt, _recipient(payload), _phone(account))


def _recipient(payload: Mapping[str, Any]) -> str:
    """In a group each member has receipts of its own; the message was to the group."""
    sender, chat = _string(payload.get("from")), _string(payload.get("chat_id"))
    if _GROUP_ID.fullmatch(chat):
        return chat
    if " in " in sender or chat.endswith(_NO_PERSONS):
        return ""
    return _phone(sender) or _phone(chat) or hidden_id(sender) or hidden_id(chat)


def _written(kind: str, source: Mapping[str, Any]) -> InboundMessage | None:
    sender, chat = _string(source.get("from")), _string(source.get("chat_id"))
    whatsapp_id = _id(source.get("id")) if kind == "message" else ""
    said_at = _moment(source.get("timestamp"))
    # Version 7 writes a group's messages as "<person> in <group>".
    in_group = chat.endswith(_GROUP) or " in " in sender
    if source.get("is_from_me") is True or in_group:
        known = whatsapp_id and (in_group or not chat.endswith(_NO_PERSONS))
        return InboundMessage("", "", whatsapp_id, "", "", said_at) if known else None
    # In a chat of two the chat is the other one, also where the sender is given by its hidden id.
    phone = _phone(sender) or _phone(chat)
    given = (source.get("from_lid"), source.get("chat_lid"), sender, chat)
    lid = next((one for one in map(hidden_id, map(_string, given)) if one), "")
    if chat.endswith(_NO_PERSONS) or not (sender or chat):
        return None
    # An old message that is changed is no new word.
    text = _string(source.get("body")) if kind == "message" else ""
    return InboundMessage(phone, lid, whatsapp_id, text, _id(source.get("replied_to_id")), said_at)


def _id(given: object) -> str:
    text = _string(given)
    return text if len(text) <= _MAX_ID else ""


def _phone(given: str) -> str:
    match = _PERSON_ID.fullmatch(given)
    return match[1] + PERSON if match else ""


def hidden_id(given: str) -> str:
    """``<digits>@lid`` without a device of the person's; '' where it is none."""
    match = _HIDDEN_ID.fullmatch(given)
    return match[1] + "@lid" if match else ""


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
