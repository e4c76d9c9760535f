"""The monitor as a process: health of the whole, statistics, endpoint statistics, metrics."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from shared.database.connection import Database
from shared.endpoints.identity import endpoint_id
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.noting import Noted, note
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.accepting import accept_campaign
from tests.integration.monitor.conftest import Ask, until
from tests.integration.queue.rota import build, dispatcher, done, entry, put, take_one
from tests.servers import ServiceProcess, StartService

ENDPOINT = endpoint_id("http://127.0.0.1:9", "")
LABEL = "127.0.0.1:9"


@pytest.fixture
async def monitor(start_service: StartService, services_queue: QueueConnection) -> ServiceProcess:
    """Beside a queue of the database's epoch and a dispatcher that has just beaten."""
    await build(services_queue, {f"{ENDPOINT}/0": (0, 0)})
    await dispatcher(services_queue, ENDPOINT).beat()
    return await start_service("services.monitor")


async def health(ask: Ask, monitor: ServiceProcess, status: str, login: bool = True) -> dict[str, Any]:
    async def ask_once() -> tuple[int, dict[str, Any]]:
        return await ask(monitor, "/health", login=login)

    code, body = await until(ask_once, lambda answer: answer[1]["status"] == status)
    assert code == (503 if status == "down" else 200)
    return dict(body)


def reasons(body: dict[str, Any]) -> list[str]:
    return [line["part"] for line in body["reasons"]]


async def test_healthy_for_anybody(monitor: ServiceProcess, ask: Ask) -> None:
    body = await health(ask, monitor, "ok", login=False)
    assert body["reasons"] == []
    assert body["endpoints"] == [{"id": ENDPOINT, "breaker": "closed", "suspended": False}]
    assert body["epoch"] == {"number": 1, "current": True}
    assert body["dispatchers"] == {"alive": 1, "known": 1}
    assert LABEL not in str(body)
    assert (await health(ask, monitor, "ok"))["endpoints"][0]["label"] == LABEL


async def test_what_others_noted_becomes_an_alert(
    start_service: StartService, ask: Ask, services_queue: QueueConnection
) -> None:
    await build(services_queue, {f"{ENDPOINT}/0": (0, 0)})
    await dispatcher(services_queue, ENDPOINT).beat()
    monitor = await start_service("services.monitor", HEALTH_CHECK_INTERVAL="1s")
    await note(services_queue, Noted.UNLISTED_ANSWER)
    await note(services_queue, Noted.REFUSED_WEBHOOK, 3)

    async def ask_once() -> set[str]:
        _, body = await ask(monitor, "/api/statistics/alerts")
        return {alert["name"] for alert in body["results"]["alerts"]}

    await until(ask_once, lambda names: names >= {"unlisted_answers", "webhooks_refused"})


async def test_an_open_breaker_and_a_stopped_lane_degrade_it(
    monitor: ServiceProcess, ask: Ask, services_queue: QueueConnection, store: Database
) -> None:
    await put(services_queue, entry())
    taking = dispatcher(services_queue, ENDPOINT)
    assignment = await take_one(taking, now=await _redis_now(services_queue))
    await taking.settle([done(assignment, outcome="critical", verdict="logged_out", reason="it is logged out")])
    await store.execute("select set_stopped_lanes('{bulk}', 'too many complaints')")
    body = await health(ask, monitor, "degraded")
    body = await _with(ask, monitor, {"endpoints", "lanes"})
    assert body["endpoints"][0]["breaker"] == "open"
    told = {line["part"]: line.get("detail") for line in body["reasons"] if line.get("detail")}
    assert told == {"endpoints": "it is logged out", "lanes": "too many complaints"}
    # Anybody learns that it is so, not why.
    stranger = str(await health(ask, monitor, "degraded", login=False))
    assert "complaints" not in stranger
    assert "logged out" not in stranger
    assert LABEL not in stranger


async def _with(ask: Ask, monitor: ServiceProcess, parts: set[str]) -> dict[str, Any]:
    async def ask_once() -> tuple[int, dict[str, Any]]:
        return await ask(monitor, "/health")

    return dict((await until(ask_once, lambda answer: parts <= set(reasons(answer[1]))))[1])


async def _redis_now(queue: QueueConnection) -> int:
    seconds, micros = await queue.ask("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


async def test_a_dispatcher_that_went_silent_is_down(
    monitor: ServiceProcess, ask: Ask, services_queue: QueueConnection
) -> None:
    await dispatcher(services_queue, ENDPOINT).beat(await _redis_now(services_queue) - 16_000)
    body = await health(ask, monitor, "down")
    assert reasons(body) == ["dispatchers"]
    await dispatcher(services_queue, ENDPOINT, name="another").beat()
    assert (await health(ask, monitor, "ok"))["dispatchers"] == {"alive": 1, "known": 2}


async def test_a_frozen_redis_is_down_and_comes_back(
    monitor: ServiceProcess, ask: Ask, redis_server: EmbeddedValkey, services_queue: QueueConnection
) -> None:
    redis_server.pause()
    body = await health(ask, monitor, "down", login=False)
    assert "redis" in reasons(body)
    assert body["redis"]["reachable"] is False
    # It says so, and the rest goes on.
    code, statistics = await ask(monitor, "/api/statistics")
    assert (code, statistics["results"]["status"]) == (200, "down")
    redis_server.resume()
    await dispatcher(services_queue, ENDPOINT).beat()
    await health(ask, monitor, "ok")


async def test_a_postgres_that_is_gone_is_down(
    monitor: ServiceProcess, ask: Ask, postgres_server: EmbeddedPostgres
) -> None:
    postgres_server.kill()
    body = await health(ask, monitor, "down", login=False)
    assert "postgres" in reasons(body)
    assert str(postgres_server.port) not in str(body)
    postgres_server.start()
    await until(lambda: ask(monitor, "/health"), lambda answer: answer[1]["postgres"]["reachable"])


async def test_a_redis_that_evicts_is_down(
    start_service: StartService, ask: Ask, services_queue: QueueConnection
) -> None:
    await services_queue.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        monitor = await start_service("services.monitor")
        body = await health(ask, monitor, "down")
        assert any("noeviction" in line["reason"] for line in body["reasons"])
    finally:
        await services_queue.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_statistics_of_a_queue_with_work(
    monitor: ServiceProcess, ask: Ask, services_queue: QueueConnection, store: Database
) -> None:
    campaign = await accept_campaign(store, 4)
    await put(services_queue, entry(), entry(), entry(Lane.BULK))
    taking = dispatcher(services_queue, ENDPOINT)
    await taking.settle([done(await take_one(taking, now=await _redis_now(services_queue)), answer_ms=250)])

    def complete(answer: tuple[int, dict[str, Any]]) -> bool:
        results = answer[1]["results"]
        return bool(results["worker"]["messages_sent"] == 1 and results["campaigns"]["open"])

    code, body = await until(lambda: ask(monitor, "/api/statistics"), complete)
    assert code == 200
    results = body["results"]
    assert results["redis_queue"]["queue_length"] == 2
    assert results["redis_queue"]["lanes"]["transactional"]["waiting"] == 1
    assert sum(results["throughput"]["sent"][-2:]) == 1
    [line] = results["campaigns"]["open"]
    assert (line["campaign_token"], line["total"], line["progress"]) == (str(campaign.token), 4, 0.0)
    _, body = await ask(monitor, "/api/endpoints/stats")
    [endpoint] = body["results"]["endpoints"]
    assert (endpoint["id"], endpoint["url"]) == (ENDPOINT, "http://127.0.0.1:9")
    assert (endpoint["messages_sent"], endpoint["avg_response_time"], endpoint["success_rate"]) == (1, 250.0, 100.0)


@pytest.mark.parametrize("path", ["/api/statistics", "/api/statistics/stream", "/api/endpoints/stats"])
async def test_statistics_need_a_login(monitor: ServiceProcess, ask: Ask, path: str) -> None:
    code, body = await ask(monitor, path, login=False)
    assert (code, body["code"]) == (401, "AUTHENTICATION_ERROR")


async def test_metrics_of_the_whole(
    monitor: ServiceProcess, client: aiohttp.ClientSession, services_queue: QueueConnection
) -> None:
    await put(services_queue, entry(), entry(Lane.BULK))

    async def lines() -> dict[str, float]:
        async with client.get(f"{monitor.url}/metrics") as response:
            assert response.status == 200
            text = await response.text()
        pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def complete(found: dict[str, float]) -> bool:
        return found.get('paceline_queue_entries{lane="bulk"}') == 1 and "paceline_database_bytes" in found

    metrics = await until(lines, complete)
    assert metrics['paceline_queue_entries{lane="transactional"}'] == 1
    assert metrics["paceline_dispatchers_alive"] == 1
    assert metrics['paceline_health{status="ok"}'] == 1, metrics
    assert metrics[f'paceline_endpoint_breaker_state{{endpoint="{ENDPOINT}",state="closed"}}'] == 1
    assert metrics[f'paceline_endpoint_messages_total{{endpoint="{ENDPOINT}",verdict="sent"}}'] == 0
    assert metrics['paceline_campaigns_open{status="running"}'] == 0
    assert not [name for name in metrics if LABEL in name]
