"""A sender that answers every POST at once with the same success: ``python -m bench.raw.answering_stub PORT [MS]``.

With ``MS`` an answer takes that many milliseconds, one after the other for each account (the header ``X-Device-Id``).
Below aiohttp, since it must not be what limits: its part of the machine is one that a real sender would not take.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from typing import ClassVar, cast

import uvloop

_BODY = b'{"code":"SUCCESS","message":"sent","results":{"message_id":"3EB0%018X","status":"sent"}}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_ANSWER = _HEAD % len(_BODY % 0) + _BODY
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_DEVICE = re.compile(rb"\r\nx-device-id: *([^\r]*)", re.IGNORECASE)


class Sender(asyncio.Protocol):
    number = 0
    free_at: ClassVar[defaultdict[bytes, float]] = defaultdict(float)
    """When an account has answered all that it was asked so far, by the loop's clock."""
    latency = 0.0
    """Seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports write, but are no asyncio.WriteTransport.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        Sender.number += 1
        answer = _ANSWER % Sender.number
        if not self.latency:
            self._transport.write(answer)
            return
        device = _DEVICE.search(head)
        account = device[1] if device else b""
        loop = asyncio.get_running_loop()
        self.free_at[account] = max(self.free_at[account], loop.time()) + self.latency
        loop.call_at(self.free_at[account], self._transport.write, answer)


async def main() -> None:
    Sender.latency = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0
    server = await asyncio.get_running_loop().create_server(Sender, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
