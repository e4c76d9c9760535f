"""The file of a multipart body: streamed to disk in constant memory, looked at and measured on the way, judged when all
other fields are there, since one of them may be its name.

Whatever happens, the file on disk is gone when its request ends; what may be sent is in Postgres by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from aiohttp import BodyPartReader

from shared.database.connection import Database
from shared.database.media import MediaStoreFull, NewMedia, delete_unowned, insert_media
from shared.errors import DatabaseUnavailable
from shared.media.content_facts import ContentFacts, ReceivedFile
from shared.media.file_names import NameRefused, given_filename
from shared.media.file_types import FileTypes
from shared.media.judging import MediaRefused, judge
from shared.messages.kinds import FileOfKind, Kind, file_of
from shared.runtime.envelope import ApiError, InvalidInput

log = structlog.get_logger()
_READ_SIZE = 64 * 1024
_WRITE_SIZE = 256 * 1024  # bytes of a block in Postgres, and gathered for one hop to a thread


@dataclass(frozen=True, slots=True)
class ReceivedPart:
    """A file on disk, not judged yet. ``filename`` and ``content_type`` as the part's headers have them, '' for none."""

    path: Path
    filename: str
    content_type: str
    facts: ContentFacts


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on disk that may be sent. ``filename`` is what the recipient will see; ``size`` in bytes."""

    field: str
    path: Path
    filename: str
    content_type: str
    size: int
    sha256: bytes


def too_large(field: str, limit: int) -> ApiError:
    reason = f"it is larger than {limit} bytes"
    return ApiError(413, "PAYLOAD_TOO_LARGE", f"{field}: {reason}", [(field, reason)])


async def receive_part(
    part: BodyPartReader, filename: str, wanted: FileOfKind, root: Path, limit: int
) -> ReceivedPart | None:
    """Streams the part into ``root``; None: a form's file field that was left empty. ``filename``: out of its header.

    Raises ApiError 413 or 507, and what the connection raises when it is cut off; then nothing stays.
    """
    block = await _next_block(part)
    if not filename and not block:
        return None
    path = root / f"{uuid4().hex}.upload"
    file: ReceivedFile | None = None
    complete = False
    try:
        await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
        file = await asyncio.to_thread(ReceivedFile, path)
        while block:
            if file.size + len(block) > limit:
                raise too_large(wanted.part, limit)
            await asyncio.to_thread(file.write, block)
            block = await _next_block(part)
        facts = await asyncio.to_thread(file.finish)
        complete = True
        return ReceivedPart(path, filename, part.headers.get("Content-Type", ""), facts)
    except ConnectionError:
        raise
    except OSError as error:
        raise ApiError(
            507, "INSUFFICIENT_STORAGE", "uploads cannot be stored now", [(wanted.part, "no space")]
        ) from error
    finally:
        if file is not None:
            file.close()
        if not complete:
            path.unlink(missing_ok=True)


def judged_upload(part: ReceivedPart, kind: Kind, wanted_name: str, types: FileTypes) -> Upload:
    """``wanted_name``: what its own field says, '' where that was not given; it goes before the part's. Raises InvalidInput
    naming the field that is wrong."""
    file = file_of(kind)
    try:
        wanted = given_filename(wanted_name) if wanted_name.strip() else ""
    except NameRefused as error:
        raise InvalidInput((file.name_field, str(error))) from None
    try:
        name = wanted or (given_filename(part.filename) if part.filename else "")
        if not name and _is_text_field(part):
            raise MediaRefused("it is a text without a file name; upload the file itself, with its name")
        judged = judge(kind, name, part.facts, part.content_type, types)
    except (NameRefused, MediaRefused) as error:
        field = file.name_field if wanted and part.facts.size else file.part
        raise InvalidInput((field, str(error))) from None
    return Upload(file.part, part.path, judged.filename, judged.content_type, part.facts.size, part.facts.sha256)


def _is_text_field(part: ReceivedPart) -> bool:
    """Such as a path that the client should have read the file from."""
    return part.facts.is_text and part.content_type.partition(";")[0].strip().lower() in ("", "text/plain")


async def _next_block(part: BodyPartReader) -> bytes:
    """Up to 256 KiB of the part, empty at its end."""
    gathered = bytearray()
    while len(gathered) < _WRITE_SIZE and not part.at_eof():
        gathered += await part.read_chunk(_READ_SIZE)
    return bytes(gathered)


async def blocks_of(path: Path) -> AsyncIterator[bytes]:
    """The file in blocks as Postgres keeps them, 256 KiB each."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while block := await asyncio.to_thread(file.read, _WRITE_SIZE):
            yield block
    finally:
        file.close()


@asynccontextmanager
async def stored(database: Database, upload: Upload | None, most: int) -> AsyncIterator[UUID | None]:
    """The id of the upload in Postgres, whose media have ``most`` bytes together; it is deleted there again when its
    request is not accepted. Raises ApiError 507, DatabaseUnavailable."""
    if upload is None:
        yield None
        return
    media = NewMedia(uuid4(), upload.filename, upload.content_type, upload.size, upload.sha256)
    try:
        await insert_media(database, media, blocks_of(upload.path), most)
    except MediaStoreFull:
        raise ApiError(
            507,
            "INSUFFICIENT_STORAGE",
            "no space is left for media until campaigns with media have ended",
            [(upload.field, "no space is left for media")],
        ) from None
    try:
        yield media.id
    except BaseException:
        try:
            await delete_unowned(database, media.id)
        except DatabaseUnavailable:
            log.info("an upload without an owner stays until the next clearing")
        raise
