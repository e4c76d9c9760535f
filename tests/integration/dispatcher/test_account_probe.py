"""The monitor asks accounts whether they can send, says so, and takes those out of the rota that cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from services.monitor.account_probe import AccountProbe
from shared.endpoints.gowa import AccountState
from shared.endpoints.identity import Endpoint
from tests.integration.dispatcher.stage import DEVICES, LOGIN, Stage, eventually, metrics_of
from tests.servers import ServiceProcess, StartService

Ask = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def monitor(stage: Stage, start_service: StartService) -> ServiceProcess:
    await stage.build()
    return await start_service(
        "services.monitor",
        WHATSAPP_ENDPOINTS=",".join(stage.sender.url for _ in DEVICES),
        WHATSAPP_AUTHS=",".join(LOGIN for _ in DEVICES),
        WHATSAPP_DEVICE_IDS=",".join(DEVICES),
        ACCOUNT_PROBE_INTERVAL="150ms",
        STATISTICS_INTERVAL="100ms",
    )


@pytest.fixture
def ask(monitor: ServiceProcess, service_environment: dict[str, str]) -> Ask:
    """`await ask(path)`: the body of the monitor's answer to somebody who is logged in."""
    login = aiohttp.encode_basic_auth("tester", service_environment["DASHBOARD_PASSWORD"])

    async def get(path: str) -> Any:
        async with (
            aiohttp.ClientSession(headers={"Authorization": login}) as session,
            session.get(monitor.url + path) as response,
        ):
            return await response.json()

    return get


async def accounts(stage: Stage, ask: Ask) -> dict[str, str | None]:
    lines = (await ask("/api/endpoints/stats"))["results"]["endpoints"]
    devices = {stage.endpoint(device): device for device in DEVICES}
    return {devices[line["id"]]: line["account"] for line in lines}


async def test_logged_out_and_offline_are_told_apart_and_both_leave_the_rota(
    stage: Stage, monitor: ServiceProcess, ask: Ask
) -> None:
    await stage.sender.mood("logged-out", "a")
    await stage.sender.mood("offline", "b")

    async def both_are_out() -> bool:
        return (await stage.breaker("a"), await stage.breaker("b")) == ("open", "open")

    await eventually(both_are_out, "opening of two breakers")
    assert await stage.rota() == {"c"}
    assert await accounts(stage, ask) == {"a": "logged_out", "b": "offline", "c": "usable"}
    assert (await stage.state("a"))["reason"] == "the account is logged out"
    assert (await stage.state("b"))["reason"] == "the account is offline"
    assert await stage.sender.sends() == [], "no message had to find out"
    told = {line["reason"]: line.get("detail") for line in (await ask("/health"))["reasons"]}
    assert told[f"endpoint {stage.endpoint('a')} says that it cannot send"] == "it is logged out: pair it again"
    assert told[f"endpoint {stage.endpoint('b')} says that it cannot send"] == "it is paired but not connected"
    metrics = await metrics_of(monitor)
    for device, usable in (("a", "0.0"), ("b", "0.0"), ("c", "1.0")):
        assert f'paceline_account_usable{{endpoint="{stage.endpoint(device)}"}} {usable}' in metrics


async def test_it_comes_back_by_a_trial(stage: Stage, monitor: ServiceProcess) -> None:
    await stage.sender.mood("logged-out", "a")

    async def breaker_is(state: str) -> bool:
        return await stage.breaker("a") == state

    await eventually(lambda: breaker_is("open"), "opening")
    await stage.sender.mood("ok", "a")
    # Settings that agree on the epoch: the scheduler finds Redis built and leaves it so.
    await stage.scheduler()
    await eventually(lambda: breaker_is("half_open"), "the trial")
    await stage.dispatcher()
    await stage.all_sent([await stage.send(f"1555030000{number}", device="a") for number in range(3)])
    assert await breaker_is("closed")


async def test_one_look_is_no_proof(stage: Stage) -> None:
    """A reconnect takes a moment."""
    await stage.build("a")
    endpoint = Endpoint(stage.endpoint("a"), stage.sender.url, "a", aiohttp.encode_basic_auth(*LOGIN.split(":")))
    states: dict[str, AccountState] = {}
    async with aiohttp.ClientSession() as session:
        probe = AccountProbe(stage.queue, session, {endpoint.id: endpoint}, states)
        for mood, breaker in (("offline", "closed"), ("ok", "closed"), ("offline", "closed"), ("logged-out", "open")):
            await stage.sender.mood(mood, "a")
            await probe.step()
            assert await stage.breaker("a") == breaker
        assert states == {endpoint.id: AccountState.LOGGED_OUT}
        generation = (await stage.state("a"))["generation"]
        await probe.step()
        assert (await stage.state("a"))["generation"] == generation, "what is open is left to others"
    assert await stage.rota() == set()
