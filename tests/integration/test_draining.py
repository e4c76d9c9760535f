"""A service behind an edge that is told to stop: nobody who was let in, or still comes, gets an error."""

from __future__ import annotations

import asyncio
import signal

import aiohttp

from tests.servers import ServiceProcess, StartService

_REQUEST = b"GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n"


async def told_to_stop(service: ServiceProcess) -> None:
    """SIGTERM; returns when the service has heard it."""
    service.process.send(signal.SIGTERM)
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{service.url}/ready") as response:
                if "it is stopping" in await response.text():
                    assert response.status == 503
                    return
            await asyncio.sleep(0.02)


async def test_it_goes_on_answering_and_ends_connections(start_service: StartService) -> None:
    gateway = await start_service("services.gateway", DRAIN_TIME="2s")
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{gateway.url}/health") as response:
            assert "Connection" not in response.headers, "it is kept"
        await told_to_stop(gateway)
        async with session.get(f"{gateway.url}/health") as response:
            assert response.status == 200
            assert response.headers["Connection"] == "close"
    assert await gateway.ended() == 0


async def test_who_has_connected_when_the_port_closes_is_served(start_service: StartService) -> None:
    gateway = await start_service("services.gateway", DRAIN_TIME="1s")
    await told_to_stop(gateway)
    # While it stands still the kernel lets clients in; when it goes on, the time to close has come.
    gateway.pause()
    clients = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(20)]
    for _, writer in clients:
        writer.write(_REQUEST)
        await writer.drain()
    await asyncio.sleep(1.2)
    gateway.resume()
    for reader, writer in clients:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert await gateway.ended() == 0
