"""Reading media back out of Postgres, a block at a time, so that a large file needs no large memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from shared.database.connection import Database, load_statements

_SQL = load_statements("media_reading")


async def read_blocks(database: Database, media: UUID) -> AsyncIterator[bytes]:
    """The bytes of a file in order. Raises DatabaseUnavailable. Nothing at all comes for media that is gone."""
    number = 0
    while (block := await database.fetchval(_SQL["block"], media, number)) is not None:
        yield block
        number += 1
