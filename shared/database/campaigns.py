"""Campaigns: accepting one, its progress, and what an operator does to it or to everything.

Every function that forbids attempts takes the gate's lock in Postgres (``migrations/functions/gate_key.sql``), so it holds from
the moment it returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.database.idempotency import CallerKey, Keyed, keep_answer, reserve_key
from shared.database.messages import Draft, Row
from shared.errors import PacelineError
from shared.messages import CampaignStatus, Lane, new_message_ids
from shared.messages.phone_key import phone_key

if TYPE_CHECKING:
    from shared.database.connection import Connection

_SQL = load_statements("campaigns")
_MESSAGE_COLUMNS = ["id", "campaign", "lane", "kind", "phone", "phone_key", "chosen_endpoint", "on_unknown"]
_CHUNK_COLUMNS = ["campaign", "number", "first_id", "last_id", "size"]
_COPY_TIMEOUT = 300.0  # seconds; a million rows on a slow disk
_ROWS_AT_ONCE = 500  # rows that are made and encoded before other requests get their turn, about 2 ms
_ANALYZE_FROM = 50_000  # rows; fewer do not change what the planner thinks of the table
_RATE_ATTEMPTS = 500
_TWO_DAYS = 2 * 86_400_000 << 80
"""Between two ids that were made two days apart. The rate needs no attempts of messages that are further from a campaign's own,
and so mostly reads no other month than theirs."""
RATE_SECONDS = 300.0
"""The rate of a campaign is what it sent in so many seconds."""


class CampaignCanceled(PacelineError):
    """Its messages are not sent again."""


class MediaGone(PacelineError):
    """The file to be sent again is deleted."""


class OwnedMediaGone(PacelineError):
    """The uploaded file was deleted before its request was accepted."""


class NoRecipients(PacelineError):
    """The list held nobody to send to; nothing was written."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known of a list once it was read to its end. ``rejected`` and ``duplicates`` are recipients that were left out.
    ``keyed``: the answer to be kept under an Idempotency-Key."""

    rejected: int = 0
    duplicates: int = 0
    keyed: Keyed | None = None


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """It is scheduled until the draft's ``send_at``. ``recipients``: phones, each once, in portions of which one at a time is
    in memory. ``tally`` is asked after the last of them, with how many there were. ``key``: nobody else begins the same work
    under it meanwhile."""

    token: UUID
    draft: Draft
    recipients: AsyncIterable[Sequence[str]]
    tally: Callable[[int], Tally]
    key: CallerKey | None = None


async def in_one_portion(phones: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    """The recipients of a list that is in memory as it is."""
    yield phones


async def insert_campaign(database: Database, campaign: NewCampaign, chunk_size: int) -> int:
    """Writes campaign, messages and chunks in one transaction while the recipients are read; how many messages. Whatever
    happens before its end, a cancellation or a lost connection too, leaves nothing. Raises OwnedMediaGone, KeyTaken,
    NoRecipients, DatabaseUnavailable, and what ``recipients`` and ``tally`` raise."""
    rows = _Rows(campaign, chunk_size)
    try:
        async with database.transaction() as connection, aclosing(rows.messages(connection)) as messages:
            await connection.execute(_SQL["bulk_timeout"])
            await _reserve(connection, campaign)
            await connection.copy_records_to_table(
                "messages", columns=_MESSAGE_COLUMNS, records=messages, timeout=_COPY_TIMEOUT
            )
            if not rows.chunks.total:
                raise NoRecipients("the list holds nobody to send to")
            await _conclude(connection, campaign, rows.chunks)
            return rows.chunks.total
    except _ListBroken as broken:
        reason = broken.reason
    raise reason


async def _reserve(connection: Connection, campaign: NewCampaign) -> None:
    if campaign.key is not None:
        await reserve_key(connection, campaign.key)
    if campaign.draft.media is not None:
        owned = await connection.fetchval(_SQL["own_media"], campaign.draft.media, campaign.token)
        if owned is None:
            raise OwnedMediaGone("the uploaded file is gone; please send it again")


async def _conclude(connection: Connection, campaign: NewCampaign, chunks: _Chunks) -> None:
    """Writes what is known only now that all messages are."""
    draft, tally = campaign.draft, campaign.tally(chunks.total)
    await connection.execute(
        _SQL["insert_campaign"],
        campaign.token,
        draft.kind.value,
        draft.lane.value,
        draft.content,
        draft.media,
        draft.endpoint,
        draft.on_unknown.value,
        draft.reference,
        chunks.total,
        tally.rejected,
        tally.duplicates,
        chunks.first_id,
        chunks.last_id,
        draft.expires_at,
        draft.expires_after,
        draft.send_at,
    )
    await connection.copy_records_to_table(
        "chunks", columns=_CHUNK_COLUMNS, records=chunks.rows(campaign.token), timeout=_COPY_TIMEOUT
    )
    if tally.keyed is not None:
        # Last, so that a batch of single sends with the same key waits for no copying.
        await keep_answer(connection, tally.keyed)


class _ListBroken(Exception):
    """Carries what reading the recipients raised out of the transaction as it is. Bare, an OSError would count as one of the
    connection to Postgres, and asyncpg would take a TimeoutError for its own."""

    def __init__(self, reason: Exception) -> None:
        super().__init__("the recipients could not be read to their end")
        self.reason = reason


class _Rows:
    """Makes ids and rows while they are copied, not before: 100,000 objects kept at once set off the garbage collector,
    which then holds up every other request for 0.2 s."""

    def __init__(self, campaign: NewCampaign, chunk_size: int) -> None:
        self._campaign = campaign
        self.chunks = _Chunks(chunk_size)

    async def messages(self, connection: Connection) -> AsyncGenerator[tuple[Any, ...], None]:
        """A row for each phone, ids ascending; notes the chunks on the way. Ends early where the connection is lost, which the
        COPY then raises. Raises _ListBroken."""
        draft = self._campaign.draft
        before = (self._campaign.token, draft.lane.value, draft.kind.value)
        after = (draft.endpoint, draft.on_unknown.value)
        try:
            async for portion in self._campaign.recipients:
                for start in range(0, len(portion), _ROWS_AT_ONCE):
                    if connection.is_closed():
                        return
                    phones = portion[start : start + _ROWS_AT_ONCE]
                    ids = new_message_ids(len(phones))
                    self.chunks.note(ids)
                    for message, phone in zip(ids, phones, strict=True):
                        yield message, *before, phone, phone_key(phone), *after
                    await asyncio.sleep(0)
        except Exception as error:
            raise _ListBroken(error) from error


class _Chunks:
    """The slices of a campaign, noted as its ids are made and kept as 32 bytes each: as tuples a million chunks of one message
    would take 300 MiB."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._first_ids = bytearray()
        self._last_ids = bytearray()
        self._latest = b""
        self.total = 0

    def note(self, ids: Sequence[UUID]) -> None:
        """The next messages; ids ascend from call to call."""
        for start in range(-self.total % self._size, len(ids), self._size):
            # The chunk before ends where this one begins.
            self._last_ids += ids[start - 1].bytes if start else self._latest
            self._first_ids += ids[start].bytes
        self._latest = ids[-1].bytes
        self.total += len(ids)

    @property
    def first_id(self) -> UUID:
        return UUID(bytes=bytes(self._first_ids[:16]))

    @property
    def last_id(self) -> UUID:
        return UUID(bytes=self._latest)

    async def rows(self, campaign: UUID) -> AsyncIterator[tuple[UUID, int, UUID, UUID, int]]:
        """A row for each chunk: campaign, number, its first and last id, how many."""
        firsts, lasts = bytes(self._first_ids), bytes(self._last_ids + self._latest)
        for number, place in enumerate(range(0, len(firsts), 16)):
            if not number % _ROWS_AT_ONCE:
                await asyncio.sleep(0)
            size = min(self._size, self.total - number * self._size)
            yield (
                campaign,
                number,
                UUID(bytes=firsts[place : place + 16]),
                UUID(bytes=lasts[place : place + 16]),
                size,
            )


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


def queued_again(count: int | None) -> int:
    """How many messages a function of Postgres has queued again. Raises CampaignCanceled, MediaGone, which it answers by -1 and
    -2."""
    if count == -1:
        raise CampaignCanceled("the campaign is canceled; its messages are not sent again")
    if count == -2:
        raise MediaGone("the file is deleted; send it as a new message or campaign")
    return count or 0


async def retry_campaign(
    database: Database, token: UUID, reason: str | None, chunks: Sequence[int] | None, shard: int
) -> int | None:
    """Puts failed messages back into the queue; how many, None: there is no such campaign. Raises CampaignCanceled, MediaGone,
    DatabaseUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(_SQL["bulk_timeout"])
        count = await connection.fetchval(
            _SQL["retry"], token, reason, None if chunks is None else list(chunks), shard, timeout=_COPY_TIMEOUT
        )
    return None if count is None else queued_again(count)


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
