"""Does what waits move on: dispatchers, schedulers, the age of what nobody has taken, stopped lanes."""

from __future__ import annotations

from datetime import timedelta

from services.monitor.checks.finding import Finding, Health
from services.monitor.observation import Observation
from shared.messages import Lane
from shared.queue.figures import QueueFigures, StreamFigures

DEAD_AFTER_MS = 15_000
"""A dispatcher beats every 5 s; three beats missed and it is dead."""
_PROMOTED_WITHIN_MS = 15_000  # a scheduler promotes what is due within a second


def alive(queue: QueueFigures) -> list[str]:
    """The names of the dispatchers that beat lately."""
    return sorted(name for name, beat in queue.beats.items() if queue.now_ms - beat <= DEAD_AFTER_MS)


def lag_seconds(queue: QueueFigures, stream: StreamFigures) -> float:
    """How long the oldest entry that is in nobody's hand has waited."""
    if stream.oldest_waiting_ms is None:
        return 0.0
    return max(0, queue.now_ms - stream.oldest_waiting_ms) / 1000


def sending(seen: Observation, lag_warning: timedelta) -> list[Finding]:
    queue, database = seen.queue.now, seen.database.now
    findings = []
    stopped = database.stopped_lanes if database else []
    if database and stopped:
        findings.append(
            Finding(Health.DEGRADED, "lanes", f"stopped: {', '.join(sorted(stopped))}", database.stop_reason)
        )
    if queue is None:
        return findings
    if not alive(queue):
        findings.append(Finding(Health.DOWN, "dispatchers", "no dispatcher is alive, so nothing is sent"))
    if queue.first_parked_due_ms is not None and queue.now_ms - queue.first_parked_due_ms > _PROMOTED_WITHIN_MS:
        findings.append(Finding(Health.DEGRADED, "scheduler", "due messages are not promoted; is a scheduler alive?"))
    # A campaign's entries wait long by design: the pace of the accounts decides. Single sends are meant to go at once.
    lag = lag_seconds(queue, queue.lane(Lane.TRANSACTIONAL))
    if lag_warning and Lane.TRANSACTIONAL.value not in stopped and lag > lag_warning.total_seconds():
        findings.append(Finding(Health.DEGRADED, "queue", f"a single send has waited for {lag:.0f} s"))
    return findings
