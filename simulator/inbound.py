"""Messages from people: posted to the webhook as GOWA v9 does, and kept in chat storage, where replies find them.

Asked for with ``POST /simulator/devices/{id}/inbound``:

| field | |
|---|---|
| ``phone`` or ``from`` | who writes: digits, or a JID (``@s.whatsapp.net``, or ``@lid`` for a sender without a number) |
| ``from_lid`` | the LID beside a number; with ``phone`` alone there is an invented one |
| ``chat_id``, ``chat_lid`` | the chat, when it is a group or is to be named otherwise |
| ``kind`` | ``text`` (usual), a kind of media, ``contact``, ``location``, ``reaction``, ``edited``, ``revoked`` |
| ``body`` | the text; the caption of media; the emoji of a reaction |
| ``target_id`` | the message that is reacted to, edited or revoked |
| ``replied_to_id``, ``quoted_body``, ``is_from_me``, ``from_name``, ``view_once``, ``forwarded`` | as in the payload |
| ``id``, ``timestamp`` | chosen ones; RFC 3339 or unix seconds |

Media are ``image``, ``video``, ``video_note``, ``audio``, ``document`` and ``sticker``; nothing can be downloaded.
A message of one's own (``is_from_me``) was typed on the phone: ``from`` is the account, the chat the person named.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulator.accounts import Account
from simulator.chat_storage import ChatStorage, Row
from simulator.names import lid_of, names_of
from simulator.webhook import Webhook, rfc3339

_PATHS: Mapping[str, str] = {
    "image": "jpe",
    "video": "mp4",
    "video_note": "mp4",
    "document": "pdf",
    "audio": "oga",
    "sticker": "webp",
}
_WITH_CAPTION = frozenset({"image", "video", "video_note", "document"})
_ABOUT_ANOTHER = frozenset({"reaction", "edited", "revoked"})
KINDS_IN = ("text", *_PATHS, "contact", "location", *sorted(_ABOUT_ANOTHER))
_SERVERS = ("@s.whatsapp.net", "@lid", "@g.us")
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("phone", "from", "from_lid", "chat_id", "chat_lid", "kind", "body", "target_id"), str),
    **dict.fromkeys(("replied_to_id", "quoted_body", "from_name", "id"), str),
    **dict.fromkeys(("is_from_me", "view_once", "forwarded"), bool),
    "timestamp": (str, int, float),
}


class InboundError(ValueError):
    """A message that makes no sense; the text says what would."""


@dataclass(frozen=True, slots=True)
class _Names:
    """Who wrote where, as GOWA names them."""

    sender: str
    sender_lid: str | None
    chat: str
    chat_lid: str | None

    def fields(self) -> dict[str, str]:
        named = {"chat_id": self.chat, "chat_lid": self.chat_lid, "from": self.sender, "from_lid": self.sender_lid}
        return {name: value for name, value in named.items() if value is not None}


class Inbound:
    """Takes what the control API asks for."""

    def __init__(self, webhook: Webhook, storage: ChatStorage) -> None:
        self._webhook = webhook
        self._storage = storage

    def receive(self, account: Account, content: Mapping[str, Any], addressing: str) -> dict[str, Any]:
        """Store and post the message; its id and the names in it. Raises InboundError."""
        _check(content)
        names = _names(account, content, addressing)
        kind, body = content.get("kind", "text"), content.get("body", "")
        timestamp = _timestamp(content.get("timestamp", time.time()))
        is_from_me = content.get("is_from_me", False)
        payload: dict[str, Any] = {
            "id": content.get("id") or "3A" + secrets.token_hex(9).upper(),
            "timestamp": rfc3339(timestamp),
            "is_from_me": is_from_me,
            **names.fields(),
            "from_name": content.get("from_name", account.device if is_from_me else "Ana"),
        }
        payload["sender_display_name"] = payload["from_name"]
        event = _fill(payload, kind, body, content)
        row: Row | None = None
        if kind not in _ABOUT_ANOTHER:
            media_type = kind if kind in _PATHS else ""
            row = Row(payload["id"], names.sender, body, int(timestamp), is_from_me, media_type)
        # Of the message events the time is inside the payload alone.
        posted = {"event": event, "device_id": account.own_jid, "session_id": account.device, "payload": payload}
        if account.frost.holds(account.device):
            self._webhook.spawn(self._take_later(account, names.chat, row, posted))
        else:
            self._take(account, names.chat, row, posted)
        return {"id": payload["id"], "chat_id": names.chat, "timestamp": payload["timestamp"]}

    async def _take_later(self, account: Account, chat: str, row: Row | None, posted: dict[str, Any]) -> None:
        await account.until_thawed()
        self._take(account, chat, row, posted)

    def _take(self, account: Account, chat: str, row: Row | None, posted: dict[str, Any]) -> None:
        if row is not None:
            self._storage.keep(account, chat, row)
        self._webhook.post(posted)


def _check(content: Mapping[str, Any]) -> None:
    for name, value in content.items():
        if name not in _FIELDS:
            raise InboundError(f"no field {name!r}; there are: {', '.join(_FIELDS)}")
        if not isinstance(value, _FIELDS[name]) or (isinstance(value, bool) and _FIELDS[name] is not bool):
            raise InboundError(f"{name} has the wrong type")
    kind = content.get("kind", "text")
    if kind not in KINDS_IN:
        raise InboundError(f"kind is one of: {', '.join(KINDS_IN)}")
    if kind in _ABOUT_ANOTHER and not content.get("target_id"):
        raise InboundError(f"{kind} needs a target_id")
    if kind == "text" and "body" not in content:
        raise InboundError("a text needs a body")
    if ("phone" in content) == ("from" in content):
        raise InboundError("who writes is given as phone (digits) or as from (a JID)")
    phone = content.get("phone", "0")
    if not (phone.isascii() and phone.isdigit()):
        raise InboundError("phone is digits")
    for name in ("from", "from_lid", "chat_id", "chat_lid"):
        if name in content and not content[name].endswith(_SERVERS):
            raise InboundError(f"{name} is a JID, such as 15550100001@s.whatsapp.net or 204800000000001@lid")


def _names(account: Account, content: Mapping[str, Any], addressing: str) -> _Names:
    if "phone" in content:
        jid = f"{content['phone']}@s.whatsapp.net"
        person, lid = names_of(jid, "lid" if addressing == "mixed" else addressing)
    else:
        person = content["from"]
        lid = person if person.endswith("@lid") else None
    lid = content.get("from_lid", lid)
    chat, chat_lid = content.get("chat_id", person), content.get("chat_lid", None if "chat_id" in content else lid)
    if not content.get("is_from_me", False):
        return _Names(person, lid, chat, chat_lid)
    return _Names(account.own_jid, lid_of(account.own_jid) if lid is not None else None, chat, chat_lid)


def _timestamp(given: str | float) -> float:
    if not isinstance(given, str):
        return float(given)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise InboundError("timestamp is RFC 3339 or unix seconds") from None
    if moment.tzinfo is None:
        raise InboundError("timestamp needs an offset, such as Z")
    return moment.timestamp()


def _fill(payload: dict[str, Any], kind: str, body: str, content: Mapping[str, Any]) -> str:
    """The part of the payload that depends on the kind; the event's name."""
    target = content.get("target_id", "")
    match kind:
        case "reaction":
            payload |= {"reaction": body, "reacted_message_id": target}
            return "message.reaction"
        case "edited":
            payload |= {"original_message_id": target, "body": body}
            return "message.edited"
        case "revoked":
            is_mine = content.get("is_from_me", False)
            payload |= {"revoked_message_id": target, "revoked_from_me": is_mine, "revoked_chat": payload["chat_id"]}
            return "message.revoked"
    if body:
        payload["body"] = body
    for name in ("replied_to_id", "quoted_body"):
        if content.get(name):
            payload[name] = content[name]
    for name in ("view_once", "forwarded"):
        if content.get(name):
            payload[name] = True
    if kind in _PATHS:
        path = f"statics/media/{payload['id']}.{_PATHS[kind]}"
        payload[kind] = {"path": path, "caption": body} if body and kind in _WITH_CAPTION else path
    elif kind == "contact":
        payload["contact"] = {"displayName": "Ben", "vcard": "BEGIN:VCARD\nVERSION:3.0\nFN:Ben\nEND:VCARD"}
    elif kind == "location":
        payload["location"] = {"degreesLatitude": -6.2, "degreesLongitude": 106.8}
    return "message"
