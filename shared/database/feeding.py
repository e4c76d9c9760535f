"""The chunks of campaigns that wait to be fed into Redis. Being fed is a column of the chunk; no message row changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.messages import Entry, Lane

_SQL = load_statements("feeding")


@dataclass(frozen=True, slots=True)
class FeedStream:
    """A stream that chunks go to: a lane, or what is bound to one endpoint of it."""

    lane: Lane
    endpoint: str

    @property
    def name(self) -> str:
        """As ``claim_chunk`` in SQL writes it."""
        return f"{self.lane.value}:{self.endpoint}"


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """Ours until ``until``, to be enqueued for ``epoch``. ``skipped``: only messages of these accounts' contacts are wanted,
    each from the given one on; empty: all that wait."""

    campaign: UUID
    number: int
    first_id: UUID
    last_id: UUID
    until: datetime
    stream: FeedStream
    epoch: int
    skipped: dict[str, UUID]


async def feedable_streams(database: Database) -> list[FeedStream]:
    """Raises DatabaseUnavailable."""
    return [FeedStream(Lane(row["lane"]), row["endpoint"]) for row in await database.fetch(_SQL["feedable_streams"])]


async def claim_chunk(
    database: Database, full: Collection[FeedStream], lease_seconds: float, room: Collection[str] = ()
) -> ClaimedChunk | None:
    """The next chunk that goes to none of the ``full`` streams, or that has skipped an endpoint of ``room``; None: there is
    none. Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["claim_chunk"], [stream.name for stream in full], lease_seconds, list(room))
    if row is None:
        return None
    return ClaimedChunk(
        campaign=row["campaign"],
        number=row["number"],
        first_id=row["first_id"],
        last_id=row["last_id"],
        until=row["feeding_until"],
        stream=FeedStream(Lane(row["lane"]), row["endpoint"]),
        epoch=row["epoch"],
        skipped={endpoint: UUID(first) for endpoint, first in row["skipped"].items()},
    )


async def waiting_entries(database: Database, chunk: ClaimedChunk) -> list[Entry]:
    """The entries of the chunk's messages that have not begun, in order, bound to the account that the caller chose or,
    unless chosen, that talked to the recipient last; retries have a ``due`` row of their own. Raises DatabaseUnavailable."""
    first = min(chunk.skipped.values(), default=chunk.first_id)
    rows = await database.fetch(_SQL["waiting_rows"], chunk.campaign, first, chunk.last_id)
    entries = []
    for row in rows:
        endpoint = row["chosen_endpoint"] or chunk.stream.endpoint
        sticky = "" if endpoint else row["talked_to_by"] or ""
        if chunk.skipped and not (sticky in chunk.skipped and row["id"] >= chunk.skipped[sticky]):
            continue
        entries.append(
            Entry(
                message=row["id"],
                attempt=row["attempt"] + 1,
                lane=chunk.stream.lane,
                endpoint=endpoint or sticky,
                chosen=bool(endpoint),
                crashes=row["crashes"],
            )
        )
    return entries


async def mark_fed(database: Database, chunk: ClaimedChunk, skipped: Mapping[str, UUID]) -> bool:
    """``skipped``: endpoints whose stream was full, with the first message of each that was left out. False: the chunk was
    asked for again meanwhile, and will be fed again. Raises DatabaseUnavailable."""
    left = {endpoint: str(first) for endpoint, first in skipped.items()}
    status = await database.execute(_SQL["mark_fed"], chunk.campaign, chunk.number, chunk.until, left)
    return status == "UPDATE 1"


async def release_chunk(database: Database, chunk: ClaimedChunk) -> None:
    """Gives a claim back. Raises DatabaseUnavailable."""
    await database.execute(_SQL["release_chunk"], chunk.campaign, chunk.number, chunk.until)
