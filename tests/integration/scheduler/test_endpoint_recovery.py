"""Endpoints leave the rota and come back; what is bound to them does not wait for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from services.scheduler.endpoint_recovery import EndpointRecovery
from shared.endpoints.gowa import new_session
from shared.messages import Entry, Lane
from shared.queue.connection import clock_ms
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.rota import endpoint_states
from tests.integration.scheduler.stage import Clock, Stage
from tests.servers import ServiceProcess, StartService


@pytest.fixture
async def simulator(start_service: StartService) -> ServiceProcess:
    return await start_service(
        "simulator",
        arguments=("--listen", "127.0.0.1:{port}", "--devices", "sales-1", "--latency", "0", "--storage-delay", "0"),
        ready_path="/simulator/devices",
    )


@pytest.fixture
async def stage(open_stage: Callable[..., Any], simulator: ServiceProcess) -> Stage:
    """The first endpoint is simulated."""
    stage: Stage = await open_stage(whatsapp_endpoints=f"{simulator.url},http://127.0.0.1:9")
    await stage.rebuilder().step()
    return stage


@pytest.fixture
async def session(stage: Stage) -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session(stage.settings) as session:
        yield session


def recovery(stage: Stage, session: aiohttp.ClientSession, enabled: bool = True, clock: Clock | None = None) -> Any:
    return EndpointRecovery(
        stage.queue, stage.database, session, stage.accounts, 1, enabled, *([clock] if clock else [])
    )


async def open_breaker(stage: Stage, endpoint: str, age_ms: int = 0, not_before_in_ms: int = 0) -> None:
    now = await clock_ms(stage.queue)
    await stage.queue.ask(
        "HSET", stage.queue.keys.state(endpoint), "breaker", "open", "since", now - age_ms,
        "not_before", now + not_before_in_ms,
    )  # fmt: skip
    for rota in (stage.queue.keys.rota, stage.queue.keys.rota_bulk):
        await stage.queue.ask("ZREM", rota, f"{endpoint}/0")


async def breaker(stage: Stage, endpoint: str) -> str:
    return (await endpoint_states(stage.queue, [endpoint]))[endpoint]["breaker"]


async def rota(stage: Stage) -> set[str]:
    return set(await stage.queue.ask("ZRANGE", stage.queue.keys.rota, 0, -1))


@pytest.mark.parametrize(("enabled", "state"), [(True, "half_open"), (False, "closed")])
async def test_an_account_that_can_send_comes_back(
    stage: Stage, session: aiohttp.ClientSession, enabled: bool, state: str
) -> None:
    simulated, nobody = stage.endpoints
    for endpoint in (simulated, nobody):
        await open_breaker(stage, endpoint)
    await recovery(stage, session, enabled).step()
    assert [await breaker(stage, simulated), await breaker(stage, nobody)] == [state, "open"]
    assert await rota(stage) == {f"{simulated}/0"}


async def test_not_before_its_time(stage: Stage, session: aiohttp.ClientSession) -> None:
    await open_breaker(stage, stage.endpoints[0], not_before_in_ms=60_000)
    await recovery(stage, session).step()
    assert await breaker(stage, stage.endpoints[0]) == "open"


async def test_a_logged_out_account_is_asked_again(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    await open_breaker(stage, stage.endpoints[0])
    await session.post(f"{simulator.url}/simulator/devices/sales-1/logout")
    clock = Clock()
    loop = recovery(stage, session, clock=clock)
    await loop.step()
    await session.post(f"{simulator.url}/simulator/devices/sales-1/login")
    await loop.step()
    assert await breaker(stage, stage.endpoints[0]) == "open"
    clock.now += 10
    await loop.step()
    assert await breaker(stage, stage.endpoints[0]) == "half_open"


async def test_a_suspended_endpoint_waits_for_its_resume(stage: Stage, session: aiohttp.ClientSession) -> None:
    simulated, nobody = stage.endpoints
    clock = Clock()
    loop = recovery(stage, session, clock=clock)
    await stage.database.execute("select suspend_endpoint($1, 'blocked')", simulated)
    await loop.step()
    assert await rota(stage) == {f"{nobody}/0"}
    await stage.taking().beat()
    clock.now += 10
    await loop.step()
    assert await rota(stage) == {f"{nobody}/0"}
    await stage.database.execute("update endpoints set suspended_at = null, suspend_reason = null")
    await loop.step()
    assert await breaker(stage, simulated) == "half_open"
    assert await rota(stage) == {f"{simulated}/0", f"{nobody}/0"}


@pytest.mark.parametrize("why", ["open", "suspended", "gone from the settings"])
async def test_bound_entries_move_and_chosen_ones_wait(stage: Stage, session: aiohttp.ClientSession, why: str) -> None:
    endpoint = "0123456789ab" if why.startswith("gone") else stage.endpoints[1]
    sticky, chosen = [await stage.message(enqueued=True) for _ in range(2)]
    await enqueue(
        stage.queue,
        [
            Placement(Entry(sticky, 1, Lane.TRANSACTIONAL, endpoint=endpoint)),
            Placement(Entry(chosen, 1, Lane.TRANSACTIONAL, endpoint=endpoint, chosen=True)),
        ],
    )
    if why == "open":
        await open_breaker(stage, endpoint, age_ms=20_000)
        await recovery(stage, session).step()
        assert await stage.waiting(":transactional") == []
        await open_breaker(stage, endpoint, age_ms=40_000)
    elif why == "suspended":
        await stage.database.execute("select suspend_endpoint($1, 'blocked')", endpoint)
    await recovery(stage, session).step()
    assert await stage.waiting(":transactional") == [sticky]
    assert await stage.waiting(f":endpoint:{endpoint}:transactional") == [chosen]
