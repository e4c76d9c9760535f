"""Asks a server for single sends over keep-alive connections: ``python -m bench.requests PORT CONNECTIONS COUNT``.

Each connection has one request under way at a time. Prints requests a second, and the median and the 99th percentile of
the time to the answer in milliseconds. The login, if any, is the environment's ``BENCH_AUTHORIZATION``. Ends with 1 where
an answer is not a 202.

Below aiohttp, whose client takes longer for a request than the gateway has: 8 µs of CPU in place of 100.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODY = b'{"phone":"1555%07d","message":"Your code is %06d. It is valid for ten minutes."}'


class Run:
    """What all connections of a run share: the requests that are left, and how long each took."""

    def __init__(self, port: int, count: int) -> None:
        authorization = os.environ.get("BENCH_AUTHORIZATION", "")
        login = f"Authorization: {authorization}\r\n" if authorization else ""
        head = (
            f"POST /api/send/message HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{login}Content-Type: application/json\r\n"
            f"Content-Length: {len(_BODY % (0, 0))}\r\n\r\n"
        )
        self._request = head.encode() + _BODY
        self._left = count
        self._number = 0
        self.open = 0
        self.seconds: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        if not self._left:
            return None
        self._left -= 1
        self._number += 1
        return self._request % (self._number % 10_000_000, self._number % 1_000_000)

    def fail(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(reason))


class Connection(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._run.open += 1

    def ask(self) -> None:
        request = self._run.next_request()
        if request is None:
            self._run.open -= 1
            self._transport.close()
            if not self._run.open and not self._run.ended.done():
                self._run.ended.set_result(None)
            return
        self._asked_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._received, 0, head + 2)
        if len(self._received) < head + 4 + (int(length[1]) if length else 0):
            return
        if not self._received.startswith(b"HTTP/1.1 202"):
            self._run.fail(self._received[:200].decode(errors="replace"))
            return
        self._run.seconds.append(time.perf_counter() - self._asked_at)
        self._received = b""
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if self._run.open and error is not None:
            self._run.fail(f"a connection was lost: {error}")


async def main(port: int, connections: int, count: int) -> None:
    run = Run(port, count)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: Connection(run), "127.0.0.1", port) for _ in range(connections)]
    begun = time.perf_counter()
    for _, connection in opened:
        connection.ask()
    await run.ended
    taken = time.perf_counter() - begun
    run.seconds.sort()
    median, late = (run.seconds[int(count * share)] * 1000 for share in (0.5, 0.99))
    print(f"{count / taken:.1f} {median:.3f} {late:.3f}")


if __name__ == "__main__":
    uvloop.run(main(*(int(argument) for argument in sys.argv[1:4])))
