"""A Postgres with TLS: a proxy that answers an SSLRequest, ends TLS and speaks plainly to the server behind it.

The embedded Postgres is built without OpenSSL. Messages: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass
class TlsFront:
    """``context`` None: TLS is refused, as by a Postgres that has no certificate. ``wants_tls``: so are plain connections."""

    upstream: tuple[str, int]
    context: ssl.SSLContext | None
    wants_tls: bool = False
    port: int = 0
    encrypted: int = 0
    """Connections that were by TLS."""
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            begin = await reader.readexactly(8)
            if begin == _SSL_REQUEST:
                begin = b""
                writer.write(b"N" if self.context is None else b"S")
                await writer.drain()
                if self.context is not None:
                    await writer.start_tls(self.context)
                    self.encrypted += 1
            elif self.wants_tls:
                writer.write(_error("28000", 'no pg_hba.conf entry for host "127.0.0.1", no encryption'))
                await writer.drain()
                begin = None
            if begin is not None:
                await self._relay(begin, reader, writer)
        writer.close()

    async def _relay(self, begin: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(*self.upstream)
        self._writers.append(forth)
        forth.write(begin)
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _error(state: str, message: str) -> bytes:
    fields = b"".join(
        name + value.encode() + b"\0"
        for name, value in ((b"S", "FATAL"), (b"V", "FATAL"), (b"C", state), (b"M", message))
    )
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


@asynccontextmanager
async def tls_front(
    host: str, port: int, context: ssl.SSLContext | None, *, wants_tls: bool = False
) -> AsyncIterator[TlsFront]:
    """The proxy on a free port of the loopback interface."""
    front = TlsFront((host, port), context, wants_tls)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        front.close()
