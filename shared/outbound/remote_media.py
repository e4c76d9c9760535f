"""Fetching what a caller's URL points to, without being led into our own network.

A name is resolved here and every address it has must be public; the connection is made to the addresses that were
checked, so a second answer of the name server changes nothing; each redirect goes through the same check. Hosts and
networks that an operator lists are allowed all the same.

What arrives is whole and as it was before it was encoded for the way, or it is not taken: shorter than announced, it is
fetched again; packed in a way that was not asked for, it is unpacked or refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.media.content_facts import ContentFacts, ReceivedFile
from shared.media.file_names import address_filename, found_filename, header_filename
from shared.media.unpacking import NotUnpacked, TooLarge, Unpacking
from shared.outbound.name_lookups import HostNotFound, HostUnsure, NameLookups

_REDIRECTS = 5
_CHUNK = 64 * 1024
_LONGEST_URL = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not public, but older patch releases of Python call most of it so; a cloud's metadata server is at 192.0.0.192.
_PROTOCOL_ASSIGNMENTS = ipaddress.IPv4Network("192.0.0.0/24")
_NOT_FOUND = "its host cannot be found"
FETCH_SECONDS = 60.0
"""For all of a fetch, redirects and a server that drips included."""
LOOKUP_SECONDS = 5.0
_PASSING_REFUSALS = frozenset({408, 425, 429})
T = TypeVar("T")


class RemoteMediaError(Exception):
    """The URL cannot be fetched. ``permanent``: trying again would not help."""

    def __init__(self, reason: str, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class NoPlace(Exception):
    """Our own disk is full or gone; the URL is not to blame."""


class AddressGuard:
    """Which addresses may be fetched from. ``allowed``: host names, addresses or networks in CIDR form."""

    def __init__(self, allowed: Sequence[str] = (), lookups: NameLookups | None = None) -> None:
        self.lookups = lookups or NameLookups()
        self._hosts = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for item in allowed:
            try:
                self._networks.append(ipaddress.ip_network(item, strict=False))
            except ValueError:
                self._hosts.add(item.lower().rstrip("."))

    def host_is_listed(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._hosts

    def permits(self, address: str) -> bool:
        """Whether an address (text, without a port) may be connected to."""
        parsed: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address):
            inner = parsed.ipv4_mapped or parsed.sixtofour
            if parsed in _NAT64:
                inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
            if inner is not None:
                parsed = inner
        if any(parsed in network for network in self._networks if network.version == parsed.version):
            return True
        if parsed.version == _PROTOCOL_ASSIGNMENTS.version and parsed in _PROTOCOL_ASSIGNMENTS:
            return False
        return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved)

    async def check_url(self, url: str) -> str:
        """Empty, or why the URL must not be used: not http(s), a login in it, a host that is not public or does not exist.
        Raises HostUnsure when no name server says now whether its host exists."""
        # Parsers disagree about these characters: one would check another host than the next one fetches from.
        if len(url) > _LONGEST_URL or any(character <= " " or character in "\\\x7f" for character in url):
            return "it is longer than 2048 characters or has spaces, backslashes or control characters"
        try:
            parts = urlsplit(url)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            return "it is not a URL"
        if parts.scheme not in ("http", "https") or not host:
            return "an http or https URL is wanted"
        if parts.username or parts.password:
            return "a login in the URL is not allowed"
        if self.host_is_listed(host):
            return ""
        try:
            found = await self.lookups.find(host, LOOKUP_SECONDS)
        except HostNotFound:
            return _NOT_FOUND
        if not all(self.permits(str(entry[4][0])) for entry in found):
            return "its host is not a public address"
        return ""


class GuardedResolver(AbstractResolver):
    """Resolves names for aiohttp and fails where an address is not permitted; what it answers is what is connected to."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._guard.lookups.find(host, LOOKUP_SECONDS)
        listed = self._guard.host_is_listed(host)
        results = []
        for entry_family, _, protocol, _, address in found:
            if not listed and not self._guard.permits(str(address[0])):
                raise OSError("the host is not a public address")
            if family in (socket.AF_UNSPEC, entry_family):
                flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                results.append(
                    ResolveResult(
                        hostname=host, host=address[0], port=port, family=entry_family, proto=protocol, flags=flags
                    )
                )
        return results

    async def close(self) -> None:
        return


def new_fetching_session(guard: AddressGuard) -> aiohttp.ClientSession:
    """A session that reaches permitted addresses only; the caller closes it."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS, sock_connect=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Resolved anew each time: a cached answer may be older than a change of the guard. How many are fetched at once is
        # for the caller; to wait here for a connection would be taken from the time for the fetch.
        connector=aiohttp.TCPConnector(resolver=GuardedResolver(guard), use_dns_cache=False, limit=0),
        auto_decompress=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "paceline"},
    )


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
            raise RemoteMediaError(f"the URL cannot be fetched: {problem}", problem != _NOT_FOUND)
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
