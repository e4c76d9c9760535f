"""Closes campaigns whose messages have all ended, and looks after chunks whose entries are gone from Redis: closed when
nothing of them is open, fed again when messages of them still wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.scheduler.stream_ages import LOST_AFTER, stream_ages
from shared.database.campaign_endings import complete_campaigns, fed_chunks_after, finish_campaign, review_chunk
from shared.database.connection import Database
from shared.queue.connection import QueueConnection

log = structlog.get_logger()
_finished = Counter("paceline_campaigns_finished_total", "Campaigns closed, all their messages having ended")
_refed = Counter("paceline_chunks_lost_total", "Chunks whose entries had gone from Redis")
_BATCH = 100
_REVIEW_INTERVAL = 5.0
_START = (UUID(int=0), -1)


class Completion:
    name = "completion"
    interval = 1.0

    def __init__(self, queue: QueueConnection, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._database = database
        self._clock = clock
        self._reviewed_at = float("-inf")
        self._cursor = _START

    async def step(self) -> None:
        for campaign in await complete_campaigns(self._database, _BATCH):
            if await finish_campaign(self._database, campaign):
                _finished.inc()
                log.info("campaign finished", campaign=str(campaign))
        if self._clock() - self._reviewed_at >= _REVIEW_INTERVAL:
            await self.review()
            self._reviewed_at = self._clock()

    async def review(self) -> None:
        """Looks at the next 100 fed chunks, in a round."""
        chunks = await fed_chunks_after(self._database, *self._cursor, _BATCH)
        self._cursor = (chunks[-1].campaign, chunks[-1].number) if len(chunks) == _BATCH else _START
        if not chunks:
            return
        ages = await stream_ages(self._queue)
        for chunk in chunks:
            if chunk.age > ages.of(chunk.stream) + LOST_AFTER:
                waiting, _ = await review_chunk(self._database, chunk)
                if waiting:
                    _refed.inc()
                    log.warning("chunk lost", campaign=str(chunk.campaign), chunk=chunk.number, messages=waiting)
