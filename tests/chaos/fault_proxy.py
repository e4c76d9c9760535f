"""A TCP proxy that misbehaves on command: delays, holds, cuts, half-closes, refuses, loses a reply after its request.

It stands between services and one server and knows nothing of their protocols. Faults work per direction on all
connections at once; ``heal`` ends them all.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024


class Direction(StrEnum):
    REQUEST = "request"
    """From the service to the server."""
    REPLY = "reply"


class _Link:
    """One connection of a service and the one to the server behind it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.sides = {Direction.REQUEST: server, Direction.REPLY: client}

    def abort(self) -> None:
        for writer in self.sides.values():
            writer.transport.abort()

    def half_close(self, direction: Direction) -> None:
        """No more bytes in this direction; the other goes on."""
        with contextlib.suppress(OSError, RuntimeError):
            self.sides[direction].write_eof()


class FaultProxy:
    """``async with FaultProxy("127.0.0.1", 6379) as proxy: proxy.port``. The port stays the same until it is closed."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = {direction: asyncio.Event() for direction in Direction}
        self._delays = dict.fromkeys(Direction, 0.0)
        self._to_lose = 0
        self._refuses = False
        self._swallows_ends = False
        self.replies_lost = 0
        self.ends_swallowed = 0
        self.heal()

    @property
    def url(self) -> str:
        """For a server that speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self._refuses = True
        # The tasks end with their links; cancelled ones would be reported as failed by asyncio's streams.
        while self._tasks:
            self.cut()
            for event in self._open.values():
                event.set()
            await asyncio.wait(self._tasks, timeout=0.5)

    # Faults.

    def delay(self, direction: Direction, seconds: float) -> None:
        """Every piece in this direction comes so much later."""
        self._delays[direction] = seconds

    def hold(self, *directions: Direction) -> None:
        """Nothing comes through any more, and nothing is lost: connections stay, new ones are made."""
        for direction in directions or Direction:
            self._open[direction].clear()

    def cut(self) -> None:
        """Reset all connections; what is held is lost."""
        for link in list(self._links):
            link.abort()

    def half_close(self, direction: Direction) -> None:
        """End one direction of all connections."""
        for link in list(self._links):
            link.half_close(direction)

    def lose_replies(self, count: int) -> None:
        """The next replies, on whatever connection: the request was done, the reply is thrown away, the connection reset."""
        self._to_lose += count

    def refuse(self) -> None:
        """Reset all connections, and every new one at once."""
        self._refuses = True
        self.cut()

    def swallow_ends(self) -> None:
        """The services are not told when the server ends a connection."""
        self._swallows_ends = True

    def heal(self) -> None:
        """As if nothing had been; what was held goes on."""
        self._refuses = False
        self._swallows_ends = False
        self._to_lose = 0
        for direction in Direction:
            self._delays[direction] = 0.0
            self._open[direction].set()

    # Connections.

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        pumps = {
            asyncio.create_task(self._pump(reader, link, Direction.REQUEST)),
            asyncio.create_task(self._pump(server_reader, link, Direction.REPLY)),
        }
        try:
            await asyncio.wait(pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._links.discard(link)
            link.abort()

    async def _pump(self, reader: asyncio.StreamReader, link: _Link, direction: Direction) -> None:
        """Until this direction ends; a reset of one side resets the other."""
        writer = link.sides[direction]
        try:
            while data := await reader.read(_CHUNK):
                if self._delays[direction]:
                    await asyncio.sleep(self._delays[direction])
                await self._open[direction].wait()
                if direction is Direction.REPLY and self._to_lose:
                    self._to_lose -= 1
                    self.replies_lost += 1
                    link.abort()
                    return
                if writer.transport.is_closing():
                    return
                writer.write(data)
                await writer.drain()
            if direction is Direction.REPLY and self._swallows_ends:
                self.ends_swallowed += 1
                return
            link.half_close(direction)
            if direction is Direction.REPLY:
                # A server that has ended says nothing more; a service would otherwise keep the connection in its pool.
                link.abort()
        except OSError:
            link.abort()
