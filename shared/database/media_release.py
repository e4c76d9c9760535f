"""Deleting files whose owner needs them no more, under the owner's row lock, which a retry takes as well: either the file
is still there for the retry, or the retry is told that it is gone."""

from __future__ import annotations

from uuid import UUID

from shared.database.connection import Database, load_statements

_SQL = load_statements("media_release")


async def owned_media_after(database: Database, cursor: UUID, limit: int) -> list[tuple[UUID, UUID]]:
    """(file, owner), in order. Raises DatabaseUnavailable."""
    return [(row["id"], row["owner"]) for row in await database.fetch(_SQL["owned"], cursor, limit)]


async def release_media(
    database: Database, media: UUID, owner: UUID, retention_seconds: float, orphan_seconds: float
) -> bool:
    """Deletes the file unless its owner has something waiting or sending, or something failed or unknown that ended less
    than ``retention_seconds`` ago; whether it did. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        needed = await connection.fetchval(_SQL["campaign_needs"], owner, retention_seconds)
        if needed is None:
            needed = await connection.fetchval(_SQL["message_needs"], owner, retention_seconds)
        if needed:
            return False
        if needed is None:
            return await connection.execute(_SQL["delete_ownerless"], media, owner, orphan_seconds) == "DELETE 1"
        return await connection.execute(_SQL["delete"], media, owner) == "DELETE 1"
