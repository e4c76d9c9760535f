"""The edge makes one origin of gateway and monitor; the same Caddyfile serves containers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from standalone.child_process import ChildProcess
from standalone.ports import free_ports
from standalone.process_plan import Endpoint, Plan, Ports
from standalone.supervisor import Program
from tests.servers import ROOT

THREE_EVENTS = 3


def start_edge(directory: Path, program: Program) -> ChildProcess:
    log = directory / "edge.log"
    process = ChildProcess("edge", program.command, log=log, environment=program.environment, directory=ROOT)
    process.start()
    return process


async def answering(session: aiohttp.ClientSession, process: ChildProcess, url: str) -> None:
    while True:
        assert process.running, process.log_tail()
        try:
            async with session.get(url):
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.02)


def edge_program(directory: Path, edge: int, gateway: int, monitor: int) -> Program:
    nobody = Endpoint("127.0.0.1", 1, "")
    ports = Ports(edge=edge, gateway=gateway, dispatchers=(1,), scheduler=1, monitor=monitor, simulator=1)
    return Plan(directory, {}, {"DASHBOARD_PASSWORD": "p"}, ports, nobody, nobody, "u", None).edge()


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[str]:
    edge, gateway, monitor = free_ports(3)
    go_on = asyncio.Event()

    def service(name: str) -> web.Application:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.path == "/api/statistics/stream":
                stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await stream.prepare(request)
                for number in range(THREE_EVENTS):
                    await stream.write(f"data: {number}\n\n".encode())
                    await go_on.wait()
                    go_on.clear()
                return stream
            if request.path == "/cut":
                short = web.StreamResponse(headers={"Content-Length": "100"})
                await short.prepare(request)
                await short.write(b"short")
                assert request.transport is not None
                request.transport.close()
                return short
            if request.path == "/forwarded":
                return web.Response(text=f"{request.headers['X-Forwarded-For']}|{request.headers['X-Forwarded-Host']}")
            if request.path == "/identity":
                return web.Response(headers={"X-Request-Id": f"{request.headers.get('X-Request-Id')} answered"})
            if request.path == "/go-on":
                go_on.set()
            return web.Response(text=f"{name} {request.path_qs} {request.headers['Host']}")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        return app

    runners = [web.AppRunner(service(name)) for name in ("gateway", "monitor")]
    for runner, port in zip(runners, (gateway, monitor), strict=True):
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
    program = edge_program(tmp_path, edge, gateway, monitor)
    url = f"http://127.0.0.1:{edge}"
    process = start_edge(tmp_path, program)
    async with aiohttp.ClientSession() as session:
        await answering(session, process, url)
    yield url
    process.kill()
    for runner in runners:
        await runner.cleanup()
    # Requests carry phone numbers and logins.
    assert "15550100" not in process.log.read_text()


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/health", "monitor"),
        ("/api/statistics", "monitor"),
        ("/api/statistics?x=1", "monitor"),
        ("/api/statistics/other", "monitor"),
        ("/api/endpoints/stats", "monitor"),
        ("/", "gateway"),
        ("/api/alerts/test", "monitor"),
        ("/readyx", "gateway"),
        ("/api/metrics", "gateway"),
        ("/health/x", "gateway"),
        ("/api/endpoints/abc/suspend", "gateway"),
        ("/api/send/message?phone=15550100", "gateway"),
        ("/docs/openapi.yml", "gateway"),
    ],
)
async def test_each_path_reaches_its_service_under_any_name(origin: str, path: str, service: str) -> None:
    for host in (origin, origin.replace("127.0.0.1", "localhost")):
        async with aiohttp.ClientSession() as session, session.get(host + path) as response:
            assert (await response.text()).startswith(f"{service} {path} ")


@pytest.mark.parametrize(
    "path", ["/metrics", "/ready", "/metrics/", "/ready?x=1", "//metrics", "/%6Detrics", "/METRICS", "/docs/../metrics"]
)
async def test_what_is_for_the_inside_is_not_there(origin: str, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(URL(origin + path, encoded=True)) as response:
        assert response.status == 404
        assert (await response.json())["code"] == "NOT_FOUND"


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "paceline.example"}])
async def test_what_a_proxy_in_front_says_is_passed_on(origin: str, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{origin}/forwarded", headers=headers) as response:
        client, host = (await response.text()).split("|")
    assert client == ", ".join([*([headers["X-Forwarded-For"]] if headers else []), "127.0.0.1"])
    assert host == headers.get("X-Forwarded-Host", origin.removeprefix("http://"))


async def test_the_id_of_a_request_passes_both_ways(origin: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{origin}/identity", headers={"X-Request-Id": "mine"}) as response:
            assert response.headers.getall("X-Request-Id") == ["mine answered"]
        async with session.get(f"{origin}/identity") as response:
            assert response.headers.getall("X-Request-Id") == ["None answered"], "the service makes it"


async def test_each_event_passes_at_once(origin: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{origin}/api/statistics/stream") as stream:
        for number in range(THREE_EVENTS):
            # The next event is written only after this one has been read here.
            assert await stream.content.readuntil(b"\n\n") == f"data: {number}\n\n".encode()
            async with session.get(f"{origin}/go-on") as response:
                assert response.status == 200
        assert await stream.content.read() == b""


async def test_a_service_that_is_away_is_a_reason_to_come_again(tmp_path: Path) -> None:
    edge, nobody = free_ports(2)
    process = start_edge(tmp_path, edge_program(tmp_path, edge, nobody, nobody))
    try:
        url = f"http://127.0.0.1:{edge}/api/optouts/15550100"
        async with aiohttp.ClientSession() as session:
            await answering(session, process, url)
            async with session.get(url) as response:
                assert response.status == 503
                assert response.headers["Retry-After"] == "5"
                assert (await response.json())["code"] == "SERVICE_UNAVAILABLE"
    finally:
        process.kill()


async def test_a_broken_answer_is_logged_without_its_request(origin: str, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(f"{origin}/cut?phone=15550100") as response:
                await response.read()
    log = (tmp_path / "edge.log").read_text()
    assert "unexpected EOF" in log
    assert "15550100" not in log
