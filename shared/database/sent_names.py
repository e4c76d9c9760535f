"""Under which names files from URLs were uploaded: where a message has no caption, its sender files it under that name, and
neither the URL nor the message tells it. The URL itself, which may be signed, is not stored."""

from __future__ import annotations

from shared.database.connection import Database, load_statements

_SQL = load_statements("sent_names")


async def note_sent_name(database: Database, url: str, name: str) -> None:
    """May be repeated. Raises DatabaseUnavailable."""
    await database.execute(_SQL["note"], url, name)


async def prune_sent_names(database: Database, keep_seconds: float) -> int:
    """Forgets names that were not noted again for so long; how many. Raises DatabaseUnavailable."""
    return int(await database.fetchval(_SQL["prune"], keep_seconds))
