"""What comes due by itself: parked entries, leases, trials. Two schedulers may do it at once."""

from __future__ import annotations

from dataclasses import dataclass

from shared.queue.connection import QueueConnection
from shared.queue.taking import BreakerChange


@dataclass(frozen=True, slots=True)
class Promoted:
    moved: int
    leases_ended: int
    wait_ms: int | None
    breakers: list[BreakerChange]


async def promote(
    queue: QueueConnection, limit: int, lease_pause_ms: int, open_timeout_ms: int, now_ms: int | None = None
) -> Promoted:
    """Moves parked entries that are due into their streams and slots whose lease ended back. Raises QueueUnavailable."""
    moved, ended, wait_ms, breakers = await queue.run(
        "promote", "" if now_ms is None else now_ms, queue.keys.prefix, limit, lease_pause_ms, open_timeout_ms
    )
    changes = [BreakerChange(*change) for change in breakers]
    return Promoted(int(moved), int(ended), int(wait_ms) if wait_ms >= 0 else None, changes)
