"""The statistics stream: one event for all, clients that leave, a bound, and a stop that does not wait."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import orjson

from shared.database.connection import Database
from tests.integration.accepting import accept_campaign
from tests.integration.monitor.conftest import until
from tests.servers import ServiceProcess, StartService


async def open_stream(
    stack: AsyncExitStack, client: aiohttp.ClientSession, monitor: ServiceProcess, headers: dict[str, str]
) -> aiohttp.ClientResponse:
    return await stack.enter_async_context(client.get(f"{monitor.url}/api/statistics/stream", headers=headers))


async def next_event(stream: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(10):
        return await stream.content.readuntil(b"\n\n")


async def test_all_clients_get_the_same_events(
    start_service: StartService, client: aiohttp.ClientSession, authorization: dict[str, str]
) -> None:
    monitor = await start_service("services.monitor", STATISTICS_INTERVAL="100ms")
    async with AsyncExitStack() as stack:
        streams = [await open_stream(stack, client, monitor, authorization) for _ in range(5)]
        assert streams[0].headers["Content-Type"] == "text/event-stream"
        # The first may be the latest of before; from then on all see the same ones.
        seen = [[await next_event(stream) for _ in range(12)] for stream in streams]
        shared = set(seen[0]).intersection(*seen[1:])
        assert len(shared) >= 5
        body = orjson.loads(seen[0][-1].removeprefix(b"data: "))
        async with client.get(f"{monitor.url}/api/statistics", headers=authorization) as response:
            asked: dict[str, Any] = (await response.json())["results"]
        assert body.keys() == asked.keys()


async def test_a_client_that_leaves_makes_room(
    start_service: StartService, client: aiohttp.ClientSession, authorization: dict[str, str]
) -> None:
    monitor = await start_service("services.monitor", STATISTICS_INTERVAL="100ms", STATISTICS_MAX_STREAMS="2")

    async def status() -> int:
        async with client.get(f"{monitor.url}/api/statistics/stream", headers=authorization) as response:
            return response.status

    async with AsyncExitStack() as stack:
        first = await open_stream(stack, client, monitor, authorization)
        await next_event(await open_stream(stack, client, monitor, authorization))
        async with client.get(f"{monitor.url}/api/statistics/stream", headers=authorization) as refused:
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "5"
            assert (await refused.json())["code"] == "SERVICE_UNAVAILABLE"
        first.close()
        await until(status, lambda code: code == 200)


async def test_a_stop_ends_open_streams_at_once(
    start_service: StartService, client: aiohttp.ClientSession, authorization: dict[str, str]
) -> None:
    # A grace of a minute that is not used: the streams are ended, not waited for.
    monitor = await start_service("services.monitor", SHUTDOWN_GRACE="1m")
    async with AsyncExitStack() as stack:
        streams = [await open_stream(stack, client, monitor, authorization) for _ in range(20)]
        for stream in streams:
            await next_event(stream)
        assert await monitor.stop(grace=10) == 0
        for stream in streams:
            async with asyncio.timeout(5):
                # Ended properly: a client sees the end of the stream, not a broken connection.
                await stream.content.read()


async def test_a_client_that_does_not_read_is_cut_off_and_holds_up_nobody(
    start_service: StartService, client: aiohttp.ClientSession, authorization: dict[str, str], store: Database
) -> None:
    # Events of some 15 kB, so that the buffers of the one that does not read are full soon.
    for number in range(25):
        await accept_campaign(store, 1, first_phone=15550200000 + number)
    await store.execute("update campaigns set reference = repeat('x', 200)")
    monitor = await start_service("services.monitor", STATISTICS_INTERVAL="100ms")
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(lazy, ("127.0.0.1", monitor.port))
    request = (
        f"GET /api/statistics/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization['Authorization']}\r\n\r\n"
    )
    await loop.sock_sendall(lazy, request.encode())

    async def open_streams() -> float:
        async with client.get(f"{monitor.url}/metrics") as response:
            [line] = [
                line for line in (await response.text()).splitlines() if line.startswith("paceline_statistics_str")
            ]
            return float(line.split()[1])

    async with AsyncExitStack() as stack:
        stream = await open_stream(stack, client, monitor, authorization)
        assert await open_streams() == 2
        async with asyncio.timeout(60):
            while await open_streams() == 2:
                await next_event(stream)
        await next_event(stream)
    lazy.close()
