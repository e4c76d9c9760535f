"""``message.ack``: who was sent a message says that it was delivered and read.

They come for everything that WhatsApp took, whatever the client was answered, and may come before that answer. GOWA
gives ``from`` as a number when it knows it, and ``chat_id`` as WhatsApp wrote it, so acks can be joined by id alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from simulator.accounts import Account
from simulator.groups import participants
from simulator.names import names_of
from simulator.webhook import Webhook, rfc3339

_DESCRIPTIONS = {
    "delivered": "means the message was delivered to the device (but the user might not have noticed).",
    "read": "the user opened the chat and saw the message.",
}


class Receipts:
    """Posts the receipts of what was sent. Delays are seconds: to ``delivered``, and from there to ``read``."""

    def __init__(self, webhook: Webhook, receipt_delay: float, read_delay: float) -> None:
        self.addressing = "mixed"
        self._webhook = webhook
        self._receipt_delay = receipt_delay
        self._read_delay = read_delay

    def message_taken(self, account: Account, jid: str, whatsapp_id: str) -> None:
        """Have the receipts of a message posted. With no delay ``delivered`` may be there before the send's answer."""
        if not self._webhook.url:
            return
        people = participants(jid) if jid.endswith("@g.us") else [jid]
        for person in people:
            if person.endswith(("@s.whatsapp.net", "@lid")):
                self._webhook.spawn(self._follow(account, jid, person, whatsapp_id))

    async def _follow(self, account: Account, chat: str, person: str, whatsapp_id: str) -> None:
        for delay, receipt_type in ((self._receipt_delay, "delivered"), (self._read_delay, "read")):
            await asyncio.sleep(delay)
            await account.until_thawed()
            self._webhook.post(self._ack(account, chat, person, whatsapp_id, receipt_type))

    def _ack(self, account: Account, chat: str, person: str, whatsapp_id: str, receipt_type: str) -> dict[str, Any]:
        name, lid = names_of(person, self.addressing)
        payload: dict[str, Any] = {
            "ids": [whatsapp_id],
            "chat_id": lid if lid is not None and chat == person else chat,
            "from": name,
            "sender_display_name": "Ana",
            "receipt_type": receipt_type,
            "receipt_type_description": _DESCRIPTIONS[receipt_type],
        }
        if lid is not None:
            payload["from_lid"] = lid
        return {
            "event": "message.ack",
            "device_id": account.own_jid,
            "session_id": account.device,
            "timestamp": rfc3339(time.time()),
            "payload": payload,
        }
