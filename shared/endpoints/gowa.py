"""Looking things up at the sender (GOWA v7.1 to v9): is the account there, is a number on WhatsApp, what did it send.

Only GET requests, which the client may repeat by itself. Sending is the dispatcher's and lives there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from shared.endpoints.answer_body import read_body
from shared.endpoints.identity import Endpoint
from shared.settings import EndpointSettings, seconds


class EndpointUnreachable(Exception):
    """The sender does not answer, or not as GOWA does; nothing can be concluded from it."""


class AccountState(StrEnum):
    USABLE = "usable"
    """Connected and logged in."""
    OFFLINE = "offline"
    """Paired, but not connected: a network drop, a temporary ban or an outdated client look the same."""
    LOGGED_OUT = "logged_out"
    """Not paired: somebody must scan a code."""
    MISCONFIGURED = "misconfigured"
    """Our login or device id is wrong."""
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in the account's chat storage."""

    id: str
    content: str
    media_type: str
    timestamp: datetime
    is_from_me: bool


def new_session(settings: EndpointSettings) -> aiohttp.ClientSession:
    """A session for talking to senders: no cookies kept, bounded times; the caller closes it."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=15, sock_connect=seconds(settings.whatsapp_connect_timeout)),
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=30),
        auto_decompress=True,
        trust_env=False,
    )


async def _get(
    session: aiohttp.ClientSession, endpoint: Endpoint, path: str, parameters: dict[str, str] | None = None
) -> tuple[int, Any]:
    """(HTTP status, parsed body or None). Raises EndpointUnreachable."""
    try:
        async with session.get(
            endpoint.base_url + path, params=parameters, headers=endpoint.headers(), allow_redirects=False
        ) as response:
            body = await read_body(response, 2_000_000)
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise EndpointUnreachable(type(error).__name__) from error
    try:
        return status, orjson.loads(body)
    except orjson.JSONDecodeError:
        return status, None


async def account_state(session: aiohttp.ClientSession, endpoint: Endpoint) -> AccountState:
    """Whether the account can send. ``state`` of GET /devices goes stale, so both flags of the status are asked; a slot
    without a ``jid`` is not paired, whatever else it says."""
    try:
        status, body = await _get(session, endpoint, "/app/status")
        if status == 401 and body is None:
            return AccountState.MISCONFIGURED
        results = body.get("results") if isinstance(body, dict) else None
        if status == 200 and isinstance(results, dict):
            if results.get("is_connected") and results.get("is_logged_in"):
                return AccountState.USABLE
            if "jid" in results:
                return AccountState.OFFLINE if results.get("jid") else AccountState.LOGGED_OUT
        code = body.get("code") if isinstance(body, dict) else None
        if code == "DEVICE_ID_REQUIRED":
            return AccountState.MISCONFIGURED
        return await _state_by_devices(session, endpoint)
    except EndpointUnreachable:
        return AccountState.UNREACHABLE


async def _state_by_devices(session: aiohttp.ClientSession, endpoint: Endpoint) -> AccountState:
    status, body = await _get(session, endpoint, "/devices")
    if status in (404, 405) and body is None:
        # Versions before 7.1 tell nothing; only a message can find out, and that is what a trial is.
        return AccountState.USABLE
    devices = body.get("results") if isinstance(body, dict) else None
    if status == 200 and isinstance(body, dict) and devices is None:
        return AccountState.LOGGED_OUT
    if status != 200 or not isinstance(devices, list):
        return AccountState.UNREACHABLE if status >= 500 else AccountState.MISCONFIGURED
    mine = [
        device
        for device in devices
        if isinstance(device, dict)
        and (not endpoint.device_id or endpoint.device_id in (device.get("id"), device.get("jid")))
    ]
    # A slot that is missing was deleted by a logout, as versions before 8.10 do.
    return AccountState.OFFLINE if mine and mine[0].get("jid") else AccountState.LOGGED_OUT


async def is_on_whatsapp(session: aiohttp.ClientSession, endpoint: Endpoint, phone: str) -> bool:
    """Whether the number has an account, by GET /user/check. The sender answers False for a lookup that failed as well.
    Raises EndpointUnreachable."""
    status, body = await _get(session, endpoint, "/user/check", {"phone": phone})
    if status != 200 or not isinstance(body, dict) or not isinstance(body.get("results"), dict):
        raise EndpointUnreachable(f"HTTP {status}")
    return bool(body["results"].get("is_on_whatsapp"))


async def sent_messages(
    session: aiohttp.ClientSession, endpoint: Endpoint, chat: str, since: datetime
) -> list[StoredMessage]:
    """What the account sent to a chat since then, newest first, at most 100. Raises EndpointUnreachable."""
    status, body = await _get(
        session,
        endpoint,
        f"/chat/{quote(chat, safe='@')}/messages",
        {"is_from_me": "true", "start_time": since.strftime("%Y-%m-%dT%H:%M:%SZ"), "limit": "100"},
    )
    results = body.get("results") if isinstance(body, dict) else None
    if status != 200 or not isinstance(results, dict):
        raise EndpointUnreachable(f"HTTP {status}")
    found = []
    for line in results.get("data") or []:
        try:
            found.append(
                StoredMessage(
                    id=str(line["id"]),
                    content=str(line.get("content") or ""),
                    media_type=str(line.get("media_type") or ""),
                    timestamp=datetime.fromisoformat(str(line["timestamp"]).replace("Z", "+00:00")),
                    is_from_me=bool(line.get("is_from_me")),
                )
            )
        except (KeyError, TypeError, ValueError):
            continue
    return found
