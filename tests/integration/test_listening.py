"""A service listens where API_HOST says; everywhere means on IPv4 and on IPv6."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp import web

from shared.runtime.listening import ListeningPort
from standalone.ports import free_port


@pytest.mark.parametrize("host", ["::", "*"])
async def test_everywhere_is_both_families(host: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 on this machine")

    async def who(request: web.Request) -> web.Response:
        return web.Response(text=request.remote)

    app = web.Application()
    app.router.add_get("/", who)
    runner = web.AppRunner(app)
    await runner.setup()
    listening, port = ListeningPort(runner), free_port()
    await listening.open(host, port)
    try:
        async with aiohttp.ClientSession() as session:
            for address, seen in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
                async with session.get(f"http://{address}:{port}/") as response:
                    assert await response.text() == seen, "an IPv4 client is known by its own address"
    finally:
        await listening.close()
        await runner.cleanup()
