"""Posts events to a gateway as the sender does, signed with its secret."""

from __future__ import annotations

import hashlib
import hmac
import io
from typing import Any

import aiohttp
import orjson

from services.gateway.routes.gowa_webhook import PATH, SIGNATURE
from tests.integration.gateway.conftest import Client

SECRET = "a secret of ours"
ACCOUNT = "15550109999@s.whatsapp.net"


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def post(client: Client, event: object, **headers: str) -> aiohttp.ClientResponse:
    """``event`` as JSON, or bytes as they are."""
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    return await client.post(PATH, data=io.BytesIO(body), headers={SIGNATURE: signature(body), **headers})


async def heard(client: Client, event: object) -> None:
    response = await post(client, event)
    assert response.status == 200, await response.text()


def ack(*ids: str, receipt: str = "delivered", device: str | None = None) -> dict[str, Any]:
    event = {"event": "message.ack", "payload": {"ids": list(ids), "chat_id": "2048@lid", "receipt_type": receipt}}
    return event | ({"device_id": ACCOUNT, "session_id": device} if device else {})


def text(body: str, sender: str, **payload: Any) -> dict[str, Any]:
    said = {"id": "3A5F", "is_from_me": False, "chat_id": sender, "from": sender, "body": body}
    return {"event": "message", "device_id": ACCOUNT, "session_id": "sales-1", "payload": said | payload}
