"""Fetching what a caller's URL points to, without being led into our own network.

Only addresses that ``address_guard`` permits are connected to; each redirect goes through the same check.

What arrives is whole and as it was before it was encoded for the way, or it is not taken: shorter than announced, it is
fetched again; packed in a way that was not asked for, it is unpacked or refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiohttp
from yarl import URL

from shared.media.content_facts import ContentFacts, ReceivedFile
from shared.media.file_names import address_filename, found_filename, header_filename
from shared.media.unpacking import NotUnpacked, TooLarge, Unpacking
from shared.outbound.address_guard import FETCH_SECONDS, NOT_FOUND, AddressGuard
from shared.outbound.name_lookups import HostUnsure

_REDIRECTS = 5
_CHUNK = 64 * 1024
_PASSING_REFUSALS = frozenset({408, 425, 429})
T = TypeVar("T")


class RemoteMediaError(Exception):
    """The URL cannot be fetched. ``permanent``: trying again would not help."""

    def __init__(self, reason: str, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class NoPlace(Exception):
    """Our own disk is full or gone; the URL is not to blame."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """``declared``: the content type of the answer. ``name``: what the answer calls the file, or ''. ``address_names``: the
    last parts of its addresses, the one behind all redirects first; each may be ''."""

    declared: str
    name: str
    address_names: tuple[str, ...]
    facts: ContentFacts


async def fetch(
    session: aiohttp.ClientSession,
    guard: AddressGuard,
    url: str,
    target: Path,
    most_bytes: int,
    seconds: float = FETCH_SECONDS,
) -> Fetched:
    """Fetches a URL into a file. Raises RemoteMediaError, NoPlace; the file is then gone."""
    complete = False
    try:
        async with asyncio.timeout(seconds):
            fetched = await _follow(session, guard, url, target, most_bytes)
        complete = True
        return fetched
    except HostUnsure as error:
        raise RemoteMediaError(f"the URL cannot be fetched now: {error}", False) from error
    except NotUnpacked as error:
        raise RemoteMediaError(f"the URL's file cannot be used: {error}", True) from error
    except TooLarge as error:
        raise RemoteMediaError(f"the URL's file is larger than {most_bytes} bytes", True) from error
    except TimeoutError as error:
        raise RemoteMediaError("the URL's file did not come in time", False) from error
    except (aiohttp.ClientError, OSError, EOFError, ValueError) as error:
        raise RemoteMediaError(f"the URL could not be fetched: {type(error).__name__}", False) from error
    finally:
        if not complete:
            await _on_disk(lambda: target.unlink(missing_ok=True))


async def _follow(
    session: aiohttp.ClientSession, guard: AddressGuard, url: str, target: Path, most_bytes: int
) -> Fetched:
    names: list[str] = []
    for _ in range(_REDIRECTS + 1):
        problem = await guard.check_url(url)
        if problem:
            raise RemoteMediaError(f"the URL cannot be fetched: {problem}", problem != NOT_FOUND)
        async with session.get(url, allow_redirects=False) as response:
            names.insert(0, found_filename(address_filename(response.url.raw_path)))
            if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                url = str(response.url.join(URL(response.headers["Location"])))
                continue
            if response.status != 200:
                permanent = 400 <= response.status < 500 and response.status not in _PASSING_REFUSALS
                raise RemoteMediaError(f"the URL answered HTTP {response.status}", permanent)
            name = found_filename(header_filename(response.headers.get("Content-Disposition", "")))
            facts = await _write(response, target, most_bytes, name or names[0])
            return Fetched(
                response.content_type if "Content-Type" in response.headers else "", name, tuple(names), facts
            )
    raise RemoteMediaError("the URL redirects too often", True)


async def _write(response: aiohttp.ClientResponse, target: Path, most_bytes: int, name: str) -> ContentFacts:
    announced = response.content_length
    if announced is not None and announced > most_bytes:
        raise TooLarge
    unpacking = Unpacking(response.headers.getall("Content-Encoding", []), name, most_bytes)
    file = await _on_disk(lambda: ReceivedFile(target))
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            await _on_disk(partial(_keep, file, unpacking.feed(chunk)))
        await _on_disk(partial(_keep, file, unpacking.end()))
        return await _on_disk(file.finish)
    finally:
        await _on_disk(file.close)


def _keep(file: ReceivedFile, blocks: Iterable[bytes]) -> None:
    for block in blocks:
        file.write(block)


async def _on_disk(call: Callable[[], T]) -> T:
    """In a thread. Raises NoPlace where the disk refuses, which must not read as a failure of the network."""
    try:
        return await asyncio.to_thread(call)
    except OSError as error:
        raise NoPlace(f"{error.strerror or type(error).__name__}") from error
