"""Fetching what a caller's URL points to, without being led into our own network.

A name is resolved here and every address it has must be public; the connection is made to the addresses that were
checked, so a second answer of the name server changes nothing; each redirect goes through the same check. Hosts and
networks that an operator lists are allowed all the same.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

_REDIRECTS = 5
_CHUNK = 64 * 1024
_LONGEST_URL = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PROTOCOL_ASSIGNMENTS = ipaddress.IPv4Network("192.0.0.0/24")
# Not public, but older patch releases of Python call most of it so; a cloud's metadata server is at 192.0.0.192.
FETCH_SECONDS = 60.0


class RemoteMediaError(Exception):
    """The URL cannot be fetched. ``permanent``: trying again would not help."""

    def __init__(self, reason: str, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class AddressGuard:
    """Which addresses may be fetched from. ``allowed``: host names, addresses or networks in CIDR form."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
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
        """Empty, or why the URL must not be used: not http(s), a login in it, a host that is not public or not known."""
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
            found = await asyncio.wait_for(
                asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM), 5
            )
        except (OSError, TimeoutError, UnicodeError):
            return "its host cannot be found"
        if not all(self.permits(str(entry[4][0])) for entry in found):
            return "its host is not a public address"
        return ""


class GuardedResolver(AbstractResolver):
    """Resolves names for aiohttp and fails where an address is not permitted; what it answers is what is connected to."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not self._guard.host_is_listed(host) and not all(self._guard.permits(entry["host"]) for entry in found):
            raise OSError("the host is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def new_fetching_session(guard: AddressGuard) -> aiohttp.ClientSession:
    """A session that reaches permitted addresses only; the caller closes it."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS, sock_connect=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Resolved anew each time: a cached answer may be older than a change of the guard.
        connector=aiohttp.TCPConnector(resolver=GuardedResolver(guard), use_dns_cache=False, limit=8),
        auto_decompress=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "paceline"},
    )


async def fetch(
    session: aiohttp.ClientSession, guard: AddressGuard, url: str, target: Path, most_bytes: int
) -> tuple[str, str]:
    """Fetches a URL into a file; answers (content type, last segment of the path). Raises RemoteMediaError; the file is
    then gone."""
    try:
        for _ in range(_REDIRECTS + 1):
            problem = await guard.check_url(url)
            if problem:
                raise RemoteMediaError(f"the URL cannot be fetched: {problem}", problem != "its host cannot be found")
            async with session.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    url = str(response.url.join(URL(response.headers["Location"])))
                    continue
                if response.status != 200:
                    permanent = 400 <= response.status < 500 and response.status not in (408, 425, 429)
                    raise RemoteMediaError(f"the URL answered HTTP {response.status}", permanent)
                await _write(response, target, most_bytes)
                # A %2F in the segment is decoded here; what is left must not read as a path.
                return response.content_type, response.url.name.replace("\\", "/").rpartition("/")[2]
        raise RemoteMediaError("the URL redirects too often", True)
    except RemoteMediaError:
        await asyncio.to_thread(target.unlink, missing_ok=True)
        raise
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        await asyncio.to_thread(target.unlink, missing_ok=True)
        raise RemoteMediaError(f"the URL could not be fetched: {type(error).__name__}", False) from error


async def _write(response: aiohttp.ClientResponse, target: Path, most_bytes: int) -> None:
    loop = asyncio.get_running_loop()
    size = 0
    file: Any = await loop.run_in_executor(None, target.open, "wb")
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise RemoteMediaError(f"the URL's file is larger than {most_bytes} bytes", True)
            await loop.run_in_executor(None, file.write, chunk)
    finally:
        await loop.run_in_executor(None, file.close)
