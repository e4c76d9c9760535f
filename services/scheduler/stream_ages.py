"""How old the oldest entry of a stream is. Streams are first in, first out, and a settled entry is deleted, so what was
enqueued well before that entry is not in Redis any more."""

from __future__ import annotations

from dataclasses import dataclass

from shared.database.feeding import FeedStream
from shared.messages import Lane
from shared.queue.connection import QueueConnection, clock_ms
from shared.queue.streams import oldest_entries

LOST_AFTER = 60.0
"""Seconds that something must have been enqueued before the oldest entry to count as lost: clocks, slow writes, and an
entry on its way from one stream to another."""


@dataclass(frozen=True, slots=True)
class StreamAges:
    """Seconds; an empty stream counts as 0."""

    lanes: dict[Lane, float]
    own: dict[FeedStream, float]

    def of(self, stream: FeedStream) -> float:
        return self.own.get(stream, 0.0) if stream.endpoint else self.lanes[stream.lane]


async def stream_ages(queue: QueueConnection) -> StreamAges:
    """Raises QueueUnavailable.

    An entry of a lane may have been bound to an endpoint meanwhile, so a lane is as old as the oldest of its entries in
    any stream. Those whose endpoint the caller chose do not count for it, since they may wait for days.
    """
    now = await clock_ms(queue)
    lanes = dict.fromkeys(Lane, 0.0)
    own: dict[FeedStream, float] = {}
    for oldest in await oldest_entries(queue):
        age = max(0.0, (now - oldest.added_ms) / 1000)
        if oldest.endpoint:
            own[FeedStream(oldest.lane, oldest.endpoint)] = age
        if not oldest.chosen:
            lanes[oldest.lane] = max(lanes[oldest.lane], age)
    return StreamAges(lanes, own)
