"""Messages one by one: accepting single sends, reading them back, cancelling one.

A page of a list looks at a bounded number of rows, since no index may name a message's status: it can be shorter than
asked for, even empty, while its cursor says that there is more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

from shared.database.connection import BadValue, Database, load_statements
from shared.database.idempotency import Keyed, KeyTaken
from shared.messages import Kind, Lane, OnUnknown, Status

_SQL = load_statements("messages")
Row = asyncpg.Record
"""A row as Postgres answers it, by column name; services know it by this name alone."""
_ROWS_LOOKED_AT = 20_000  # about 30 ms
_NEWER_THAN_ALL = UUID(int=2**128 - 1)
_OLDER_THAN_ALL = UUID(int=0)


class NewMessage(Struct, frozen=True, kw_only=True):
    """A single send, to begin at ``send_at`` or at once. ``content`` are the sender's fields as the caller gave them;
    without ``expires_at`` it expires ``expires_after`` seconds after that by the clock of Postgres. ``keyed``: the answer
    to be kept under an Idempotency-Key."""

    id: UUID
    lane: Lane
    kind: Kind
    phone: str
    phone_key: str
    content: dict[str, Any]
    media: UUID | None
    chosen_endpoint: str | None
    on_unknown: OnUnknown
    reference: str | None
    expires_at: datetime | None
    expires_after: float
    keyed: Keyed | None = None
    send_at: datetime | None = None


async def insert_messages(database: Database, messages: Sequence[NewMessage]) -> set[UUID]:
    """Writes the rows in one statement, all or none but those whose Idempotency-Key is taken; these it answers. Raises
    DatabaseUnavailable, one of BadValue."""
    keyed = [message.keyed for message in messages]
    rows = await database.fetch(
        _SQL["insert_messages"],
        [message.id for message in messages],
        [message.lane for message in messages],
        [message.kind for message in messages],
        [message.phone for message in messages],
        [message.phone_key for message in messages],
        [message.content for message in messages],
        [message.media for message in messages],
        [message.chosen_endpoint for message in messages],
        [message.on_unknown for message in messages],
        [message.reference for message in messages],
        [message.expires_at for message in messages],
        [message.expires_after for message in messages],
        [one and one.key.caller for one in keyed],
        [one and one.key.key for one in keyed],
        [one and one.answer.request for one in keyed],
        [one and one.answer.status for one in keyed],
        [one and one.answer.body for one in keyed],
        [message.send_at for message in messages],
    )
    return {row["id"] for row in rows}


async def insert_separately(database: Database, messages: Sequence[NewMessage]) -> list[Exception | None]:
    """Writes the rows; a batch refused for one value is halved down to the row that has it. Answers, in the same order,
    None or why a row was refused, KeyTaken or one of BadValue. Raises DatabaseUnavailable."""
    try:
        taken = await insert_messages(database, messages)
    except BadValue as error:
        if len(messages) == 1:
            return [error]
        middle = len(messages) // 2
        first = await insert_separately(database, messages[:middle])
        return first + await insert_separately(database, messages[middle:])
    return [KeyTaken("another request has this Idempotency-Key") if one.id in taken else None for one in messages]


async def mark_not_enqueued(database: Database, messages: Sequence[UUID]) -> None:
    """Notes that these have no entry in Redis, so that a scheduler enqueues them soon. Raises DatabaseUnavailable."""
    await database.execute(_SQL["mark_not_enqueued"], sorted(messages))


async def message_with_attempts(database: Database, message: UUID) -> tuple[Row, list[Row]] | None:
    """The row and its attempts by number, the one under way included; None: there is none. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_SQL["message"], message)
        if row is None:
            return None
        return row, await connection.fetch(_SQL["attempts"], message)


@dataclass(frozen=True, slots=True)
class MessagePage:
    """``next_cursor``: give it for the following page; None: this is the last."""

    rows: list[Row]
    next_cursor: UUID | None


async def newest_messages(
    database: Database, status: Status | None, cursor: UUID | None, limit: int, look_at: int = _ROWS_LOOKED_AT
) -> MessagePage:
    """Messages before ``cursor``, newest first. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["messages_page"], cursor or _NEWER_THAN_ALL, _value(status), limit, look_at)
    return _page(rows, limit, look_at)


async def campaign_messages(
    database: Database,
    campaign: Row,
    status: Status | None,
    cursor: UUID | None,
    limit: int,
    look_at: int = _ROWS_LOOKED_AT,
) -> MessagePage:
    """Messages of a campaign (its row) after ``cursor``, in the order of its recipients. Raises DatabaseUnavailable."""
    rows = await database.fetch(
        _SQL["campaign_messages_page"],
        cursor or _OLDER_THAN_ALL,
        _value(status),
        limit,
        look_at,
        campaign["first_id"],
        campaign["last_id"],
        campaign["token"],
        campaign["reference"],
    )
    return _page(rows, limit, look_at)


def _value(status: Status | None) -> str | None:
    return None if status is None else status.value


def _page(rows: list[Row], limit: int, look_at: int) -> MessagePage:
    found = [row for row in rows if row["id"] is not None]
    if len(found) == limit:
        return MessagePage(found, found[-1]["id"])
    # There is one row even where nothing was found: it says how far this page came.
    return MessagePage(found, rows[0]["seen_last"] if rows[0]["seen_rows"] == look_at else None)


async def cancel_message(database: Database, message: UUID, shard: int) -> bool:
    """Ends a waiting message; False: it does not wait (any more). Once this returns True it will not begin: the gate
    changes the same row under the same condition. Raises DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["cancel"], message, shard))
