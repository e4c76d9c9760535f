"""Parked entries whose time has come go into their streams; slots whose lease ended go back into the rota."""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from services.scheduler.rate_in_force import RateInForce
from shared.queue.connection import QueueConnection
from shared.queue.promoting import promote

log = structlog.get_logger()
_promoted = Counter("paceline_entries_promoted_total", "Parked entries moved into their streams when due")
_leases = Counter("paceline_slot_leases_ended_total", "Slots taken back because nobody settled them in time")
_BATCH = 500
_LONGEST_WAIT = 0.5
"""Seconds: an entry parked meanwhile may be due sooner than the one that was first."""


class DueMessages:
    name = "due_messages"
    interval = _LONGEST_WAIT

    def __init__(self, queue: QueueConnection, rate: RateInForce, open_timeout_ms: int) -> None:
        self._queue = queue
        self._rate = rate
        self._open_timeout_ms = open_timeout_ms

    async def step(self) -> float:
        """Promotes up to 500 and answers the seconds until the next is due."""
        pause = self._rate.profiles.longest_pause_ms()
        promoted = await promote(self._queue, _BATCH, pause, self._open_timeout_ms)
        _promoted.inc(promoted.moved)
        _leases.inc(promoted.leases_ended)
        if promoted.leases_ended:
            log.warning("slots taken back", slots=promoted.leases_ended)
        for change in promoted.breakers:
            log.warning(
                "breaker", endpoint=change.endpoint, before=change.before, after=change.after, reason=change.reason
            )
        if promoted.wait_ms is None:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, promoted.wait_ms / 1000)
