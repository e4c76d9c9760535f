"""What one service notices and another tells of: counted in Redis, by windows of time that end by themselves.

For what is rare and has no row anywhere. A count may be lost with Redis; whatever it counted goes on and is counted anew.
"""

from __future__ import annotations

from enum import StrEnum

from shared.queue.connection import QueueConnection

WINDOW_MINUTES = 10
_WIDTH_MS = WINDOW_MINUTES * 60_000


class Noted(StrEnum):
    UNLISTED_ANSWER = "unlisted_answer"
    """The sender answered a send with something that the table of its answers does not have."""
    REFUSED_WEBHOOK = "refused_webhook"
    """Something was posted to our webhook of the sender without its signature."""


async def note(queue: QueueConnection, what: Noted, count: int = 1, now_ms: int | None = None) -> None:
    """Counts it. Raises QueueUnavailable."""
    await queue.run("note", "" if now_ms is None else now_ms, queue.keys.prefix, what.value, count, _WIDTH_MS)


async def noted(queue: QueueConnection, now_ms: int | None = None) -> dict[Noted, int]:
    """How often each happened within the last WINDOW_MINUTES, or up to twice as long ago. Raises QueueUnavailable."""
    counts = await queue.run("noted", "" if now_ms is None else now_ms, queue.keys.prefix, _WIDTH_MS, *Noted)
    return {what: int(count) for what, count in zip(Noted, counts, strict=True)}
