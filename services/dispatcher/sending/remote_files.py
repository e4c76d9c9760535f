"""Files behind callers' URLs: each fetched once, beside everything else, judged as an upload is, and kept for all who need it.

A message that waits for its file holds the slot of an account, so it waits for a moment only; then it goes back to the queue
and looks again, while the fetch goes on. A slow server thus holds up the messages that want its file, and nobody else's.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import structlog

from services.dispatcher.sending.payloads import Upload
from shared.media.file_names import split_extension
from shared.media.file_types import FileTypes, family_of, what_it_is
from shared.media.judging import MediaRefused, format_of, judge
from shared.messages.kinds import FetchedBySender, Kind, file_of
from shared.outbound.address_guard import AddressGuard
from shared.outbound.remote_media import Fetched, NoPlace, RemoteMediaError, fetch

log = structlog.get_logger()
MOMENT = 2.0
"""Seconds from the begin of a fetch for which messages wait for it with an account's slot in hand."""
_LOOK_AGAIN = 3
_MOST_FETCHES = 32
_MOST_OF_A_HOST = 8
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0
_PLACE_PAUSE = 5.0
_FORGET_SECONDS = 3600.0


class MediaUnusable(Exception):
    """There is no file to send, and waiting will not change that."""


class MediaLater(Exception):
    """The file cannot be had now; try again after ``seconds``."""

    def __init__(self, reason: str, seconds: int) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(slots=True)
class _Failure:
    """``since``: when it failed first, ``again_at``: when it is tried again, both monotonic. ``final``: until then its
    messages fail."""

    since: float
    pause: float
    reason: str = ""
    again_at: float = 0.0
    final: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    kind: Kind
    url: str
    filename: str

    @property
    def key(self) -> str:
        """The name of its file in the folder."""
        return hashlib.sha256(f"{self.kind} {self.url}\n{self.filename}".encode()).hexdigest()[:32]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


class RemoteFiles:
    """``retry_limit``: seconds for which a URL that fails for a passing reason is tried again."""

    def __init__(
        self,
        folder: Path,
        guard: AddressGuard,
        session: aiohttp.ClientSession,
        types: FileTypes,
        retry_limit: float,
    ) -> None:
        self._folder = folder
        self._guard = guard
        self._session = session
        self._types = types
        self._retry_limit = retry_limit
        self._ready: dict[str, Upload | None] = {}
        self._failures: dict[str, _Failure] = {}
        self._fetches: dict[str, tuple[asyncio.Task[None], float]] = {}
        self._hosts: Counter[str] = Counter()

    async def upload_for(self, kind: Kind, url: str, filename: str) -> Upload | None:
        """The file to upload, None where the sender has to fetch the URL itself. ``filename``: '' for its own. Raises
        MediaUnusable, MediaLater."""
        wanted = _Wanted(kind, url, filename)
        key = wanted.key
        if key not in self._fetches and not self._is_ready(key):
            self._raise_failure(key)
            self._begin(wanted)
        if key in self._fetches:
            task, begun_at = self._fetches[key]
            await asyncio.wait([task], timeout=max(0.0, begun_at + MOMENT - time.monotonic()))
        if key in self._fetches:
            raise MediaLater("its URL is still being fetched", _LOOK_AGAIN)
        if key in self._ready:
            return self._ready[key]
        self._raise_failure(key)
        raise MediaLater("its URL could not be fetched", _LOOK_AGAIN)

    def _is_ready(self, key: str) -> bool:
        if key not in self._ready:
            return False
        upload = self._ready[key]
        if upload is None or touch(upload.path):
            return True
        del self._ready[key]
        return False

    def _raise_failure(self, key: str) -> None:
        failure = self._failures.get(key)
        left = failure.again_at - time.monotonic() if failure else 0.0
        if failure is None or left <= 0:
            return
        if failure.final:
            raise MediaUnusable(failure.reason)
        raise MediaLater(failure.reason, int(left) + 1)

    def _begin(self, wanted: _Wanted) -> None:
        if len(self._fetches) >= _MOST_FETCHES or self._hosts[wanted.host] >= _MOST_OF_A_HOST:
            raise MediaLater("too many URLs are being fetched", _LOOK_AGAIN)
        self._hosts[wanted.host] += 1
        task = asyncio.create_task(self._fetch(wanted), name="fetch")
        self._fetches[wanted.key] = task, time.monotonic()

    async def _fetch(self, wanted: _Wanted) -> None:
        key = wanted.key
        part = self._folder / f"{key}.part"
        try:
            fetched = await fetch(self._session, self._guard, wanted.url, part, file_of(wanted.kind).most_bytes)
            self._ready[key] = await self._judged(wanted, fetched, part)
            self._failures.pop(key, None)
        except MediaRefused as error:
            self._failed(key, f"what the URL answered cannot be sent: {error}", permanent=True)
        except RemoteMediaError as error:
            self._failed(key, str(error), error.permanent)
        except (NoPlace, OSError) as error:
            log.error("no place for media", reason=str(error))
            now = time.monotonic()
            self._failures[key] = _Failure(now, _FIRST_PAUSE, "no place for its file", now + _PLACE_PAUSE)
        except Exception as error:
            log.exception("fetch failed")
            self._failed(key, f"the URL could not be fetched: {type(error).__name__}", permanent=False)
        finally:
            del self._fetches[key]
            self._hosts[wanted.host] -= 1

    def _failed(self, key: str, reason: str, permanent: bool) -> None:
        now = time.monotonic()
        failure = self._failures.setdefault(key, _Failure(now, _FIRST_PAUSE))
        failure.final = permanent or now - failure.since >= self._retry_limit
        failure.reason = reason
        failure.again_at = now + (_LONGEST_PAUSE if failure.final else failure.pause)
        failure.pause = min(_LONGEST_PAUSE, failure.pause * 2)
        # Without the URL, which may hold a key.
        log.warning("media not fetched", reason=reason, final=failure.final)

    async def _judged(self, wanted: _Wanted, fetched: Fetched, part: Path) -> Upload | None:
        """What becomes of a fetched file, which is moved to its place. Raises MediaRefused, OSError; then it is gone."""
        try:
            file = file_of(wanted.kind)
            if file.by_sender is not None and format_of(file, fetched.facts) is None:
                _check_for_sender(file.by_sender, wanted.url, fetched)
                return None
            name = wanted.filename or _best_name(fetched, self._types)
            judged = judge(wanted.kind, name, fetched.facts, fetched.declared, self._types, found=not wanted.filename)
            path = self._folder / wanted.key
            await asyncio.to_thread(part.rename, path)
            return Upload(path, judged.filename, judged.content_type)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    def forget(self, key: str) -> None:
        """The file of this name is gone from the folder."""
        self._ready.pop(key, None)

    def forget_old(self) -> None:
        """What has no file that would be forgotten with it."""
        before = time.monotonic() - _FORGET_SECONDS
        self._failures = {key: failure for key, failure in self._failures.items() if failure.again_at > before}
        self._ready = {key: upload for key, upload in self._ready.items() if upload is not None}

    async def close(self) -> None:
        """Ends the fetches under way."""
        tasks = [task for task, _ in self._fetches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _best_name(fetched: Fetched, types: FileTypes) -> str:
    """What the answer calls it; else the last part of its address, unless that is a mere number or hash and an address
    before it, which led there, has a name that fits the file."""
    if fetched.name:
        return fetched.name
    for name in fetched.address_names:
        _, extension = split_extension(name)
        media_type = types.of(extension) if extension else None
        if media_type is not None and media_type.families and media_type.fits(fetched.facts):
            return name
    return fetched.address_names[0]


def _check_for_sender(takes: FetchedBySender, url: str, fetched: Fetched) -> None:
    """Raises MediaRefused for what the sender would not take from its URL either."""
    found = what_it_is(fetched.facts)
    if not fetched.facts.size:
        raise MediaRefused("it is empty")
    if family_of(fetched.facts) not in takes.families:
        raise MediaRefused(f"it is {found}; {takes.wanted} is wanted")
    if fetched.declared.partition("/")[0] != takes.content_type.partition("/")[0]:
        raise MediaRefused(
            f"it is {found} but comes as '{fetched.declared[:60]}'; the sender takes it as {takes.content_type} only"
        )
    if not url.partition("?")[0].rpartition("/")[2].lower().endswith(takes.endings):
        raise MediaRefused(f"it is {found}, whose address has to end in one of {', '.join(takes.endings)}")


def touch(path: Path) -> bool:
    """Notes that a file is in use; whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
