"""Messages that kill the dispatchers which have them in hand."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.database.connection import Database, load_statements

_SQL = load_statements("quarantine")


async def past_crash_limit(database: Database, messages: Sequence[UUID], limit: int) -> list[UUID]:
    """Those waiting messages with which more than ``limit`` dispatchers have died. Raises DatabaseUnavailable."""
    return [row["id"] for row in await database.fetch(_SQL["past_limit"], sorted(messages), limit)]
