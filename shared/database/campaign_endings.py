"""How campaigns come to their end: finished, cancelled or expired; and chunks whose entries are gone.

Whatever decides about a campaign locks its row first and reads afterwards, here as in the functions in SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.database.feeding import FeedStream
from shared.messages import Lane, Status

_SQL = load_statements("campaign_endings")


async def complete_campaigns(database: Database, limit: int) -> list[UUID]:
    """Campaigns whose messages have all ended and that are not finished. Raises DatabaseUnavailable."""
    return [row["token"] for row in await database.fetch(_SQL["complete_campaigns"], limit)]


async def finish_campaign(database: Database, campaign: UUID) -> bool:
    """Closes it unless something of it is open again. Raises DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["finish_campaign"], campaign))


@dataclass(frozen=True, slots=True)
class FedChunk:
    """``age``: seconds since it was fed."""

    campaign: UUID
    number: int
    first_id: UUID
    last_id: UUID
    stream: FeedStream
    fed_at: datetime
    age: float


async def fed_chunks_after(database: Database, campaign: UUID, number: int, limit: int) -> list[FedChunk]:
    """Raises DatabaseUnavailable."""
    return [
        FedChunk(
            row["campaign"],
            row["number"],
            row["first_id"],
            row["last_id"],
            FeedStream(Lane(row["lane"]), row["endpoint"]),
            row["fed_at"],
            row["age"],
        )
        for row in await database.fetch(_SQL["fed_chunks"], campaign, number, limit)
    ]


async def review_chunk(database: Database, chunk: FedChunk) -> tuple[int, int]:
    """Has a chunk without entries fed again or closes it; (messages not begun, messages not ended). Raises
    DatabaseUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(_SQL["lock_campaign"], chunk.campaign)
        row = await connection.fetchrow(
            _SQL["review_chunk"], chunk.campaign, chunk.number, chunk.fed_at, chunk.first_id, chunk.last_id
        )
    assert row is not None
    return row["waiting"], row["open"]


async def ending_campaigns(database: Database) -> list[UUID]:
    """Cancelled or expired campaigns that have chunks which are not closed. Raises DatabaseUnavailable."""
    return [row["token"] for row in await database.fetch(_SQL["ending_campaigns"])]


@dataclass(frozen=True, slots=True)
class EndedChunk:
    """What was done about one chunk; ``more``: of its messages more wait."""

    number: int
    ended: int
    more: bool


async def end_next_chunk(
    database: Database, campaign: UUID, after: int, limit: int, shard: int, reasons: dict[Status, str]
) -> EndedChunk | None:
    """Ends up to ``limit`` waiting messages of the next open chunk of a cancelled or expired campaign, in one transaction.
    None: no chunk is open, or the campaign goes on after all. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        stands = await connection.fetchrow(_SQL["lock_campaign"], campaign)
        if stands is None or stands["finished"] or not (stands["status"] == "canceled" or stands["expired"]):
            return None
        chunk = await connection.fetchrow(_SQL["open_chunk"], campaign, after)
        if chunk is None:
            return None
        rows = await connection.fetch(_SQL["waiting_in_chunk"], campaign, chunk["first_id"], chunk["last_id"], limit)
        status = Status.CANCELED if stands["status"] == "canceled" else Status.EXPIRED
        ended = 0
        if rows:
            ended = await connection.fetchval(
                _SQL["end_unsendable"], [row["id"] for row in rows], status.value, reasons[status], shard
            )
        if len(rows) < limit:
            await connection.execute(
                _SQL["close_chunk"], campaign, chunk["number"], chunk["first_id"], chunk["last_id"]
            )
    return EndedChunk(chunk["number"], ended, len(rows) == limit)
