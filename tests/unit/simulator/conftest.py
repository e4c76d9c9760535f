"""A simulator behind aiohttp's test server, with the shorthand that its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from simulator.app import build_app
from simulator.settings import Settings
from tests.pictures import WEBP, jpeg, png

PHONE = "15550100001@s.whatsapp.net"
JPEG = jpeg()
PNG = png()


class Gowa:
    """One running simulator; ``send`` posts JSON, the rest asks and steers it."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def send(self, kind: str = "message", device: str | None = None, **fields: Any) -> tuple[int, Any]:
        """Status and envelope (or text) of ``POST /send/<kind>``; a text to PHONE unless told otherwise."""
        if kind == "message":
            fields = {"phone": PHONE, "message": "hello", **fields}
        headers = {} if device is None else {"X-Device-Id": device}
        response = await self.client.post(f"/send/{kind}", json=fields, headers=headers)
        return response.status, await content(response)

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        response = await self.client.get(path, params=query)
        return response.status, await content(response)

    async def results(self, path: str, **query: str) -> Any:
        status, envelope = await self.get(path, **query)
        assert status == 200, envelope
        return envelope["results"]

    async def mood(self, mood: str, device: str = "sales-1", **parameters: Any) -> Any:
        body = {"mood": mood, **parameters}
        response = await self.client.put(f"/simulator/devices/{device}/mood", json=body)
        assert response.status == 200, await response.text()
        return await response.json()

    async def lines(self, **query: str) -> list[dict[str, Any]]:
        return list((await self.get("/simulator/ledger", **query))[1]["entries"])

    async def line(self) -> dict[str, Any]:
        """The only line."""
        (line,) = await self.lines()
        return line

    async def summary(self) -> Any:
        return (await self.get("/simulator/summary"))[1]

    async def stored(self, phone: str = PHONE, **query: str) -> list[dict[str, Any]]:
        return list((await self.results(f"/chat/{phone}/messages", **query))["data"])


async def content(response: ClientResponse) -> Any:
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    return await (response.json() if is_json else response.text())


async def until(fact: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until there is something; the test's own time limit ends it."""
    while not (found := await fact()):  # noqa: ASYNC110 - the fact lives behind HTTP
        await asyncio.sleep(0.01)
    return found


class Server(TestServer):
    """A test server that lets a send go on when its client leaves, as GOWA and ``python -m simulator`` do."""

    async def _make_runner(self, **options: Any) -> web.AppRunner:
        return await super()._make_runner(**{**options, "handler_cancellation": False, "shutdown_timeout": 0.1})


Start = Callable[..., Awaitable[Gowa]]


@pytest.fixture
def start(aiohttp_client: Any) -> Start:
    """Starts a simulator; instant unless told otherwise."""

    async def starting(**options: Any) -> Gowa:
        instant: dict[str, Any] = {"latency": 0, "storage_delay": 0, "devices": ("sales-1",)}
        return Gowa(await aiohttp_client(Server(build_app(Settings(**{**instant, **options})))))

    return starting


@pytest.fixture
async def gowa(start: Start) -> Gowa:
    """One device, no login, no delays."""
    return await start()


class Receiver:
    """A webhook receiver that refuses the first ``refusals`` posts."""

    def __init__(self) -> None:
        self.refusals = 0
        self.events: asyncio.Queue[tuple[dict[str, Any], str, bytes]] = asyncio.Queue()
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=500)
        self.events.put_nowait((orjson.loads(body), request.headers["X-Hub-Signature-256"], body))
        return web.Response()


@pytest.fixture
async def receiver(aiohttp_server: Any) -> Receiver:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    receiver.url = str((await aiohttp_server(app)).make_url("/hook"))
    return receiver


class Site:
    """A web server that URLs in messages point to; ``asked`` are the paths that were fetched.

    Paths are answered by their ending, ``/<status>/...`` with that status, ``/to?<address>`` with a redirect; ``pages``
    holds what a test says instead: content type, body, headers.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.pages: dict[str, tuple[str, bytes, dict[str, str]]] = {}
        self.delay = 0.0
        self.hold = asyncio.Event()
        self.hold.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.agents.add(request.headers.get("User-Agent", ""))
        await self.hold.wait()
        await asyncio.sleep(self.delay)
        if request.path in self.pages:
            content_type, body, headers = self.pages[request.path]
            return web.Response(body=body, headers={"Content-Type": content_type, **headers})
        if request.path == "/to":
            return web.Response(status=302, headers={"Location": request.query_string})
        first = request.path.split("/")[1]
        if first.isdigit():
            return web.Response(status=int(first))
        content_type, body = _BY_ENDING[request.path.rpartition(".")[2]]
        return web.Response(body=body, content_type=content_type)


_BY_ENDING = {
    "png": ("image/png", PNG),
    "gif": ("image/gif", b"GIF89a" + bytes(20)),
    "webp": ("image/webp", WEBP),
    "pdf": ("application/pdf", b"%PDF-1.4"),
    "mp4": ("video/mp4", b"mp4"),
    "ogg": ("audio/ogg", b"OggS"),
}


@pytest.fixture
async def site(aiohttp_server: Any) -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{tail:.*}", site.answer)
    site.url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    yield site
    site.hold.set()
