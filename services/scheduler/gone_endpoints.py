"""Takes slots of accounts out of the rota that are gone from the settings: at its head they would stand in the way of others.

Gone is what no dispatcher's beat and no scheduler has named for ten minutes, longer than two versions of the settings are
ever alive without one of them speaking. What is in use, or waits for the end of a pause or a cap, stays until that is over. So
do entries that callers bound to the account; they expire.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog
from prometheus_client import Counter

from shared.queue.connection import QueueConnection
from shared.queue.rota import drop_gone

log = structlog.get_logger()
_dropped = Counter("paceline_slots_dropped_total", "Slots of accounts that nobody's settings name any more")
GONE_AFTER = 600.0
"""Seconds."""


class GoneEndpoints:
    name = "gone_endpoints"
    interval = 30.0

    def __init__(self, queue: QueueConnection, endpoints: Collection[str], slots: int) -> None:
        """``slots``: of each endpoint."""
        self._queue = queue
        self._endpoints = sorted(endpoints)
        self._slots = slots

    async def step(self) -> None:
        dropped = await drop_gone(self._queue, self._endpoints, self._slots, round(GONE_AFTER * 1000))
        if dropped:
            _dropped.inc(len(dropped))
            log.info("slots dropped", slots=dropped)
