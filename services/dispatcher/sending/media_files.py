"""Files that are uploaded to the sender: streamed once out of Postgres, or fetched once from the caller's URL, into this
dispatcher's own folder, and used for every recipient. What nobody has used for an hour is deleted.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from services.dispatcher.sending.payloads import Upload
from shared.database.attempts import PeekedMedia, PeekedMessage
from shared.database.connection import Database
from shared.database.media_reading import read_blocks
from shared.messages import Kind
from shared.remote_media import AddressGuard, RemoteMediaError, fetch

UNUSED_SECONDS = 3600.0
_TRIES = 5
_MOST_BYTES = {Kind.IMAGE: 20_000_000, Kind.FILE: 50_000_000}
# The sender accepts these as an upload; other images it takes only from a URL, converting them itself.
_IMAGE_UPLOADS = {"image/jpeg": ".jpg", "image/jpg": ".jpg", "image/png": ".png"}


class MediaUnusable(Exception):
    """There is no file to send, and waiting will not change that."""


class MediaLater(Exception):
    """The file cannot be had now; try again after ``seconds``."""

    def __init__(self, reason: str, seconds: int) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(slots=True)
class _Failures:
    count: int = 0
    again_at: float = 0.0


class MediaFiles:
    """``folder`` is made when missing. ``fetches``: URLs are fetched by us; otherwise they go to the sender as they are."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        fetches: bool,
        guard: AddressGuard,
        session: aiohttp.ClientSession,
    ) -> None:
        self._database = database
        self._folder = folder
        self._fetches = fetches
        self._guard = guard
        self._session = session
        self._locks: dict[str, asyncio.Lock] = {}
        self._fetched: dict[str, Upload | None] = {}
        self._failures: dict[str, _Failures] = {}
        folder.mkdir(parents=True, exist_ok=True)

    async def upload_for(self, message: PeekedMessage) -> Upload | None:
        """The file to upload with a message, None for none. Raises MediaUnusable, MediaLater, DatabaseUnavailable."""
        if message.media is not None:
            return await self._stored(message.media)
        url = _url_of(message)
        if url is None or not self._fetches:
            return None
        return await self._remote(message.kind, url)

    def content_for(self, message: PeekedMessage, uploaded: bool) -> dict[str, Any]:
        """The sender's fields: without the URL when its file is uploaded instead."""
        if not uploaded:
            return message.content
        url_field = f"{message.kind.value}_url"
        return {name: value for name, value in message.content.items() if name != url_field}

    async def _stored(self, media: PeekedMedia) -> Upload:
        path = self._folder / media.id.hex
        async with self._locks.setdefault(media.id.hex, asyncio.Lock()):
            if not _touch(path):
                part = self._folder / f"{media.id.hex}.{uuid4().hex}.part"
                try:
                    size = await self._copy(media, part)
                    if size != media.size:
                        raise MediaUnusable("the file is gone; it was deleted after its campaign had ended")
                    part.rename(path)
                finally:
                    part.unlink(missing_ok=True)
        return Upload(path, media.filename, media.content_type)

    async def _copy(self, media: PeekedMedia, part: Path) -> int:
        size = 0
        file = await asyncio.to_thread(part.open, "wb")
        try:
            async for block in read_blocks(self._database, media.id):
                size += len(block)
                await asyncio.to_thread(file.write, block)
        finally:
            await asyncio.to_thread(file.close)
        return size

    async def _remote(self, kind: Kind, url: str) -> Upload | None:
        key = hashlib.sha256(f"{kind} {url}".encode()).hexdigest()[:32]
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._fetched.get(key)
            if key in self._fetched and (known is None or _touch(known.path)):
                return known
            failures = self._failures.setdefault(key, _Failures())
            wait = failures.again_at - time.monotonic()
            if wait > 0:
                raise MediaLater("its URL failed a moment ago", round(wait) + 1)
            path = self._folder / key
            try:
                content_type, name = await fetch(self._session, self._guard, url, path, _MOST_BYTES[kind])
            except RemoteMediaError as error:
                failures.count += 1
                failures.again_at = time.monotonic() + 30
                if error.permanent or failures.count >= _TRIES:
                    raise MediaUnusable(str(error)) from error
                raise MediaLater(str(error), 30) from error
            self._failures.pop(key, None)
            upload: Upload | None = Upload(path, name or kind.value, content_type)
            if kind is Kind.IMAGE:
                suffix = _IMAGE_UPLOADS.get(content_type)
                if suffix is None:
                    path.unlink(missing_ok=True)
                    upload = None
                else:
                    stem = name.rpartition(".")[0] or name or "image"
                    upload = Upload(path, stem + suffix, "image/png" if suffix == ".png" else "image/jpeg")
            self._fetched[key] = upload
            return upload

    async def delete_unused(self) -> None:
        """Deletes files that no message has used for an hour."""
        before = time.time() - UNUSED_SECONDS
        for path in await asyncio.to_thread(lambda: list(self._folder.iterdir())):
            try:
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()
                    self._locks.pop(path.name, None)
                    self._fetched.pop(path.name, None)
            except FileNotFoundError:
                continue


def _url_of(message: PeekedMessage) -> str | None:
    if message.kind is Kind.MESSAGE:
        return None
    url = message.content.get(f"{message.kind.value}_url")
    return url if isinstance(url, str) else None


def _touch(path: Path) -> bool:
    """Notes that a file is in use; whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
