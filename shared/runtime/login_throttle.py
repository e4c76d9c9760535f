"""How many different wrong logins an address may try: ten at once, then one every six seconds.

The same wrong login again is no new guess: a job that goes on with an old password must not lock out whoever shares its
address, which behind a proxy may be everybody. Kept in memory and by each process alone, for the 10,000 addresses that failed
last, so guessing cannot fill the memory; several replicas let through as many times more. An IPv6 client commonly owns a
/64, so that counts as one address.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FAILURES = 10
INTERVAL = 6.0
"""Seconds in which an address gets one more attempt."""
_ADDRESSES = 10_000  # about 4 MB
_KNOWN = 16
"""Wrong logins remembered for an address, those that it used last: more than may be tried at once."""
_DIGEST = 8  # bytes
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?|(\d+(?:\.\d+){3}):\d{1,5}")
"""An address as some proxies write it: ``[2001:db8::1]:443``, ``[2001:db8::1]``, ``192.0.2.1:5678``."""


def client_address(request: web.Request, trusted: Iterable[Network]) -> str:
    """Whose request it is: the nearest address in X-Forwarded-For that no trusted proxy has, or whoever is connected."""
    address = request.remote or ""
    forwarded = request.headers.getall("X-Forwarded-For", None)
    if not forwarded:
        return address
    networks = tuple(trusted)
    for hop in reversed(",".join(forwarded).split(",")):
        known, before = _parsed(address), _without_port(hop.strip())
        if known is None or not any(known in network for network in networks) or _parsed(before) is None:
            break
        address = before
    return address


def _without_port(hop: str) -> str:
    found = _WITH_PORT.fullmatch(hop)
    return found[1] or found[2] if found else hop


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
    """``wait`` before a login is looked at, ``failed`` after it was wrong; ``knows`` whether that was one of an address."""

    def __init__(self, addresses: int = _ADDRESSES, clock: Callable[[], float] = time.monotonic) -> None:
        self._addresses = addresses
        self._clock = clock
        # No login can be read out of the memory of a process by its digest.
        self._key = secrets.token_bytes(32)
        # When the address has all its attempts back, and the digests of its wrong logins one after the other, newest last;
        # the address that failed longest ago first.
        self._failures: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until the address may try again; 0: now."""
        if not self._failures:
            return 0.0
        full_at, _ = self._failures.get(_bucket(address), _NEVER)
        return max(0.0, full_at - self._clock() - (FAILURES - 1) * INTERVAL)

    def knows(self, address: str, login: str) -> bool:
        """Whether the address has tried this login and it was wrong."""
        _, known = self._failures.get(_bucket(address), _NEVER)
        return self._digest(login) in _split(known)

    def failed(self, address: str, login: str) -> None:
        """``login``: the Authorization header. Counts it unless the address has tried the same before."""
        bucket, digest = _bucket(address), self._digest(login)
        full_at, joined = self._failures.pop(bucket, _NEVER)
        known = _split(joined)
        if digest in known:
            known.remove(digest)
        else:
            full_at = max(full_at, self._clock()) + INTERVAL
        self._failures[bucket] = full_at, b"".join([*known, digest][-_KNOWN:])
        if len(self._failures) > self._addresses:
            self._failures.popitem(last=False)

    def _digest(self, login: str) -> bytes:
        return hashlib.blake2b(login.encode("utf-8", "surrogatepass"), key=self._key, digest_size=_DIGEST).digest()


_NEVER = (0.0, b"")


def _split(joined: bytes) -> list[bytes]:
    return [joined[at : at + _DIGEST] for at in range(0, len(joined), _DIGEST)]
