"""Receipts that found no message: looked at again every 30 s for a day, then forgotten.

Most are of messages that somebody typed on the phone. A few came at the very moment when the send was settled, so that
neither side saw the other.
"""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from shared.database.connection import Database
from shared.database.receipts import join_leftovers

log = structlog.get_logger()
_joined = Counter("paceline_late_receipts_total", "Messages whose receipt was joined by the scheduler")
_forgotten = Counter("paceline_forgotten_receipts_total", "Receipts that belong to no message of ours")
_KEPT = 24 * 3600.0  # seconds; the answer to a send can wait for Postgres, never so long
_BATCH = 500  # 0.1 s when all of them have a message
_NEXT_PAGE = 0.2  # seconds; a phone in heavy use must not keep Postgres busy


class PendingReceipts:
    """Goes round, page by page; a round begins every 30 s."""

    name = "pending_receipts"
    interval = 30.0

    def __init__(self, database: Database, shard: int) -> None:
        self._database = database
        self._shard = shard
        self._cursor = ""

    async def step(self) -> float | None:
        page = await join_leftovers(self._database, self._shard, self._cursor, _BATCH, _KEPT)
        _joined.inc(page.changed)
        _forgotten.inc(page.forgotten)
        if page.changed:
            log.info("late receipts joined", messages=page.changed)
        self._cursor = page.following
        return _NEXT_PAGE if page.following else None
