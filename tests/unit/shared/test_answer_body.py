"""Answers of the sender come in pieces when they are long."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.endpoints.answer_body import read_body
from shared.endpoints.gowa import sent_messages
from shared.endpoints.identity import Endpoint


async def in_pieces(request: web.Request) -> web.StreamResponse:
    """A chat of 100 long messages, written a piece at a time."""
    lines = [
        {"id": f"3EB0{number}", "content": "x" * 3000, "timestamp": "2026-01-01T00:00:00Z", "is_from_me": True}
        for number in range(100)
    ]
    body = json.dumps({"code": "SUCCESS", "message": "", "results": {"data": lines}}).encode()
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    for start in range(0, len(body), 50_000):
        await response.write(body[start : start + 50_000])
        await asyncio.sleep(0.005)
    return response


@pytest.mark.parametrize("most", [1, 70_000, 10_000_000])
async def test_the_body_is_read_to_its_end_or_the_bound(most: int) -> None:
    app = web.Application()
    app.router.add_get("/{tail:.*}", in_pieces)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        session.get(server.make_url("/")) as response,
    ):
        assert response.content_length is not None
        assert len(await read_body(response, most)) == min(most, response.content_length)


async def test_a_long_chat_is_read_whole() -> None:
    app = web.Application()
    app.router.add_get("/{tail:.*}", in_pieces)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        endpoint = Endpoint("one", str(server.make_url("")).rstrip("/"), "")
        found = await sent_messages(session, endpoint, "15550100001@s.whatsapp.net", datetime(2026, 1, 1, tzinfo=UTC))
    assert (len(found.lines), found.complete) == (1000, False), "every page is full, so there may be more"
