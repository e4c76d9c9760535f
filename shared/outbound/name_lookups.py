"""Addresses of host names, looked up so that slow names hold up nobody else.

The system's resolver blocks a thread for as long as its name servers take, half a minute and more. On the event loop's own
threads six such names were enough to hold up every upload, so lookups have threads of their own, which do not delay the end
of the process either. One name costs one thread, however many wait for it. When all are busy the answer is "not known now".
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

MOST_THREADS = 64
# Of getaddrinfo: the name does not exist, or has no address. All else (no answer of a name server above all) may pass.
_NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
Found = list[tuple[Any, ...]]
"""As socket.getaddrinfo answers."""


class HostNotFound(OSError):
    """The name does not exist or has no address."""


class HostUnsure(OSError):
    """Nobody could say in time whether the name exists."""


class NameLookups:
    """Use within one event loop."""

    def __init__(self, most_threads: int = MOST_THREADS) -> None:
        self._most = most_threads
        self._under_way: dict[str, asyncio.Future[Found]] = {}

    async def find(self, host: str, seconds: float) -> Found:
        """Raises HostNotFound; HostUnsure, also after ``seconds``."""
        if _is_numeric(host):
            return _look_up(host)
        answer = self._under_way.get(host) or self._begin(host)
        done, _ = await asyncio.wait([answer], timeout=seconds)
        if not done:
            raise HostUnsure("the name servers do not answer")
        return answer.result()

    def _begin(self, host: str) -> asyncio.Future[Found]:
        if len(self._under_way) >= self._most:
            raise HostUnsure("too many names are being looked up")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()

        def ended(found: Found | OSError) -> None:
            del self._under_way[host]
            if isinstance(found, OSError):
                answer.set_exception(found)
                # Whoever asked may have gone by now; then nobody takes it.
                answer.exception()
            else:
                answer.set_result(found)

        def look_up() -> None:
            outcome: Found | OSError
            try:
                outcome = _look_up(host)
            except OSError as error:
                outcome = error
            except Exception as error:
                outcome = HostUnsure(type(error).__name__)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(ended, outcome)

        try:
            threading.Thread(target=look_up, name="name lookup", daemon=True).start()
        except RuntimeError as error:
            raise HostUnsure("no thread is left to look names up") from error
        # The thread answers through the loop, so not before this.
        self._under_way[host] = answer
        return answer


def _look_up(host: str) -> Found:
    try:
        return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise HostNotFound("no host has such a name") from None
    except socket.gaierror as error:
        if error.errno in _NOT_FOUND:
            raise HostNotFound("its host cannot be found") from error
        raise HostUnsure("the name servers do not answer") from error


def _is_numeric(host: str) -> bool:
    """Whether it is an address in one of its many spellings (``127.1`` too), for which no name server is asked."""
    try:
        socket.inet_aton(host)
    except OSError:
        return ":" in host
    return True
