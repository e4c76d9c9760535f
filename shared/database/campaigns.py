"""Campaigns: accepting one, its progress, and what an operator does to it or to everything.

Every function that forbids attempts takes the gate's lock in Postgres (``migrations/0005_control.sql``), so it holds from
the moment it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.database.idempotency import Keyed, keep_answer, reserve_key
from shared.database.messages import Row
from shared.errors import PacelineError
from shared.messages import CampaignStatus, Kind, Lane, OnUnknown, new_message_ids
from shared.phone_key import phone_key

if TYPE_CHECKING:
    from shared.database.connection import Connection

_SQL = load_statements("campaigns")
_COPY_TIMEOUT = 300.0  # seconds; a million rows on a slow disk
_ROWS_AT_ONCE = 500  # rows that are made and encoded before other requests get their turn, about 2 ms
_ANALYZE_FROM = 50_000  # rows; fewer do not change what the planner thinks of the table
_RATE_ATTEMPTS = 500
_TWO_DAYS = 2 * 86_400_000 << 80
"""Between two ids that were made two days apart. The rate needs no attempts of messages that are further from a campaign's own,
and so mostly reads no other month than theirs."""
RATE_SECONDS = 300.0
"""The rate of a campaign is what it sent in so many seconds."""


class OwnedMediaGone(PacelineError):
    """The uploaded file was deleted before its request was accepted."""


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """``content`` are the sender's fields, the same for all. It is scheduled until ``send_at``; without ``expires_at`` it
    expires ``expires_after`` seconds after that, or from now. ``phones``: one or more, each once. ``rejected`` and
    ``duplicates`` are recipients that were left out. ``keyed``: the answer to be kept under an Idempotency-Key."""

    token: UUID
    kind: Kind
    lane: Lane
    content: dict[str, Any]
    media: UUID | None
    endpoint: str | None
    on_unknown: OnUnknown
    reference: str | None
    phones: Sequence[str]
    rejected: int
    duplicates: int
    expires_at: datetime | None
    expires_after: float
    keyed: Keyed | None = None
    send_at: datetime | None = None


async def insert_campaign(database: Database, campaign: NewCampaign, chunk_size: int) -> None:
    """Writes campaign, messages and chunks in one transaction. Raises OwnedMediaGone; KeyTaken; DatabaseUnavailable."""
    rows = _Rows(campaign, chunk_size)
    async with database.transaction() as connection:
        await connection.execute(_SQL["bulk_timeout"])
        if campaign.keyed is not None:
            await reserve_key(connection, campaign.keyed.key)
        if campaign.media is not None:
            owned = await connection.fetchval(_SQL["own_media"], campaign.media, campaign.token)
            if owned is None:
                raise OwnedMediaGone("the uploaded file is gone; please send it again")
        await connection.copy_records_to_table(
            "messages",
            columns=["id", "campaign", "lane", "kind", "phone", "phone_key", "chosen_endpoint", "on_unknown"],
            records=rows.messages(),
            timeout=_COPY_TIMEOUT,
        )
        await connection.execute(
            _SQL["insert_campaign"],
            campaign.token,
            campaign.kind.value,
            campaign.lane.value,
            campaign.content,
            campaign.media,
            campaign.endpoint,
            campaign.on_unknown.value,
            campaign.reference,
            len(campaign.phones),
            campaign.rejected,
            campaign.duplicates,
            rows.first_id,
            rows.last_id,
            campaign.expires_at,
            campaign.expires_after,
            campaign.send_at,
        )
        await connection.copy_records_to_table(
            "chunks",
            columns=["campaign", "number", "first_id", "last_id", "size"],
            records=rows.chunks,
            timeout=_COPY_TIMEOUT,
        )
        if campaign.keyed is not None:
            # Last, so that a batch of single sends with the same key waits for no copying.
            await keep_answer(connection, campaign.keyed)


class _Rows:
    """Makes ids and rows while they are copied, not before: 100,000 objects kept at once set off the garbage collector,
    which then holds up every other request for 0.2 s."""

    def __init__(self, campaign: NewCampaign, chunk_size: int) -> None:
        self._campaign = campaign
        self._chunk_size = chunk_size
        self.chunks: list[tuple[UUID, int, UUID, UUID, int]] = []

    @property
    def first_id(self) -> UUID:
        return self.chunks[0][2]

    @property
    def last_id(self) -> UUID:
        return self.chunks[-1][3]

    async def messages(self) -> AsyncIterator[tuple[Any, ...]]:
        """A row for each phone, ids ascending; notes the chunks on the way."""
        campaign = self._campaign
        before = (campaign.token, campaign.lane.value, campaign.kind.value)
        after = (campaign.endpoint, campaign.on_unknown.value)
        for start in range(0, len(campaign.phones), self._chunk_size):
            phones = campaign.phones[start : start + self._chunk_size]
            first: UUID | None = None
            for index in range(0, len(phones), _ROWS_AT_ONCE):
                some = phones[index : index + _ROWS_AT_ONCE]
                ids = new_message_ids(len(some))
                first = first or ids[0]
                for message, phone in zip(ids, some, strict=True):
                    yield message, *before, phone, phone_key(phone), *after
                last = ids[-1]
                await asyncio.sleep(0)
            if first is not None:
                self.chunks.append((campaign.token, len(self.chunks), first, last, len(phones)))


async def analyze_messages(database: Database, inserted: int) -> None:
    """Tells the planner about many new rows. Raises DatabaseUnavailable, also when another one is at it."""
    if inserted < _ANALYZE_FROM:
        return
    async with database.transaction() as connection:
        await connection.execute(_SQL["bulk_timeout"])
        await connection.execute(_SQL["analyze"], timeout=_COPY_TIMEOUT)


async def newest_campaigns(database: Database, before: tuple[datetime, UUID] | None, limit: int) -> list[Row]:
    """Campaigns with their counts, newest first; ``before``: (created_at, token) of the last one seen. Raises
    DatabaseUnavailable."""
    created_at, token = before if before else (None, None)
    return await database.fetch(_SQL["campaigns_page"], created_at, token, limit)


async def campaign_range(database: Database, token: UUID) -> Row | None:
    """token, reference, first_id and last_id; None: there is none. Raises DatabaseUnavailable."""
    return await database.fetchrow(_SQL["campaign_range"], token)


def message_counts(row: Row) -> dict[str, int]:
    """One number for each status of a message, out of a row with counts: what is neither ended nor under way is queued."""
    ended = {name: int(row[name]) for name in ("sent", "failed", "unknown", "canceled", "expired", "suppressed")}
    sending = int(row["under_way"]) + int(row["checking"])
    retrying = int(row["retrying"])
    queued = max(int(row["total"]) - sum(ended.values()) - sending - retrying, 0)
    return {"queued": queued, "sending": sending, "retrying": retrying, **ended}


@dataclass(frozen=True, slots=True)
class Progress:
    """A campaign as it stands. ``rate``: messages sent a minute, lately."""

    row: Row
    chunks: list[Row]
    chunk_totals: dict[str, int]
    suspended: set[str]
    rate: float


async def campaign_progress(
    database: Database, token: UUID, endpoints: Sequence[str], chunk_limit: int
) -> Progress | None:
    """None: there is no such campaign. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        row = await connection.fetchrow(_SQL["campaign"], token)
        if row is None:
            return None
        chunks = await connection.fetch(_SQL["chunks"], token, chunk_limit)
        totals = await connection.fetchrow(_SQL["chunk_totals"], token)
        suspended = await connection.fetch(_SQL["suspended"], list(endpoints))
        recent = await connection.fetch(
            _SQL["recent_sends"],
            list(endpoints),
            row["first_id"],
            row["last_id"],
            _RATE_ATTEMPTS,
            RATE_SECONDS,
            UUID(int=max(row["first_id"].int - _TWO_DAYS, 0)),
            UUID(int=min(row["last_id"].int + _TWO_DAYS, 2**128 - 1)),
        )
    counted = dict(totals) if totals is not None else {"total": 0, "closed": 0, "fed": 0}
    counted["waiting"] = counted["total"] - counted["closed"] - counted["fed"]
    return Progress(row, chunks, counted, {line["id"] for line in suspended}, sum(map(_rate, recent)))


def _rate(recent: Row) -> float:
    """Messages a minute of one account: over the whole time looked at, or, where it did more than was looked at, over
    the time that this took."""
    full = recent["attempts"] >= _RATE_ATTEMPTS
    seconds = max(float(recent["since_first"]), 1.0) if full else RATE_SECONDS
    return int(recent["sent"]) * 60.0 / seconds


async def failure_reasons(database: Database, campaign: Row, limit: int) -> list[tuple[str, int]]:
    """The commonest reasons of failed messages and how many have each. Reads the whole campaign. Raises
    DatabaseUnavailable."""
    rows = await database.fetch(
        _SQL["failure_reasons"], campaign["token"], campaign["first_id"], campaign["last_id"], limit
    )
    return [(row["reason"], row["messages"]) for row in rows]


async def start_campaigns(database: Database, limit: int) -> list[UUID]:
    """Lets up to ``limit`` scheduled campaigns run whose time has come; their tokens. Raises DatabaseUnavailable."""
    return [row["token"] for row in await database.fetch(_SQL["start"], limit)]


async def pause_campaign(database: Database, token: UUID) -> CampaignStatus | None:
    """The status afterwards, ``paused`` unless it is over; None: there is none. Raises DatabaseUnavailable."""
    return _status(await database.fetchval(_SQL["pause"], token))


async def resume_campaign(database: Database, token: UUID) -> CampaignStatus | None:
    """The status afterwards; only a paused one changes, to ``scheduled`` where its time has not come yet. None: there is
    none. Raises DatabaseUnavailable."""
    return _status(await database.fetchval(_SQL["resume"], token))


async def cancel_campaign(database: Database, token: UUID) -> CampaignStatus | None:
    """The status afterwards, ``canceled`` unless it is finished. None: there is none. Raises DatabaseUnavailable."""
    return _status(await database.fetchval(_SQL["cancel"], token))


def _status(value: Any) -> CampaignStatus | None:
    return None if value is None else CampaignStatus(value)


async def retry_campaign(
    database: Database, token: UUID, reason: str | None, chunks: Sequence[int] | None, shard: int
) -> int | None:
    """Puts failed messages back into the queue; how many, -1: cancelled, -2: its media is gone, None: there is none.
    Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(_SQL["bulk_timeout"])
        count = await connection.fetchval(
            _SQL["retry"], token, reason, None if chunks is None else list(chunks), shard, timeout=_COPY_TIMEOUT
        )
    return None if count is None else int(count)


async def stop_lanes(database: Database, lanes: Iterable[Lane], reason: str) -> list[str]:
    """Stops lanes, beside those that are stopped; the lanes stopped then. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        stopped, _ = await _stopped(connection)
        after = sorted(stopped | {lane.value for lane in lanes})
        await connection.execute(_SQL["set_stopped_lanes"], after, reason)
        return after


@dataclass(frozen=True, slots=True)
class Started:
    """``stopped_lanes``: those still stopped, and why. ``went_back_at``: since when it was known that Postgres went back in
    time, which this start has confirmed; None: it did not."""

    stopped_lanes: list[str]
    reason: str | None
    went_back_at: datetime | None


async def start_lanes(database: Database, lanes: Iterable[Lane]) -> Started:
    """Starts lanes again, and confirms that Postgres went back if it did. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        stopped, reason = await _stopped(connection)
        went_back_at = await connection.fetchval(_SQL["confirm_going_back"])
        left = sorted(stopped - {lane.value for lane in lanes})
        await connection.execute(_SQL["set_stopped_lanes"], left, reason if left else None)
        return Started(left, reason if left else None, went_back_at)


async def _stopped(connection: Connection) -> tuple[set[str], str | None]:
    # The lock comes before the row is read, or two changes at once would lose one; and it is always the first lock.
    await connection.execute(_SQL["gate_lock"])
    row = await connection.fetchrow(_SQL["stopped"])
    return (set(row["stopped_lanes"]), row["stop_reason"]) if row is not None else (set(), None)
