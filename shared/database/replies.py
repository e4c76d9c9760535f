"""What an answer to a message needs: the accounts that can quote it, and the WhatsApp id of a message of ours."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from shared.database.connection import Database, load_statements
from shared.messages import Status

_SQL = load_statements("replies")


class Original(Struct, frozen=True):
    """A message of ours that is answered. ``whatsapp_id`` and ``endpoint``: '' while it has none, and for good if it has ended
    without."""

    status: Status
    whatsapp_id: str
    endpoint: str


async def accounts_that_have(database: Database, whatsapp_id: str) -> list[str]:
    """Endpoints that know the message, sent by us or heard; none: nobody has heard of it. Raises DatabaseUnavailable."""
    return [row["endpoint"] for row in await database.fetch(_SQL["accounts_that_have"], whatsapp_id)]


async def original(database: Database, message: UUID) -> Original | None:
    """None: there is no such message (any more). Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["original"], message)
    if row is None:
        return None
    return Original(Status(row["status"]), row["whatsapp_id"] or "", row["endpoint"] or "")


async def bind_to(database: Database, message: UUID, endpoint: str) -> None:
    """Has a waiting message go through this account only, as if a caller had chosen it. Raises DatabaseUnavailable."""
    await database.execute(_SQL["bind"], message, endpoint)
