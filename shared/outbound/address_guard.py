"""Which addresses may be asked: none in our own network, whatever name or redirect leads there.

A name is resolved here and every address it has must be public; the connection is made to the addresses that were checked, so
a second answer of the name server changes nothing. Hosts and networks that an operator lists are allowed all the same.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.outbound.name_lookups import HostNotFound, NameLookups

_LONGEST_URL = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not public, but older patch releases of Python call most of it so; a cloud's metadata server is at 192.0.0.192.
_PROTOCOL_ASSIGNMENTS = ipaddress.IPv4Network("192.0.0.0/24")
NOT_FOUND = "its host cannot be found"
FETCH_SECONDS = 60.0
"""For all of a fetch, redirects and a server that drips included."""
LOOKUP_SECONDS = 5.0


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
            return NOT_FOUND
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
