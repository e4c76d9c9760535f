"""Every answer of every service carries the id of its request, and so does every line that was written meanwhile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from shared.runtime.request_identity import HEADER
from tests.servers import ServiceProcess, StartService

TAKEN = [
    "a",
    "0190b1f4-7c1e-7a3b-8000-0123456789ab",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "Root=1-67891233:abc/d+e=",
    "x" * 128,
]
REPLACED = ["", "x" * 129, "two words", "ünicode", 'quote"', "a;b", "<b>", "15550100001", "x+4915550100001", "%0a"]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as opened:
        yield opened


async def answered_id(session: aiohttp.ClientSession, url: str, given: str | None = None, method: str = "GET") -> str:
    headers = {} if given is None else {HEADER: given}
    async with session.request(method, url, headers=headers) as response:
        [identity] = response.headers.getall(HEADER)
        return identity


def lines_of(service: ServiceProcess) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in service.log_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("name", ["gateway", "dispatcher", "scheduler", "monitor"])
async def test_an_id_that_is_one_comes_back_and_any_other_is_replaced(
    start_service: StartService, session: aiohttp.ClientSession, name: str
) -> None:
    service = await start_service(f"services.{name}", ready_path="/metrics")
    for path, method in (("/ready", "GET"), ("/metrics", "GET"), ("/there/is/none", "GET"), ("/ready", "DELETE")):
        assert await answered_id(session, service.url + path, "mine", method) == "mine"
    for given in TAKEN:
        assert await answered_id(session, f"{service.url}/health", given) == given
    made = {await answered_id(session, f"{service.url}/health", given) for given in [None, *REPLACED]}
    assert len(made) == 1 + len(REPLACED), "each has one of its own"
    assert all(re.fullmatch("[0-9a-f]{32}", identity) for identity in made)


async def test_a_stream_of_events_has_one_too(
    start_service: StartService, session: aiohttp.ClientSession, service_environment: dict[str, str]
) -> None:
    monitor = await start_service("services.monitor", ready_path="/metrics")
    login = aiohttp.encode_basic_auth("tester", service_environment["DASHBOARD_PASSWORD"])
    headers = {"Authorization": login, HEADER: "streaming"}
    async with session.get(f"{monitor.url}/api/statistics/stream", headers=headers) as stream:
        assert stream.status == 200
        assert stream.headers.getall(HEADER) == ["streaming"]


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.1", "203.0.113.9"), ("192.0.2.1", "127.0.0.1")], ids=["an edge", "no edge"]
)
async def test_the_log_tells_who_did_it(
    start_service: StartService,
    session: aiohttp.ClientSession,
    service_environment: dict[str, str],
    trusted: str,
    client: str,
) -> None:
    gateway = await start_service("services.gateway", TRUSTED_PROXIES=trusted)
    login = aiohttp.encode_basic_auth("tester", service_environment["DASHBOARD_PASSWORD"])
    headers = {"Authorization": login, "X-Forwarded-For": "192.0.2.7, 203.0.113.9"}
    acts = [
        ("POST", "/api/stop", {"reason": "a test"}, "stopped"),
        ("POST", "/api/start", {}, "started"),
        ("PUT", "/api/rate-profile", {"jitter": 100}, "rate profile changed"),
        ("PUT", "/api/optouts/15550100001", {}, "opted out"),
        ("DELETE", "/api/optouts/15550100001", None, "opt-out removed"),
    ]
    for number, (method, path, body, _) in enumerate(acts):
        asked = headers | {HEADER: f"act-{number}"}
        async with session.request(method, gateway.url + path, json=body, headers=asked) as response:
            assert response.status == 200, await response.text()
    told = {line["request_id"]: line for line in lines_of(gateway) if "request_id" in line}
    for number, (*_, event) in enumerate(acts):
        line = told[f"act-{number}"]
        assert (line["event"], line["caller"], line["client"]) == (event, "tester", client)
    assert all("caller" not in line for line in lines_of(gateway) if "request_id" not in line), "outside of requests"
