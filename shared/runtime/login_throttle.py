"""How many wrong logins an address may try: ten at once, then one every six seconds.

Kept in memory and by each process alone, for the 10,000 addresses that failed last, so guessing cannot fill the memory;
several replicas let through as many times more. An IPv6 client commonly owns a /64, so that counts as one address.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FAILURES = 10
INTERVAL = 6.0
"""Seconds in which an address gets one more attempt."""
_ADDRESSES = 10_000  # about 2 MB


def client_address(request: web.Request, trusted: Iterable[Network]) -> str:
    """Whose request it is: the nearest address in X-Forwarded-For that no trusted proxy has, or whoever is connected."""
    address = request.remote or ""
    forwarded = request.headers.getall("X-Forwarded-For", None)
    if not forwarded:
        return address
    networks = tuple(trusted)
    for hop in reversed(",".join(forwarded).split(",")):
        known = _parsed(address)
        if known is None or not any(known in network for network in networks) or _parsed(hop) is None:
            break
        address = hop.strip()
    return address


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


# Reading an address takes 3 µs, and it is read for each request.
@lru_cache(4096)
def _bucket(address: str) -> str:
    known = _parsed(address)
    if isinstance(known, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known or address)


class LoginThrottle:
    """``wait`` before a login is looked at, ``failed`` after it was wrong."""

    def __init__(self, addresses: int = _ADDRESSES, clock: Callable[[], float] = time.monotonic) -> None:
        self._addresses = addresses
        self._clock = clock
        # When the address has all its attempts back; the one that failed longest ago first.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until the address may try again; 0: now."""
        if not self._full_at:
            return 0.0
        full_at = self._full_at.get(_bucket(address), 0.0)
        return max(0.0, full_at - self._clock() - (FAILURES - 1) * INTERVAL)

    def failed(self, address: str) -> None:
        bucket = _bucket(address)
        self._full_at[bucket] = max(self._full_at.pop(bucket, 0.0), self._clock()) + INTERVAL
        if len(self._full_at) > self._addresses:
            self._full_at.popitem(last=False)
