"""Partitions by month: made ahead, dropped when they are old."""

from __future__ import annotations

from shared.database.connection import Database, load_statements

_SQL = load_statements("retention")


async def ensure_partitions(database: Database) -> int:
    """Makes those of this month and the next two; how many were missing. Raises DatabaseUnavailable, also when the tables are
    in use for long."""
    return int(await database.fetchval(_SQL["ensure_partitions"]))


async def drop_old_partitions(database: Database, keep_seconds: float) -> list[str]:
    """Drops the oldest month that ended longer ago than that and has nothing open; its name, or none. Raises
    DatabaseUnavailable, also when the tables are in use for long."""
    return list(await database.fetchval(_SQL["drop_old_partitions"], keep_seconds))


async def forget_dropped(database: Database, limit: int) -> int:
    """Goes on with deleting what belonged to dropped messages, looking at about ``limit`` WhatsApp ids; 0: all is done. Raises
    DatabaseUnavailable."""
    return int(await database.fetchval(_SQL["forget_dropped"], limit))
