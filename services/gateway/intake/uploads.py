"""The file of a multipart body: streamed to disk in constant memory, judged and measured on the way.

Whatever happens, the file on disk is gone when its request ends; what may be sent is in Postgres by then.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

from aiohttp import BodyPartReader

from services.gateway.intake.media_types import (
    HEAD_SIZE,
    MediaRefused,
    MediaType,
    check_filename,
    media_type_of,
)
from shared.messages import Kind
from shared.runtime.envelope import ApiError, InvalidInput

_READ_SIZE = 64 * 1024
_WRITE_SIZE = 256 * 1024  # bytes of a block in Postgres, and gathered for one hop to a thread
# Python's aiohttp percent-encodes a whole name, which leaves these characters; others encode a quotation mark at most.
_ENCODED_NAME = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})*")
# The parser of the header drops slashes at the head of a name, which would hide that it was a path.
_PATH_AT_HEAD = re.compile(r"filename\s*=\s*\"?[\\/]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on disk. ``filename`` is what the recipient will see; ``size`` in bytes."""

    field: str
    path: Path
    filename: str
    content_type: str
    size: int
    sha256: bytes


def plain_filename(filename: str) -> str:
    """The name as a person wrote it, where the client percent-encoded all of it; recipients will read it."""
    if not _ENCODED_NAME.fullmatch(filename):
        return filename.replace("%22", '"')
    try:
        return unquote(filename, errors="strict")
    except UnicodeDecodeError:
        return filename


def too_large(field: str, limit: int) -> ApiError:
    reason = f"it is larger than {limit} bytes"
    return ApiError(413, "PAYLOAD_TOO_LARGE", f"{field}: {reason}", [(field, reason)])


class _Content:
    """Takes a file's bytes in order; writes, hashes and judges them. Raises MediaRefused."""

    def __init__(self, path: Path, media_type: MediaType) -> None:
        self._file = path.open("xb")
        self._type = media_type
        self._text = codecs.getincrementaldecoder("utf-8")() if media_type.signature is None else None
        self._judged = False
        self._digest = hashlib.sha256()

    def write(self, block: bytes) -> None:
        if not self._judged and self._type.signature is not None and not self._type.signature(block[:HEAD_SIZE]):
            raise MediaRefused(f"its bytes are not those of {self._type.content_type}")
        self._judged = True
        self._judge_text(block)
        self._file.write(block)
        self._digest.update(block)

    def _judge_text(self, block: bytes, final: bool = False) -> None:
        if self._text is None:
            return
        try:
            self._text.decode(block, final)
        except UnicodeDecodeError:
            raise MediaRefused("it is not text in UTF-8") from None
        if b"\x00" in block:
            raise MediaRefused("it is not text: it has NUL bytes")

    def finish(self) -> bytes:
        """SHA-256 of all."""
        self._judge_text(b"", final=True)
        self._file.close()
        return self._digest.digest()

    def close(self) -> None:
        self._file.close()


async def receive_upload(part: BodyPartReader, kind: Kind, root: Path, limit: int) -> Upload | None:
    """Streams the part into ``root``; None: a form's file field that was left empty.

    Raises InvalidInput, ApiError 413 or 507, and what the connection raises when it is cut off; then nothing stays.
    """
    field = kind.value
    filename = plain_filename(part.filename or "")
    block = await _next_block(part)
    if not filename and not block:
        return None
    path = root / f"{uuid4().hex}.upload"
    content: _Content | None = None
    complete = False
    try:
        header = part.headers.get("Content-Disposition", "")
        if _PATH_AT_HEAD.search(header):
            raise MediaRefused("its file name has a path in it; give the plain name")
        check_filename(filename)
        media_type = media_type_of(kind, filename, part.headers.get("Content-Type", ""))
        if not block:
            raise MediaRefused("it is empty")
        await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
        path = root / f"{uuid4().hex}.{filename.rpartition('.')[2].lower()}"
        content = await asyncio.to_thread(_Content, path, media_type)
        size = 0
        while block:
            size += len(block)
            if size > limit:
                raise too_large(field, limit)
            await asyncio.to_thread(content.write, block)
            block = await _next_block(part)
        digest = await asyncio.to_thread(content.finish)
        complete = True
        return Upload(field, path, filename, media_type.content_type, size, digest)
    except MediaRefused as error:
        raise InvalidInput((field, str(error))) from None
    except ConnectionError:
        raise
    except OSError as error:
        raise ApiError(507, "INSUFFICIENT_STORAGE", "uploads cannot be stored now", [(field, "no space")]) from error
    finally:
        if content is not None:
            content.close()
        if not complete:
            path.unlink(missing_ok=True)


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
