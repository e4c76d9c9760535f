"""GOWA's chat storage: what was sent successfully, and ``GET /chats`` and ``GET /chat/{jid}/messages`` over it.

Rows are written in the background after the send, so a check right after it may not see them yet. Times have whole
seconds, as WhatsApp's have. An unknown chat is 200 with an empty list, never 404.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from simulator.accounts import Account
from simulator.answers import Answer, internal, invalid, success
from simulator.webhook import rfc3339

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Row:
    """One stored message; ``timestamp`` is unix seconds."""

    id: str
    sender: str
    content: str
    timestamp: int
    is_from_me: bool = True
    media_type: str = ""
    filename: str = ""
    file_length: int = 0


@dataclass(slots=True)
class ChatStorage:
    """Rows by owner (the account's JID) and chat. ``delay`` is seconds from the send to the row."""

    delay: float
    _chats: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    _starts: int = 0

    def store(self, account: Account, jid: str, row: Row) -> None:
        """Write the row once the delay is over."""
        owner = account.storage_key
        if self.delay == 0:
            self._write(owner, jid, row)
        else:
            asyncio.get_running_loop().call_later(self.delay, self._write_late, self._starts, owner, jid, row)

    def drop_pending(self) -> None:
        """Lose the rows that are not written yet, as a GOWA that is killed does."""
        self._starts += 1

    def keep(self, account: Account, jid: str, row: Row) -> None:
        """Write the row of a message that came in."""
        self._write(account.storage_key, jid, row)

    def holds(self, account: Account, message_id: str) -> bool:
        """Whether a message of this id is stored for this account, in whatever chat; quotes are looked up so."""
        chats = self._chats.get(account.storage_key, {})
        return any(row.id == message_id for rows in chats.values() for row in rows)

    def _write_late(self, starts: int, owner: str, jid: str, row: Row) -> None:
        if starts == self._starts:
            self._write(owner, jid, row)

    def _write(self, owner: str, jid: str, row: Row) -> None:
        self._chats.setdefault(owner, {}).setdefault(jid, []).append(row)

    def knows(self, account: Account, jid: str) -> bool:
        """Whether this account has a chat with ``jid``."""
        return jid in self._chats.get(account.storage_key, {})

    def chats(self, account: Account, request: web.Request) -> Answer:
        """``GET /chats``: latest first."""
        page = _page(request, 25)
        if isinstance(page, Answer):
            return page
        limit, offset = page
        wanted = request.query.get("search", "").lower()
        found = [
            (jid, rows)
            for jid, rows in self._chats.get(account.storage_key, {}).items()
            if wanted in jid
            and (not _is_true(request, "has_media") or any(row.media_type for row in rows))
            and not _is_true(request, "archived")
        ]
        found.sort(key=lambda chat: max(row.timestamp for row in chat[1]), reverse=True)
        data = [_chat_info(jid, rows) for jid, rows in found[offset : offset + limit]]
        pagination = {"limit": limit, "offset": offset, "total": len(found)}
        return success("Success get chat list", {"data": data, "pagination": pagination})

    def messages(self, account: Account, jid: str, request: web.Request) -> Answer:
        """``GET /chat/{jid}/messages``: newest first. ``search`` sets every filter but ``limit`` aside, as in GOWA."""
        page = _page(request, 50)
        if isinstance(page, Answer):
            return page
        limit, offset = page
        rows = self._chats.get(account.storage_key, {}).get(jid)
        if rows is None:
            pagination = {"limit": limit, "offset": offset, "total": 0}
            return success(
                "Success get chat messages",
                {"data": [], "pagination": pagination, "chat_info": {**_NO_CHAT, "jid": jid}},
            )
        try:
            is_wanted = _filter(request)
        except ValueError as error:
            return internal(str(error))
        newest_first = sorted(rows, key=lambda row: row.timestamp, reverse=True)
        search = request.query.get("search", "").lower()
        if search:
            found = [row for row in newest_first if search in row.content.lower()][:limit]
        else:
            found = [row for row in newest_first if is_wanted(row)][offset : offset + limit]
        return success(
            "Success get chat messages",
            {
                "data": [_message(jid, row) for row in found],
                "pagination": {"limit": limit, "offset": offset, "total": len(rows)},
                "chat_info": _chat_info(jid, rows),
            },
        )


def _page(request: web.Request, usual: int) -> tuple[int, int] | Answer:
    limit = _number(request, "limit", usual) or usual
    offset = _number(request, "offset", 0)
    if limit > 100:
        return invalid("limit: must be no greater than 100.")
    if limit < 1:
        return invalid("limit: must be no less than 1.")
    if offset < 0:
        return invalid("offset: must be no less than 0.")
    return limit, offset


def _number(request: web.Request, name: str, otherwise: int) -> int:
    try:
        return int(request.query.get(name, otherwise))
    except ValueError:
        return otherwise


def _is_true(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in {"1", "t", "true"}


def _time(request: web.Request, name: str) -> float | None:
    text = request.query.get(name, "")
    if not text:
        return None
    if not _RFC3339.fullmatch(text):
        raise ValueError(f'invalid {name} format: parsing time "{text}"')
    return datetime.fromisoformat(text).timestamp()


def _filter(request: web.Request) -> Callable[[Row], bool]:
    """Raises ValueError with GOWA's text for a time that is not RFC 3339."""
    start, end = _time(request, "start_time"), _time(request, "end_time")
    from_me = request.query.get("is_from_me", "")
    media_only = _is_true(request, "media_only")

    def is_wanted(row: Row) -> bool:
        if start is not None and row.timestamp < start:
            return False
        if end is not None and row.timestamp > end:
            return False
        if media_only and not row.media_type:
            return False
        return not from_me or row.is_from_me == _is_true(request, "is_from_me")

    return is_wanted


_NO_CHAT: Mapping[str, Any] = {
    "jid": "",
    "name": "",
    "last_message_time": "",
    "ephemeral_expiration": 0,
    "created_at": "",
    "updated_at": "",
    "archived": False,
}


def _chat_info(jid: str, rows: list[Row]) -> dict[str, Any]:
    return {
        "jid": jid,
        "name": jid.partition("@")[0],
        "last_message_time": rfc3339(max(row.timestamp for row in rows)),
        "ephemeral_expiration": 0,
        "created_at": rfc3339(rows[0].timestamp),
        "updated_at": rfc3339(rows[-1].timestamp),
        "archived": False,
    }


def _message(jid: str, row: Row) -> dict[str, Any]:
    when = rfc3339(row.timestamp)
    return {
        "id": row.id,
        "chat_jid": jid,
        "sender_jid": row.sender,
        "sender_display_name": row.sender.partition("@")[0],
        "content": row.content,
        "timestamp": when,
        "is_from_me": row.is_from_me,
        "media_type": row.media_type,
        "filename": row.filename,
        "url": "",
        "file_length": row.file_length,
        "created_at": when,
        "updated_at": when,
    }
