"""Messages that may not be sent for a good while: quiet hours, a gap to keep, no account that may write to the contact.

Such a wait stands in Postgres alone, with the message's ``due`` row or, before its first attempt, with its chunk. So Redis
stays small however many wait. What waits until an account may write to its recipient, or for the message that it answers, has a
``due`` row in any case, so that it can come back before the others of its chunk: when the recipient writes, or an operator
releases a hold.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.database.connection import Database, load_statements

_SQL = load_statements("postponing")
_WOKEN_AT_ONCE = 5000


async def postpone(database: Database, message: UUID, seconds: float) -> None:
    """Has a waiting message enqueued again after ``seconds``, a campaign's up to five minutes later. Its entry in Redis may
    be dropped then. Raises DatabaseUnavailable."""
    await database.execute(_SQL["postpone"], message, seconds)


async def wait_alone(database: Database, message: UUID, seconds: float) -> None:
    """Has a waiting message enqueued again after ``seconds``, a campaign's too, without its chunk. Raises
    DatabaseUnavailable."""
    await database.execute(_SQL["wait_alone"], message, seconds, None)


async def wait_for_contact(database: Database, message: UUID, seconds: float, looked_at: datetime) -> None:
    """As ``wait_alone``, for a message to whose recipient no account that it could go through may write, as seen at
    ``looked_at``: it comes back before, once they write or a hold is released. Raises DatabaseUnavailable."""
    await database.execute(_SQL["wait_alone"], message, seconds, looked_at)


async def wake_held(database: Database) -> None:
    """Has everything looked at again that waits for an account that may write to its recipient. Raises DatabaseUnavailable; may
    be repeated."""
    after: tuple[str, UUID] | None = "", UUID(int=0)
    while after is not None:
        row = await database.fetchrow(_SQL["wake_held"], *after, _WOKEN_AT_ONCE)
        after = None if row is None else (row["held_for"], row["message"])
