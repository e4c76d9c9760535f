"""Who connects and sends no request, or its headers byte by byte, is cut off; who has asked is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.runtime.service import SILENT_CLIENTS
from shared.runtime.silent_clients import SilentClients
from tests.servers import ServiceProcess

LIMIT = 60.0
REQUEST = b"GET /health HTTP/1.1\r\nHost: test\r\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[TestServer]:
    silent_clients = SilentClients(clock=clock)
    app = web.Application(middlewares=[silent_clients.asked])
    app[SILENT_CLIENTS] = silent_clients

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="here")

    app.router.add_get("/health", answer)
    async with TestServer(app) as server:
        yield server


def sweep(server: TestServer) -> int:
    assert server.runner is not None
    assert isinstance(server.runner.server, web.Server)
    return server.app[SILENT_CLIENTS].sweep(server.runner.server, LIMIT)


async def connected(server: TestServer, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that the server knows of."""
    assert server.runner is not None
    assert isinstance(server.runner.server, web.Server)
    before = len(server.runner.server.connections)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(text)
    async with asyncio.timeout(10):
        while len(server.runner.server.connections) == before:  # noqa: ASYNC110
            await asyncio.sleep(0)
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bool:
    """Waits until the other side has closed it without a word."""
    async with asyncio.timeout(60):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize("text", [b"", REQUEST], ids=["nothing", "half a request"])
async def test_a_first_request_that_does_not_come_ends_its_connection(
    server: TestServer, clock: Clock, text: bytes
) -> None:
    reader, writer = await connected(server, text)
    assert sweep(server) == 0
    clock.now += LIMIT - 1
    # That it goes on byte by byte changes nothing.
    writer.write(b"x" if text else b"")
    assert sweep(server) == 0
    clock.now += 1
    assert sweep(server) == 1
    assert await ended(reader)
    writer.close()


async def test_who_has_asked_may_stay(server: TestServer, clock: Clock) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(server.make_url("/health")) as response:
                assert await response.text() == "here"
            assert sweep(server) == 0
            clock.now += 2 * LIMIT
        assert sweep(server) == 0


@pytest.mark.parametrize("module", ["services.monitor"])
async def test_a_service_ends_them(service_environment: dict[str, str], tmp_path: Path, module: str) -> None:
    service = ServiceProcess(module, service_environment | {"HEADER_TIMEOUT": "1s"}, tmp_path, warm=True)
    service.launch()
    try:
        await service.ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(REQUEST)
        assert await ended(reader)
        writer.close()
    finally:
        service.kill()
