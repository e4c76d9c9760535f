"""Gateway and monitor behind the real edge, and a Chromium that looks at them."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from shared.endpoints.identity import endpoint_id
from shared.queue.connection import QueueConnection
from shared.settings import RedisSettings
from standalone.child_process import ChildProcess
from standalone.embedded_valkey import EmbeddedValkey
from standalone.ports import free_port
from standalone.process_plan import Endpoint, Plan, Ports
from tests.integration.conftest import store
from tests.integration.queue.rota import build, dispatcher
from tests.servers import ROOT, ServiceProcess, StartService

__all__ = ["store"]

# Five seconds by default, in which the dashboard looks at its campaigns once.
expect.set_options(timeout=20_000)

ACCOUNTS = ("http://127.0.0.1:9", "http://127.0.0.1:19", "http://127.0.0.1:29")
ACCOUNT_IDS = tuple(endpoint_id(url, "") for url in ACCOUNTS)
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Site:
    """Everything behind one address."""

    origin: str
    gateway: ServiceProcess
    monitor: ServiceProcess
    edge: ChildProcess
    username: str
    password: str


@dataclass
class Watched:
    """A page, and what it complained about and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium; CHROMIUM names another one."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("there is no Chromium; install the package chromium or name one in CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=_OPTIONS)
        yield browser
        await browser.close()


@pytest.fixture
async def services_queue(redis_server: EmbeddedValkey, queue_name: str) -> AsyncIterator[QueueConnection]:
    """The queue of the site, built for the database's epoch, with a dispatcher that has just beaten."""
    settings = RedisSettings(
        redis_host=redis_server.host,
        redis_port=redis_server.port,
        redis_password=redis_server.password,
        redis_queue_name=queue_name,
    )
    connection = QueueConnection(settings)
    await build(connection, {f"{account}/0": (0, 0) for account in ACCOUNT_IDS})
    await dispatcher(connection, *ACCOUNT_IDS, name="dispatcher-1").beat()
    yield connection
    await connection.close()


@pytest.fixture
async def site(
    start_service: StartService,
    service_environment: dict[str, str],
    services_queue: QueueConnection,
    tmp_path: Path,
) -> AsyncIterator[Site]:
    settings = {"WHATSAPP_ENDPOINTS": ",".join(ACCOUNTS), "WHATSAPP_AUTHS": ",".join(["user:password"] * 3)}
    gateway, monitor = await asyncio.gather(
        start_service("services.gateway", **settings), start_service("services.monitor", **settings)
    )
    nobody = Endpoint("127.0.0.1", 1, "")
    ports = Ports(free_port(), gateway.port, (1,), 1, monitor.port, 1)
    program = Plan(tmp_path, {}, {"DASHBOARD_PASSWORD": ""}, ports, nobody, nobody, "", None).edge()
    edge = ChildProcess(
        "edge", program.command, log=tmp_path / "edge.log", environment=program.environment, directory=ROOT
    )
    edge.start()
    origin = f"http://127.0.0.1:{ports.edge}"
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            assert edge.running, edge.log_tail()
            try:
                async with session.get(f"{origin}/edge/ready"):
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
    yield Site(
        origin,
        gateway,
        monitor,
        edge,
        service_environment["DASHBOARD_USERNAME"],
        service_environment["DASHBOARD_PASSWORD"],
    )
    edge.kill()


@pytest.fixture
async def watched(chromium: Browser, site: Site) -> AsyncIterator[Watched]:
    """An open dashboard with live figures. Whatever the test does, nothing may leave the origin."""
    context = await chromium.new_context(
        http_credentials={"username": site.username, "password": site.password, "origin": site.origin},
        viewport={"width": 1280, "height": 900},
        locale="en-GB",
    )
    page = await context.new_page()
    seen = Watched(page)

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    page.on("console", complain)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    await page.goto(site.origin)
    await page.locator('#live[data-state="live"]').wait_for()
    yield seen
    await context.close()
    foreign = [url for url in seen.requests if not url.startswith((f"{site.origin}/", f"blob:{site.origin}/"))]
    assert not foreign, f"requests that left the origin: {foreign}"
