"""Webhooks as GOWA v9 posts them: receipts of what was sent, and inbound texts on demand.

``POST`` with ``X-Hub-Signature-256: sha256=<hex>``, an HMAC-SHA256 of the exact body. Up to five attempts, 10 s each,
pauses of 1, 2, 4 and 8 s, all within 30 s; then the event is lost. One task per event, so the order is not guaranteed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson

from simulator.accounts import Account
from simulator.groups import participants

_DESCRIPTIONS = {
    "delivered": "means the message was delivered to the device (but the user might not have noticed).",
    "read": "the user opened the chat and saw the message.",
}
_PAUSES = (1.0, 2.0, 4.0, 8.0, 0.0)
_BUDGET = 30.0
# Twenty events on the wire at a time: a bench with receipts must not open a connection per message.
_AT_ONCE = 20


class Receipts:
    """Posts events to one URL; none while it has no URL. Delays are seconds."""

    def __init__(self, url: str, secret: str, receipt_delay: float, read_delay: float) -> None:
        self.url = url
        self.secret = secret
        self._receipt_delay = receipt_delay
        self._read_delay = read_delay
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def message_taken(self, account: Account, jid: str, whatsapp_id: str) -> None:
        """Have the receipts of a message posted. With no delay ``delivered`` may be there before the send's answer."""
        if not self.url:
            return
        if jid.endswith("@s.whatsapp.net"):
            self._spawn(self._follow(account, jid, jid, whatsapp_id))
        elif jid.endswith("@g.us"):
            for person in participants(jid):
                self._spawn(self._follow(account, jid, person, whatsapp_id))

    def inbound(self, account: Account, phone: str, body: str) -> str:
        """Have a text posted as if ``phone`` had written it to this account; its message id."""
        jid = f"{phone}@s.whatsapp.net"
        whatsapp_id = "3A" + secrets.token_hex(9).upper()
        payload = {
            "id": whatsapp_id,
            "timestamp": _now(),
            "is_from_me": False,
            "chat_id": jid,
            "chat_lid": _lid(jid),
            "from": jid,
            "from_lid": _lid(jid),
            "from_name": "Ana",
            "sender_display_name": "Ana",
            "body": body,
        }
        # Of the message events the time is inside the payload alone.
        event = {"event": "message", "device_id": account.own_jid, "session_id": account.device, "payload": payload}
        self._spawn(self._post(event))
        return whatsapp_id

    async def close(self) -> None:
        """Drop what has not been posted, as a GOWA that stops does."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, account: Account, chat: str, person: str, whatsapp_id: str) -> None:
        await asyncio.sleep(self._receipt_delay)
        await account.until_thawed()
        self._spawn(self._post(_ack(account, chat, person, whatsapp_id, "delivered")))
        await asyncio.sleep(self._read_delay)
        await account.until_thawed()
        self._spawn(self._post(_ack(account, chat, person, whatsapp_id, "read")))

    async def _post(self, event: dict[str, Any]) -> None:
        body = orjson.dumps(event)
        signature = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        async with self._turn:
            try:
                async with asyncio.timeout(_BUDGET):
                    for pause in _PAUSES:
                        if await self._is_accepted(body, headers):
                            return
                        await asyncio.sleep(pause)
            except TimeoutError:
                return

    async def _is_accepted(self, body: bytes, headers: dict[str, str]) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=10), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(self.url, data=body, headers=headers) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False


def _ack(account: Account, chat: str, person: str, whatsapp_id: str, receipt_type: str) -> dict[str, Any]:
    # Chats with even numbers have moved to LIDs. GOWA gives the chat as WhatsApp does, so acks can be joined by id
    # alone; the person's number is looked up, and the LID is there when WhatsApp named it.
    has_moved = person.partition("@")[0][-1] in "02468"
    payload: dict[str, Any] = {
        "ids": [whatsapp_id],
        "chat_id": _lid(chat) if has_moved and chat == person else chat,
        "from": person,
        "sender_display_name": "Ana",
        "receipt_type": receipt_type,
        "receipt_type_description": _DESCRIPTIONS[receipt_type],
    }
    if has_moved:
        payload["from_lid"] = _lid(person)
    return {
        "event": "message.ack",
        "device_id": account.own_jid,
        "session_id": account.device,
        "timestamp": _now(),
        "payload": payload,
    }


def _lid(jid: str) -> str:
    return f"{int(hashlib.sha256(jid.encode()).hexdigest(), 16) % 10**15:015d}@lid"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
