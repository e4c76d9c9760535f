"""Partitions by month: made ahead, dropped when they are old."""

from __future__ import annotations

from shared.database.connection import Database, load_statements

_SQL = load_statements("retention")


async def ensure_partitions(database: Database) -> int:
    """Makes those of this month and the next two; how many were missing. Raises DatabaseUnavailable."""
    return int(await database.fetchval(_SQL["ensure_partitions"]))


async def drop_old_partitions(database: Database, keep_seconds: float) -> list[str]:
    """Drops months that ended longer ago than that and have nothing open; their names. Raises DatabaseUnavailable."""
    return list(await database.fetchval(_SQL["drop_old_partitions"], keep_seconds))


async def forget_dropped(database: Database, limit: int) -> int:
    """Deletes what belonged to dropped messages, up to ``limit`` rows of a kind; how many. Raises DatabaseUnavailable."""
    return int(await database.fetchval(_SQL["forget_dropped"], limit))
