"""Looking things up at the sender (GOWA v7.1 to v9): is the account there, is a number on WhatsApp, what did it send.

Only GET requests, which the client may repeat by itself. Sending is the dispatcher's and lives there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    """Our login, device id or base URL is wrong."""
    NO_DEVICE = "no_device"
    """The sender has no device of our id: mistyped or deleted; versions 8.1 to 8.9 delete it when it is logged out."""
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in the account's chat storage."""

    id: str
    content: str
    media_type: str
    timestamp: datetime
    is_from_me: bool


@dataclass(frozen=True, slots=True)
class SentMessages:
    """What a chat holds, newest first. Not ``complete``: some of it could not be read, so what is missing here may be there."""

    lines: list[StoredMessage]
    complete: bool


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
    without a ``jid`` is not paired, whatever else it says. What does not answer in GOWA's envelope is no GOWA, or not where
    the base URL says."""
    try:
        status, body = await _get(session, endpoint, "/app/status")
        code, results = _envelope(body)
        if code == "SUCCESS" and isinstance(results, dict):
            if results.get("is_connected") and results.get("is_logged_in"):
                return AccountState.USABLE
            if "jid" in results:
                return AccountState.OFFLINE if results.get("jid") else AccountState.LOGGED_OUT
        if not code and status in (400, 401, 403):
            return AccountState.MISCONFIGURED
        return await _state_by_devices(session, endpoint)
    except EndpointUnreachable:
        return AccountState.UNREACHABLE


async def _state_by_devices(session: aiohttp.ClientSession, endpoint: Endpoint) -> AccountState:
    status, body = await _get(session, endpoint, "/devices")
    code, devices = _envelope(body)
    if not code and status in (404, 405):
        return await _state_before_7_1(session, endpoint)
    if status >= 500:
        return AccountState.UNREACHABLE
    if code != "SUCCESS" or not (devices is None or isinstance(devices, list)):
        return AccountState.MISCONFIGURED
    slots = _slots(devices, endpoint.device_id)
    if endpoint.device_id and not slots:
        return AccountState.NO_DEVICE
    if len(slots) > 1:
        # The sender cannot know which one is meant.
        return AccountState.MISCONFIGURED
    return AccountState.OFFLINE if slots and slots[0].get("jid") else AccountState.LOGGED_OUT


async def _state_before_7_1(session: aiohttp.ClientSession, endpoint: Endpoint) -> AccountState:
    """Those versions tell nothing, so only a message can find out, and that is what a trial is; but they have a list of
    devices, by which a sender is known from whatever else answers 404 where the base URL points."""
    _, body = await _get(session, endpoint, "/app/devices")
    code, _ = _envelope(body)
    return AccountState.USABLE if code else AccountState.MISCONFIGURED


def _envelope(body: Any) -> tuple[str, Any]:
    """(code, results) of an answer of GOWA; ('', None) for anything else."""
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        return "", None
    return body["code"], body.get("results")


def _slots(listed: Any, device_id: str) -> list[dict[str, Any]]:
    """Of a list of devices those that ``device_id`` means; '' means all."""
    slots = [slot for slot in listed if isinstance(slot, dict)] if isinstance(listed, list) else []
    return [slot for slot in slots if not device_id or _is_named(slot, device_id)]


def _is_named(slot: dict[str, Any], device_id: str) -> bool:
    """Whether a slot of GET /devices is the one that a device id means: by its id, or its JID with or without a suffix."""
    jid = str(slot.get("jid") or "")
    return device_id == slot.get("id") or (bool(jid) and _without_suffix(device_id) == _without_suffix(jid))


def _without_suffix(jid: str) -> str:
    """``15550109999:32@s.whatsapp.net`` is a device of ``15550109999@s.whatsapp.net``."""
    user, at, server = jid.partition("@")
    return user.partition(":")[0] + at + server


async def own_number(session: aiohttp.ClientSession, endpoint: Endpoint) -> str | None:
    """The account's own number, digits only; '' while it is not paired, None where the sender does not tell. Raises
    EndpointUnreachable."""
    jid = await _jid_by_status(session, endpoint)
    if jid is None:
        jid = await _jid_by_devices(session, endpoint)
    if not jid:
        return jid
    number = _without_suffix(jid).partition("@")[0]
    return number if number.isascii() and number.isdigit() else None


async def _jid_by_status(session: aiohttp.ClientSession, endpoint: Endpoint) -> str | None:
    """As the status has it since 8.8; None: not at all."""
    _, body = await _get(session, endpoint, "/app/status")
    _, status = _envelope(body)
    return str(status["jid"] or "") if isinstance(status, dict) and "jid" in status else None


async def _jid_by_devices(session: aiohttp.ClientSession, endpoint: Endpoint) -> str | None:
    _, body = await _get(session, endpoint, "/devices")
    code, listed = _envelope(body)
    if code:
        slots = _slots(listed, endpoint.device_id)
        return str(slots[0].get("jid") or "") if len(slots) == 1 else None
    # Before 8.0 a process has one account, and another list.
    _, body = await _get(session, endpoint, "/app/devices")
    slots = _slots(_envelope(body)[1], "")
    return str(slots[0].get("device") or "") if len(slots) == 1 else None


async def is_on_whatsapp(session: aiohttp.ClientSession, endpoint: Endpoint, phone: str) -> bool:
    """Whether the number has an account, by GET /user/check. The sender answers False for a lookup that failed as well.
    Raises EndpointUnreachable."""
    status, body = await _get(session, endpoint, "/user/check", {"phone": phone})
    if status != 200 or not isinstance(body, dict) or not isinstance(body.get("results"), dict):
        raise EndpointUnreachable(f"HTTP {status}")
    return bool(body["results"].get("is_on_whatsapp"))


async def account_number(session: aiohttp.ClientSession, endpoint: Endpoint) -> str | None:
    """The JID of the number that the account is paired with now; '': with none; None: with one that a sender before version 8
    does not tell. Raises EndpointUnreachable."""
    status, body = await _get(session, endpoint, "/app/status")
    app = body.get("results") if isinstance(body, dict) else None
    if status == 200 and isinstance(app, dict) and "jid" in app:
        return _without_device(app["jid"])
    # Up to 8.7 the status tells no number, the list of slots does.
    status, body = await _get(session, endpoint, "/devices")
    if status in (404, 405) and body is None and isinstance(app, dict):
        return None if app.get("is_logged_in") else ""
    slots = (body.get("results") or []) if status == 200 and isinstance(body, dict) else None
    if not isinstance(slots, list):
        raise EndpointUnreachable(f"HTTP {status}")
    mine = [
        slot
        for slot in slots
        if isinstance(slot, dict)
        and (not endpoint.device_id or endpoint.device_id in (slot.get("id"), slot.get("jid")))
    ]
    if len(mine) > 1:
        raise EndpointUnreachable("several accounts, and none is named")
    # A slot that is missing was deleted by a logout, as versions before 8.10 do.
    return _without_device(mine[0].get("jid")) if mine else ""


def _without_device(jid: object) -> str:
    """15550109999:32@s.whatsapp.net is the 32nd device of 15550109999@s.whatsapp.net."""
    if not isinstance(jid, str):
        return ""
    user, at, server = jid.partition("@")
    return user.partition(":")[0] + at + server


_PAGE = 100
_MOST_PAGES = 10
_ANY_ZONE = timedelta(hours=14)


async def sent_messages(session: aiohttp.ClientSession, endpoint: Endpoint, chat: str, since: datetime) -> SentMessages:
    """What the account sent to a chat since then, at most 1,000 messages. Raises EndpointUnreachable."""
    found: list[StoredMessage] = []
    complete = True
    for page in range(_MOST_PAGES):
        data = await _page_of_chat(session, endpoint, chat, since - _ANY_ZONE, page * _PAGE)
        lines = [line for line in map(_stored_message, data) if line is not None]
        complete = complete and len(lines) == len(data)
        found += [line for line in lines if line.timestamp >= since]
        if len(data) < _PAGE or any(line.timestamp < since for line in lines):
            return SentMessages(found, complete)
    return SentMessages(found, complete=False)


async def _page_of_chat(
    session: aiohttp.ClientSession, endpoint: Endpoint, chat: str, since: datetime, offset: int
) -> list[object]:
    """One page as it came. The sender compares times as texts, each in its own zone (SQLite), so one behind UTC would leave
    out what is newest: ``since`` must lie back by more than any zone does."""
    status, body = await _get(
        session,
        endpoint,
        f"/chat/{quote(chat, safe='@')}/messages",
        {
            "is_from_me": "true",
            "start_time": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "limit": str(_PAGE),
            "offset": str(offset),
        },
    )
    results = body.get("results") if isinstance(body, dict) else None
    data = (results.get("data") or []) if isinstance(results, dict) and "data" in results else None
    if status != 200 or not isinstance(data, list):
        raise EndpointUnreachable(f"HTTP {status}")
    return data


def _stored_message(line: Any) -> StoredMessage | None:
    """None: it cannot be read."""
    try:
        return StoredMessage(
            id=str(line["id"]),
            content=str(line.get("content") or ""),
            media_type=str(line.get("media_type") or ""),
            timestamp=datetime.fromisoformat(str(line["timestamp"])).astimezone(UTC),
            is_from_me=bool(line.get("is_from_me")),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None
