"""Deletes files in Postgres that nobody needs any more: never accepted, or of a message or campaign that is over."""

from __future__ import annotations

from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.database.connection import Database
from shared.database.media import delete_abandoned, owned_media_after, release_media

log = structlog.get_logger()
_deleted = Counter("paceline_media_deleted_total", "Files deleted because nobody needs them any more")
_ORPHAN_SECONDS = 3600.0
"""A file without an owner belongs to a request that is still being read, or to none; no upload lasts an hour."""
_BATCH = 500
_START = UUID(int=0)


class MediaJanitor:
    """Goes round over all files, some each step. Campaigns may be many and their files few, so it begins at the files."""

    name = "media_rows"
    interval = 600.0

    def __init__(self, database: Database, retention: float) -> None:
        """``retention``: seconds that files of failed or unknown messages are kept."""
        self._database = database
        self._retention = retention

    async def step(self) -> None:
        deleted = await delete_abandoned(self._database, _ORPHAN_SECONDS)
        cursor = _START
        while files := await owned_media_after(self._database, cursor, _BATCH):
            for media, owner in files:
                deleted += await release_media(self._database, media, owner, self._retention, _ORPHAN_SECONDS)
            cursor = files[-1][0]
        if deleted:
            _deleted.inc(deleted)
            log.info("media deleted", files=deleted)
