"""Feeds chunks into Redis while the stream that they go to is short, the campaign that has waited longest first.

So Redis does not grow with the size of campaigns, a small campaign is not behind a large one, and an account that is down
stops only what callers bound to it.

A recipient stays with the account that talked to them last, so a message is bound to that account while it works. What
would make the account's own stream long is skipped, noted at the chunk, and fed as that stream runs out; meanwhile the
others go on. When the account stops working, what was skipped for it goes to the lane.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.database.connection import Database
from shared.database.feeding import (
    ClaimedChunk,
    FeedStream,
    claim_chunk,
    feedable_streams,
    mark_fed,
    release_chunk,
    waiting_entries,
)
from shared.endpoints.breaker_state import BreakerState
from shared.errors import RebuildNeeded, StoreUnavailable
from shared.messages import Entry, Lane
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.rota import endpoint_states
from shared.queue.streams import parked_entries, stream_length

log = structlog.get_logger()
_fed = Counter("paceline_chunks_fed_total", "Chunks of campaigns put into Redis")
_LEASE = 30.0
"""Seconds for a claimed chunk; enqueueing one takes milliseconds."""
_OWN_HIGH_WATER = 20
"""Entries bound to one endpoint: it alone takes them, one at a time."""
_OWN_LOW_WATER = 10
"""Chunks that skipped an endpoint are looked at again when its stream is this short, not for every single message."""
_PARKED = 5
"""Times the high water: with so many entries parked, what is fed would mostly be parked as well."""
_MOST_CHUNKS = 100
"""In one step, so that a stop need not wait for a campaign whose messages are all skipped."""
_SLICE = 500


class _Lengths:
    """How long the streams are, and what more they take; counted along while feeding."""

    def __init__(self, lanes: dict[FeedStream, int], own: dict[FeedStream, int], working: Collection[str], high: int):
        self._lengths = {**own, **lanes}
        self._lanes = set(lanes)
        self._working = working
        self._high = high

    def full(self) -> set[FeedStream]:
        return {stream for stream in self._lanes if not self.takes(stream)}

    def takes(self, stream: FeedStream) -> bool:
        return self._lengths[stream] < (_OWN_HIGH_WATER if stream.endpoint else self._high)

    def room(self, endpoints: Collection[str]) -> list[str]:
        """Endpoints whose skipped messages may be fed: there, or to the lane when the endpoint does not work."""
        lanes = {stream.lane for stream in self._lanes}
        return [
            endpoint
            for endpoint in endpoints
            if endpoint not in self._working
            or all(self._lengths[FeedStream(lane, endpoint)] <= _OWN_LOW_WATER for lane in lanes)
        ]

    def works(self, endpoint: str) -> bool:
        return endpoint in self._working

    def add(self, stream: FeedStream) -> None:
        self._lengths[stream] = self._lengths.get(stream, 0) + 1


class Feeding:
    name = "feeding"
    interval = 0.2

    def __init__(
        self, queue: QueueConnection, database: Database, high_water: int, endpoints: Collection[str] = ()
    ) -> None:
        """``endpoints``: those of the settings."""
        self._queue = queue
        self._database = database
        self._high_water = high_water
        self._endpoints = endpoints

    async def step(self) -> None:
        """Feeds until every stream that chunks wait for is full."""
        streams = await feedable_streams(self._database)
        if not streams or await self._much_is_parked():
            return
        lengths = await self._look(streams)
        for _ in range(_MOST_CHUNKS):
            full = lengths.full()
            if len(full) == len(streams):
                return
            chunk = await claim_chunk(self._database, full, _LEASE, lengths.room(self._endpoints))
            if chunk is None or chunk.stream not in streams:
                return
            await self._feed(chunk, lengths)

    async def _much_is_parked(self) -> bool:
        return await parked_entries(self._queue) >= _PARKED * self._high_water

    async def _look(self, streams: Collection[FeedStream]) -> _Lengths:
        own = [FeedStream(lane, endpoint) for endpoint in self._endpoints for lane in Lane]
        states = await endpoint_states(self._queue, list(self._endpoints))
        return _Lengths(
            lanes={stream: await stream_length(self._queue, stream.lane, stream.endpoint) for stream in streams},
            own={stream: await stream_length(self._queue, stream.lane, stream.endpoint) for stream in own},
            working={
                endpoint
                for endpoint, state in states.items()
                if (state.get("breaker") or BreakerState.CLOSED) == BreakerState.CLOSED
            },
            high=self._high_water,
        )

    async def _feed(self, chunk: ClaimedChunk, lengths: _Lengths) -> None:
        """Enqueues the chunk's waiting messages; on any failure it stays unfed."""
        try:
            fed, skipped = _placed(await waiting_entries(self._database, chunk), lengths)
            for start in range(0, len(fed), _SLICE):
                await enqueue(self._queue, [Placement(entry) for entry in fed[start : start + _SLICE]], chunk.epoch)
            await mark_fed(self._database, chunk, skipped)
        except (StoreUnavailable, RebuildNeeded):
            with suppress(StoreUnavailable):
                await release_chunk(self._database, chunk)
            raise
        _fed.inc()
        log.debug("chunk fed", campaign=str(chunk.campaign), chunk=chunk.number, entries=len(fed), skipped=len(skipped))


def _placed(entries: list[Entry], lengths: _Lengths) -> tuple[list[Entry], dict[str, UUID]]:
    """The entries that go into Redis now, and the accounts that take no more, each with the first that was left out."""
    fed: list[Entry] = []
    skipped: dict[str, UUID] = {}
    for entry in entries:
        placed = entry
        if entry.endpoint and not entry.chosen and not lengths.works(entry.endpoint):
            placed = replace(entry, endpoint="")
        stream = FeedStream(placed.lane, placed.endpoint)
        if placed.endpoint and not placed.chosen and (placed.endpoint in skipped or not lengths.takes(stream)):
            skipped.setdefault(placed.endpoint, placed.message)
            continue
        lengths.add(stream)
        fed.append(placed)
    return fed, skipped
