"""Messages that kill the dispatchers which have them in hand."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.messages import ALONE_AFTER

_SQL = load_statements("quarantine")


async def killers(database: Database, messages: Sequence[UUID], limit: int) -> list[UUID]:
    """Those waiting messages with which ``limit`` dispatchers have died while they were alone in hand.

    Raises DatabaseUnavailable."""
    return [row["id"] for row in await database.fetch(_SQL["killers"], sorted(messages), ALONE_AFTER + limit)]
