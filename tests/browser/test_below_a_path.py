"""Dashboard and documentation below a path of another proxy, which takes the path off and keeps Host to itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from standalone.binaries import caddy
from standalone.child_process import ChildProcess
from standalone.ports import free_port
from tests.browser.conftest import Site
from tests.servers import ROOT, base_environment

PATH = "/tools/paceline"
_PROXY = """
{
    admin off
    auto_https off
    persist_config off
}
http://127.0.0.1:%(port)d {
    bind 127.0.0.1
    @ours path %(path)s %(path)s/*
    handle @ours {
        uri strip_prefix %(path)s
        reverse_proxy %(edge)s {
            header_up Host edge.internal
            %(say)s
            flush_interval -1
        }
    }
    respond "of another program" 404
}
"""


@pytest.fixture(params=["relative", "said"])
async def below(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> AsyncIterator[str]:
    """The address of Paceline below the path, with a slash at its end; `said`: without, and the proxy says the path."""
    said = request.param == "said"
    port = free_port()
    config = tmp_path / "proxy"
    config.write_text(
        _PROXY
        % {
            "port": port,
            "path": PATH,
            "edge": site.origin.removeprefix("http://"),
            "say": f"header_up X-Forwarded-Prefix {PATH}" if said else "",
        }
    )
    environment = base_environment() | {"XDG_CONFIG_HOME": str(tmp_path / "x"), "XDG_DATA_HOME": str(tmp_path / "x")}
    command: list[str | Path] = [caddy(), "run", "--config", config, "--adapter", "caddyfile"]
    proxy = ChildProcess("proxy", command, log=tmp_path / "proxy.log", environment=environment, directory=ROOT)
    proxy.start()
    origin = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            assert proxy.running, proxy.log_tail()
            try:
                async with session.get(origin):
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
    yield origin + PATH + ("" if said else "/")
    proxy.kill()


async def test_all_of_it_works_below_a_path(chromium: Browser, site: Site, below: str) -> None:
    context = await chromium.new_context(
        http_credentials={"username": site.username, "password": site.password},
        viewport={"width": 1280, "height": 900},
    )
    page = await context.new_page()
    complaints: list[str] = []
    strangers: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: strangers.append(request.url) if PATH not in request.url else None)
    await page.goto(below)
    # The stream of figures, a change through the API, and what is read of it.
    await page.locator('#live[data-state="live"]').wait_for()
    await expect(page.locator(".account")).to_have_count(3)
    async with page.expect_response(lambda response: response.url.endswith(f"{PATH}/api/rate-profile")) as change:
        await page.locator("#pace").select_option("bulk")
    assert (await (await change.value).json())["code"] == "SUCCESS"
    await page.goto(below.rstrip("/") + "/dashboard")
    await page.locator('#live[data-state="live"]').wait_for()
    # Documentation, by its link, and a call from there.
    await page.locator("footer a").click()
    await page.wait_for_url(f"**{PATH}/docs")
    operation = page.locator("#operations-Steering-get_rate_profile")
    await operation.locator("button").first.click()
    await operation.get_by_role("button", name="Try it out").click()
    async with page.expect_response(lambda response: "/api/rate-profile" in response.url) as asked:
        await operation.get_by_role("button", name="Execute").click()
    answered = await asked.value
    assert answered.status == 200
    assert answered.url.endswith(f"{PATH}/api/rate-profile")
    await context.close()
    assert strangers == []
    assert complaints == []
