"""The copy of the rate profile that dispatchers read, which Postgres has for good."""

from __future__ import annotations

from contextlib import suppress

from shared.errors import QueueUnavailable
from shared.queue.connection import QueueConnection


async def publish_profile(queue: QueueConnection, profile: str, version: str) -> None:
    """Copies the rate profile (JSON) for the dispatchers, which see the new version at their next take."""
    await queue.ask("HSET", queue.keys.control, "version", version, "profile", profile)
    with suppress(QueueUnavailable):
        # It is written; a dispatcher that is not woken looks within a second.
        await queue.ask("PUBLISH", queue.keys.wake, "1")


async def published_profile(queue: QueueConnection) -> tuple[str, str]:
    """(version, JSON of the rate profile) as the dispatchers see it."""
    version, profile = await queue.ask("HMGET", queue.keys.control, "version", "profile")
    return str(version or "0"), str(profile or "{}")
