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


class Draft(Struct, frozen=True, kw_only=True):
    """What is to be sent and how, with every default decided: the same for one recipient as for a million. ``content`` are the
    sender's fields as the caller gave them. It begins at ``send_at`` or at once; without ``expires_at`` it expires
    ``expires_after`` seconds after that by the clock of Postgres."""

    kind: Kind
    lane: Lane
    content: dict[str, Any]
    on_unknown: OnUnknown
    expires_after: float
    expires_at: datetime | None = None
    send_at: datetime | None = None
    endpoint: str | None = None
    reference: str | None = None
    media: UUID | None = None


class NewMessage(Struct, frozen=True, kw_only=True):
    """A single send. ``keyed``: the answer to be kept under an Idempotency-Key."""

    id: UUID
    phone: str
    phone_key: str
    draft: Draft
    keyed: Keyed | None = None


async def insert_messages(database: Database, messages: Sequence[NewMessage]) -> set[UUID]:
    """Writes the rows in one statement, all or none but those whose Idempotency-Key is taken; these it answers. Raises
    DatabaseUnavailable, one of BadValue."""
    drafts = [message.draft for message in messages]
    keyed = [message.keyed for message in messages]
    rows = await database.fetch(
        _SQL["insert_messages"],
        [message.id for message in messages],
        [draft.lane for draft in drafts],
        [draft.kind for draft in drafts],
        [message.phone for message in messages],
        [message.phone_key for message in messages],
        [draft.content for draft in drafts],
        [draft.media for draft in drafts],
        [draft.endpoint for draft in drafts],
        [draft.on_unknown for draft in drafts],
        [draft.reference for draft in drafts],
        [draft.expires_at for draft in drafts],
        [draft.expires_after for draft in drafts],
        [one and one.key.caller for one in keyed],
        [one and one.key.key for one in keyed],
        [one and one.answer.request for one in keyed],
        [one and one.answer.status for one in keyed],
        [one and one.answer.body for one in keyed],
        [draft.send_at for draft in drafts],
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
