"""Media in Postgres: the row of a file and its blocks of 256 KiB, in one transaction, so whole or not at all. They are read
back a block at a time, so that a large file needs no large memory.

A file has no owner until its request is accepted, in the same transaction; what never got one is deleted after a while. One
whose owner needs it no more is deleted under the owner's row lock, which a retry takes as well: either the file is still there
for the retry, or the retry is told that it is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.errors import PacelineError

_SQL = load_statements("media")
_COPY_TIMEOUT = 120.0  # seconds; 100 MB on a slow disk, far above the pool's limit for one statement


class MediaStoreFull(PacelineError):
    """All media together would be more than MEDIA_MAX_TOTAL."""


@dataclass(frozen=True, slots=True)
class NewMedia:
    """``filename`` is what the recipient sees; ``size`` in bytes."""

    id: UUID
    filename: str
    content_type: str
    size: int
    sha256: bytes


async def insert_media(database: Database, media: NewMedia, blocks: AsyncIterator[bytes], total_limit: int) -> None:
    """Writes row and blocks in one transaction. Raises MediaStoreFull, DatabaseUnavailable."""

    async def records() -> AsyncIterator[tuple[UUID, int, bytes]]:
        number = 0
        async for block in blocks:
            yield media.id, number, block
            number += 1

    async with database.transaction() as connection:
        inserted = await connection.fetchval(
            _SQL["insert_media"],
            media.id,
            media.filename,
            media.content_type,
            media.size,
            media.sha256,
            total_limit,
        )
        if inserted is None:
            raise MediaStoreFull("no space is left for media")
        await connection.execute(_SQL["copy_timeout"])
        await connection.copy_records_to_table(
            "media_blocks", columns=["media", "number", "bytes"], records=records(), timeout=_COPY_TIMEOUT
        )


async def delete_unowned(database: Database, media: UUID) -> None:
    """Deletes a file whose request was not accepted. Raises DatabaseUnavailable."""
    await database.execute(_SQL["delete_unowned"], media)


async def delete_abandoned(database: Database, age_seconds: float) -> int:
    """Deletes files that never got an owner; returns how many. Raises DatabaseUnavailable."""
    return int((await database.execute(_SQL["delete_abandoned"], age_seconds)).split()[-1])


async def read_blocks(database: Database, media: UUID) -> AsyncIterator[bytes]:
    """The bytes of a file in order. Raises DatabaseUnavailable. Nothing at all comes for media that is gone."""
    number = 0
    while (block := await database.fetchval(_SQL["block"], media, number)) is not None:
        yield block
        number += 1


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
