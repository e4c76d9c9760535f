"""Messages that wait outside a chunk and are not in Redis: single sends whose enqueueing failed, retries that were lost,
everything that is due after a rebuild. Enqueueing twice is harmless, and happens to no message twice within a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from prometheus_client import Counter

from services.scheduler.stream_ages import LOST_AFTER, stream_ages
from shared.database.connection import Database
from shared.database.due import chosen_endpoints, claim_unqueued, mark_lost, release_unqueued
from shared.database.feeding import FeedStream
from shared.errors import RebuildNeeded, StoreUnavailable
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.streams import stream_length

log = structlog.get_logger()
_swept = Counter("paceline_unqueued_messages_total", "Messages enqueued because they were not in Redis", ["lane"])
_lost = Counter("paceline_lost_entries_total", "Messages whose entry had gone from Redis", ["lane"])
_BATCH = 500
_LOST_INTERVAL = 5.0
_LOST_BATCH = 1000


class UnqueuedMessages:
    name = "unqueued_messages"
    interval = 1.0

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        high_water: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._database = database
        # Retries go ahead of chunks, but a million of them must not fill Redis either.
        self._most = {Lane.BULK: 2 * high_water}
        self._clock = clock
        self._looked_at = float("-inf")

    async def step(self) -> float | None:
        """Enqueues a batch per lane; at once again while there is more."""
        if self._clock() - self._looked_at >= _LOST_INTERVAL:
            await self.find_lost()
            self._looked_at = self._clock()
        more = [await self._enqueue(lane) for lane in Lane]
        return 0.0 if any(more) else None

    async def _enqueue(self, lane: Lane) -> bool:
        room = _BATCH
        if lane in self._most:
            room = min(_BATCH, self._most[lane] - await stream_length(self._queue, lane))
        if room <= 0:
            return False
        claimed = await claim_unqueued(self._database, lane, room)
        if not claimed:
            return False
        try:
            await enqueue(self._queue, [Placement(item.entry) for item in claimed], claimed[0].epoch)
        except (StoreUnavailable, RebuildNeeded):
            with suppress(StoreUnavailable):
                await release_unqueued(self._database, claimed)
            raise
        _swept.labels(lane.value).inc(len(claimed))
        return len(claimed) == _BATCH

    async def find_lost(self) -> None:
        """Marks what must have left Redis without having begun."""
        ages = await stream_ages(self._queue)
        streams = [FeedStream(lane, "") for lane in Lane]
        streams += [FeedStream(*pair) for pair in await chosen_endpoints(self._database, _LOST_BATCH)]
        for stream in streams:
            age = ages.of(stream) + LOST_AFTER
            lost = await mark_lost(self._database, stream.lane, stream.endpoint, age, _LOST_BATCH)
            if lost:
                _lost.labels(stream.lane.value).inc(lost)
                log.warning("entries lost", lane=stream.lane.value, endpoint=stream.endpoint, messages=lost)
