"""What pgbouncer does with pool_mode=transaction: a connection of the server is a client's for one transaction only.

Each client logs in at a connection of its own, without TLS, which then belongs to all. Where there is a choice, a client does
not get the one again on which it has just prepared a statement. As pgbouncer, it reports a process that the server does not
have.
Messages: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CANCEL = 80877102
_ENDS_A_REQUEST = (b"S", b"Q")
_IDLE = b"I"
_numbers = itertools.count(2_000_000_000)
Message = tuple[bytes, bytes]
"""Its kind, and all of it."""


class _Wire:
    """One connection, taken apart into messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(5)
                body = await self._reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
                self._messages.put_nowait((head[:1], head + body))
        except (OSError, asyncio.IncompleteReadError):
            self._messages.put_nowait(None)

    async def next(self) -> Message:
        """Being cancelled loses nothing. Raises ConnectionResetError at the end."""
        if (message := await self._messages.get()) is None:
            raise ConnectionResetError
        return message

    def close(self) -> None:
        self._task.cancel()
        self.writer.close()


class TransactionPooler:
    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._free: asyncio.Queue[_Wire] = asyncio.Queue()
        self._wires: list[_Wire] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            begin = await reader.readexactly(8)
            size, code = struct.unpack("!ii", begin)
            begin += await reader.readexactly(size - 8)
            if code != _CANCEL:
                client = self._wire(reader, writer)
                await self._log_in(begin, client)
                await self._lend(client)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _wire(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Wire:
        self._wires.append(_Wire(reader, writer))
        return self._wires[-1]

    async def _log_in(self, begin: bytes, client: _Wire) -> None:
        server = self._wire(*await asyncio.open_connection(*self._upstream))
        server.writer.write(begin)
        asking = asyncio.create_task(_pass_on(client, server))
        kind = b""
        while kind != b"Z":
            kind, message = await server.next()
            if kind == b"K":
                message = kind + struct.pack("!iii", 12, next(_numbers), 0)
            if kind == b"Z":
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            client.writer.write(message)
        self._free.put_nowait(server)

    async def _lend(self, client: _Wire) -> None:
        server = None
        while True:
            kind, message = await client.next()
            if kind == b"X":
                return
            server = await self._another_than(server)
            await _transaction((kind, message), client, server)
            self._free.put_nowait(server)

    async def _another_than(self, last: _Wire | None) -> _Wire:
        server = await self._free.get()
        if server is last and not self._free.empty():
            self._free.put_nowait(server)
            return self._free.get_nowait()
        return server

    def close(self) -> None:
        for wire in self._wires:
            wire.close()


async def _transaction(first: Message, client: _Wire, server: _Wire) -> None:
    """Carries messages until the server has answered everything and says that it stands outside a transaction."""
    kind, message = first
    server.writer.write(message)
    unanswered = int(kind in _ENDS_A_REQUEST)
    asking = asyncio.create_task(client.next())
    answering = asyncio.create_task(server.next())
    try:
        while True:
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                kind, message = await asking
                server.writer.write(message)
                unanswered += kind in _ENDS_A_REQUEST
                asking = asyncio.create_task(client.next())
            else:
                kind, message = await answering
                client.writer.write(message)
                unanswered -= kind == b"Z"
                if kind == b"Z" and not unanswered and message[5:] == _IDLE:
                    return
                answering = asyncio.create_task(server.next())
    finally:
        for task in (asking, answering):
            task.cancel()
        await asyncio.gather(asking, answering, return_exceptions=True)


async def _pass_on(client: _Wire, server: _Wire) -> None:
    while True:
        _, message = await client.next()
        server.writer.write(message)


@asynccontextmanager
async def transaction_pooler(host: str, port: int) -> AsyncIterator[TransactionPooler]:
    """The pooler on a free port of the loopback interface."""
    pooler = TransactionPooler(host, port)
    listening = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    pooler.port = listening.sockets[0].getsockname()[1]
    try:
        yield pooler
    finally:
        listening.close()
        pooler.close()
