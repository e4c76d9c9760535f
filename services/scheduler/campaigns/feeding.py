"""Feeds chunks into Redis while the stream that they go to is short, the campaign that has waited longest first.

So Redis does not grow with the size of campaigns, a small campaign is not behind a large one, and an account that is down
stops only what callers bound to it.
"""

from __future__ import annotations

from contextlib import suppress

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
from shared.errors import RebuildNeeded, StoreUnavailable
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue, stream_length

log = structlog.get_logger()
_fed = Counter("paceline_chunks_fed_total", "Chunks of campaigns put into Redis")
_LEASE = 30.0
"""Seconds for a claimed chunk; enqueueing one takes milliseconds."""
_OWN_HIGH_WATER = 20
"""Entries bound to one endpoint: it alone takes them, one at a time."""
_SLICE = 500


class Feeding:
    name = "feeding"
    interval = 0.2

    def __init__(self, queue: QueueConnection, database: Database, high_water: int) -> None:
        self._queue = queue
        self._database = database
        self._high_water = high_water

    async def step(self) -> None:
        """Feeds until every stream that chunks wait for is full."""
        lengths = {
            stream: await stream_length(self._queue, stream.suffix) for stream in await feedable_streams(self._database)
        }
        full = {stream for stream in lengths if self._is_full(stream, lengths)}
        while len(full) < len(lengths):
            chunk = await claim_chunk(self._database, full, _LEASE)
            if chunk is None or chunk.stream not in lengths:
                return
            lengths[chunk.stream] += await self._feed(chunk)
            if self._is_full(chunk.stream, lengths):
                full.add(chunk.stream)

    def _is_full(self, stream: FeedStream, lengths: dict[FeedStream, int]) -> bool:
        return lengths[stream] >= (_OWN_HIGH_WATER if stream.endpoint else self._high_water)

    async def _feed(self, chunk: ClaimedChunk) -> int:
        """Enqueues the chunk's waiting messages and answers how many; on any failure it stays unfed."""
        try:
            placements = [Placement(entry) for entry in await waiting_entries(self._database, chunk)]
            for start in range(0, len(placements), _SLICE):
                await enqueue(self._queue, placements[start : start + _SLICE], chunk.epoch)
            await mark_fed(self._database, chunk)
        except (StoreUnavailable, RebuildNeeded):
            with suppress(StoreUnavailable):
                await release_chunk(self._database, chunk)
            raise
        _fed.inc()
        log.debug("chunk fed", campaign=str(chunk.campaign), chunk=chunk.number, entries=len(placements))
        return len(placements)
