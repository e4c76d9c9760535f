"""Messages that may not be sent for a good while: quiet hours, a gap to keep, no account that may write to the contact.

Such a wait stands in Postgres alone, with the message's ``due`` row or, before its first attempt, with its chunk. So Redis
stays small however many wait, and nothing wakes them before their time.
"""

from __future__ import annotations

from uuid import UUID

from shared.database.connection import Database, load_statements

_SQL = load_statements("postponing")


async def postpone(database: Database, message: UUID, seconds: float) -> None:
    """Has a waiting message enqueued again after ``seconds``, a campaign's up to five minutes later. Its entry in Redis may
    be dropped then. Raises DatabaseUnavailable."""
    await database.execute(_SQL["postpone"], message, seconds)
