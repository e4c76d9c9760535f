"""Files that are uploaded to the sender: streamed once out of Postgres, or fetched once from the caller's URL
(``remote_files``), into this dispatcher's own folder, and used for every recipient. What nobody has used for an hour is
deleted.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from services.dispatcher.sending.payloads import Upload
from services.dispatcher.sending.remote_files import MediaUnusable, RemoteFiles, touch
from shared.database.attempts import PeekedMedia, PeekedMessage
from shared.database.connection import Database
from shared.database.media import read_blocks
from shared.messages.kinds import KINDS

UNUSED_SECONDS = 3600.0


class MediaFiles:
    """``folder`` is made when missing. ``remote``: URLs are fetched by it; None: they go to the sender as they are."""

    def __init__(self, database: Database, folder: Path, remote: RemoteFiles | None) -> None:
        self._database = database
        self._folder = folder
        self._remote = remote
        self._locks: dict[str, asyncio.Lock] = {}
        folder.mkdir(parents=True, exist_ok=True)

    async def upload_for(self, message: PeekedMessage) -> Upload | None:
        """The file to upload with a message, None for none. Raises MediaUnusable, MediaLater, DatabaseUnavailable, OSError
        for a disk that is full or gone."""
        if message.media is not None:
            return await self._stored(message.media)
        file = KINDS[message.kind].file
        url = message.content.get(file.url) if file else None
        if file is None or self._remote is None or not isinstance(url, str):
            return None
        return await self._remote.upload_for(message.kind, url, str(message.content.get(file.name_field) or ""))

    def content_for(self, message: PeekedMessage, uploaded: bool) -> dict[str, Any]:
        """The sender's fields: without the URL when its file is uploaded instead, and without the name, which the sender
        takes from the file."""
        file = KINDS[message.kind].file
        if file is None:
            return message.content
        ours = {file.name_field, file.url} if uploaded else {file.name_field}
        if ours.isdisjoint(message.content):
            return message.content
        return {name: value for name, value in message.content.items() if name not in ours}

    async def _stored(self, media: PeekedMedia) -> Upload:
        path = self._folder / media.id.hex
        async with self._locks.setdefault(media.id.hex, asyncio.Lock()):
            if not touch(path):
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

    async def delete_unused(self) -> None:
        """Deletes files that no message has used for an hour."""
        before = time.time() - UNUSED_SECONDS
        if self._remote is not None:
            self._remote.forget_old()
        for path in await asyncio.to_thread(self._files):
            try:
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()
                    self._locks.pop(path.name, None)
                    if self._remote is not None:
                        self._remote.forget(path.name)
            except FileNotFoundError:
                continue

    def _files(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.exists() else []

    async def close(self) -> None:
        """Ends what goes on beside the messages."""
        if self._remote is not None:
            await self._remote.close()
