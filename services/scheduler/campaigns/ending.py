"""Ends what waits of campaigns that were cancelled or whose time is over, chunk by chunk. No attempt of theirs begins from
the moment of the cancel; this only writes it down, and in pieces, so that nobody waits for a million rows."""

from __future__ import annotations

from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.database.campaign_endings import end_next_chunk, ending_campaigns
from shared.database.connection import Database
from shared.messages import Status

log = structlog.get_logger()
_ended = Counter("paceline_campaign_messages_ended_total", "Messages ended with their campaign, cancelled or expired")
_ROWS = 5000
"""Messages ended in one transaction, at most."""
_CHUNKS = 50
"""Chunks of one campaign looked at in a step, at most, so that a stop need not wait for all of them."""
_REASONS = {Status.CANCELED: "its campaign was cancelled", Status.EXPIRED: "its campaign's time was over"}


class Ending:
    name = "ending"
    interval = 1.0

    def __init__(self, database: Database, shard: int) -> None:
        self._database = database
        self._shard = shard

    async def step(self) -> float | None:
        """At once again while there is more to end."""
        worked = [await self._end(campaign) for campaign in await ending_campaigns(self._database)]
        return 0.0 if any(worked) else None

    async def _end(self, campaign: UUID) -> bool:
        """Whether messages were ended and more may wait."""
        number, total = -1, 0
        for _ in range(_CHUNKS):
            chunk = await end_next_chunk(self._database, campaign, number, _ROWS, self._shard, _REASONS)
            if chunk is None:
                break
            total += chunk.ended
            number = chunk.number - 1 if chunk.more else chunk.number
        if total:
            _ended.inc(total)
            log.info("campaign ended early", campaign=str(campaign), messages=total)
        return total > 0
