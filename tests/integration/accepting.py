"""Puts messages and campaigns into Postgres as accepting a request does, without its checks, and reads them back."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from shared.database.connection import Database
from shared.messages import Entry, Lane, Status, new_message_ids

CONTENT = {"message": "hello"}


@dataclass(frozen=True)
class Campaign:
    token: UUID
    messages: list[UUID]
    """In ascending order."""


async def accept_message(
    store: Database,
    *,
    phone: str = "15550100001",
    on_unknown: str = "resend",
    endpoint: str | None = None,
    lane: str = "transactional",
    kind: str = "message",
) -> UUID:
    """A single send: its row and its `due` row, not enqueued."""
    message = new_message_ids()[0]
    async with store.transaction() as connection:
        await connection.execute(
            "insert into messages (id, lane, kind, phone, phone_key, content, chosen_endpoint, on_unknown, expires_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + interval '1 day')",
            message,
            lane,
            kind,
            f"{phone}@s.whatsapp.net",
            phone,
            CONTENT,
            endpoint,
            on_unknown,
        )
        await connection.execute(
            "insert into due (message, due_at, why, lane) values ($1, clock_timestamp(), 'send', $2)", message, lane
        )
    return message


async def accept_campaign(
    store: Database,
    size: int,
    *,
    chunk_size: int = 500,
    on_unknown: str = "hold",
    first_phone: int = 15550200000,
) -> Campaign:
    """A running campaign of `size` recipients in chunks that nobody has fed."""
    token = uuid4()
    messages = new_message_ids(size)
    async with store.transaction() as connection:
        await connection.execute(
            "insert into campaigns (token, status, kind, lane, content, on_unknown, total, first_id, last_id, expires_at)"
            " values ($1, 'running', 'message', 'bulk', $2, $3, $4, $5, $6, clock_timestamp() + interval '7 days')",
            token,
            CONTENT,
            on_unknown,
            size,
            messages[0],
            messages[-1],
        )
        await connection.copy_records_to_table(
            "messages",
            columns=["id", "campaign", "lane", "kind", "phone", "phone_key", "on_unknown"],
            records=[
                (message, token, "bulk", "message", f"{phone}@s.whatsapp.net", str(phone), on_unknown)
                for phone, message in enumerate(messages, first_phone)
            ],
        )
        chunks = [messages[start : start + chunk_size] for start in range(0, size, chunk_size)]
        await connection.copy_records_to_table(
            "chunks",
            columns=["campaign", "number", "first_id", "last_id", "size"],
            records=[(token, number, chunk[0], chunk[-1], len(chunk)) for number, chunk in enumerate(chunks)],
        )
    return Campaign(token, messages)


async def message_row(store: Database, message: UUID) -> asyncpg.Record:
    row = await store.fetchrow("select * from messages where id = $1", message)
    assert row is not None
    return row


async def status_of(store: Database, message: UUID) -> Status:
    return Status((await message_row(store, message))["status"])


async def next_entry(store: Database, message: UUID) -> Entry:
    """The entry for the attempt that would come next."""
    row = await message_row(store, message)
    return Entry(message, row["attempt"] + 1, Lane(row["lane"]), endpoint=row["chosen_endpoint"] or "")


async def counts_of(store: Database, campaign: UUID) -> dict[str, int]:
    """What `campaign_counts` says, without the zeros."""
    row = await store.fetchrow(
        "select sum(sent)::int as sent, sum(failed)::int as failed, sum(unknown)::int as unknown,"
        " sum(canceled)::int as canceled, sum(expired)::int as expired, sum(suppressed)::int as suppressed"
        " from campaign_counts where campaign = $1",
        campaign,
    )
    assert row is not None
    return {name: number for name, number in row.items() if number}
