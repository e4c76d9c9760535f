"""Alerts are posted at least once, by one of several monitors, again while they last, and once when they are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from pydantic import SecretStr

from services.monitor.alert_delivery import AlertDelivery
from services.monitor.alert_messages import headers_of
from services.monitor.alert_receiver import AlertReceiver
from services.monitor.alert_rules import Alert, Severity
from services.monitor.settings_of_alerts import AlertSettings
from shared.database.connection import Database
from shared.endpoints.identity import Endpoint
from shared.settings import DatabaseSettings
from tests.integration.monitor.conftest import Ask, until
from tests.servers import StartService

SINCE = datetime(2026, 5, 1, 12, tzinfo=UTC)
SUSPENDED = Alert("account_suspended", Severity.CRITICAL, "a", "suspended: 9 of 10 attempts failed", SINCE)
AWAY = Alert("redis_away", Severity.CRITICAL, "", "Redis cannot be reached", SINCE)
ENDPOINTS = {"a": Endpoint("a", "http://gowa:3000", "sales")}
SECRET = "a secret"


@dataclass
class Receiver:
    """Takes posts, or answers ``status``; checks each signature."""

    url: str = ""
    status: int = 204
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        identity = request.headers["webhook-id"]
        expected = headers_of(identity, body, SECRET, float(request.headers["webhook-timestamp"]))
        assert request.headers["webhook-signature"] == expected["webhook-signature"]
        self.posts.append((identity, orjson.loads(body)))
        return web.Response(status=self.status)

    def told(self) -> list[tuple[str, str]]:
        return [(post["type"].removeprefix("alert."), post["data"]["name"]) for _, post in self.posts]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/alerts", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found.url = f"http://{host}:{port}/alerts"
    yield found
    await runner.cleanup()


Make = Callable[..., AlertDelivery]


@pytest.fixture
async def monitor(receiver: Receiver, store: Database) -> AsyncIterator[Make]:
    """`monitor(alerts)`: one that finds these on, and ``waiting`` there though not yet on; it looks when its step is called."""
    async with aiohttp.ClientSession() as session:

        def make(
            alerts: list[Alert], database: Database = store, waiting: Sequence[Alert] = (), **changes: Any
        ) -> AlertDelivery:
            settings = AlertSettings(
                alert_webhook_url=SecretStr(receiver.url),
                alert_webhook_secret=SecretStr(SECRET),
                alert_repeat_interval=timedelta(hours=1),
            ).model_copy(update=changes)
            return AlertDelivery(
                database,
                AlertReceiver(session, settings),
                ENDPOINTS,
                settings,
                lambda: list(alerts),
                lambda: {alert.key for alert in (*alerts, *waiting)},
                1.0,
            )

        yield make


async def let_pass(store: Database, seconds: float) -> None:
    await store.execute(
        "update alerts set seen_at = seen_at - make_interval(secs => $1), sent_at = sent_at - make_interval(secs => $1),"
        " claimed_until = claimed_until - make_interval(secs => $1)",
        seconds,
    )


async def test_of_many_monitors_one_tells(monitor: Make, receiver: Receiver) -> None:
    monitors = [monitor([SUSPENDED, AWAY]) for _ in range(5)]
    for _ in range(3):
        await asyncio.gather(*(one.step() for one in monitors))
    assert sorted(receiver.told()) == [("firing", "account_suspended"), ("firing", "redis_away")]
    assert receiver.posts[0][1]["data"]["since"] == "2026-05-01T12:00:00Z"


async def test_a_post_that_fails_is_repeated_under_the_same_id(
    monitor: Make, receiver: Receiver, store: Database
) -> None:
    one, other = monitor([SUSPENDED]), monitor([SUSPENDED])
    receiver.status = 500
    await one.step()
    await other.step()
    assert len(receiver.posts) == 1, "somebody is at it"
    await let_pass(store, 31)
    receiver.status = 200
    await other.step()
    await one.step()
    (first, _), (second, _) = receiver.posts
    assert first == second


async def test_an_alert_that_lasts_is_told_again(monitor: Make, receiver: Receiver, store: Database) -> None:
    one = monitor([SUSPENDED])
    await one.step()
    await let_pass(store, 3599)
    await one.step()
    assert len(receiver.posts) == 1
    await let_pass(store, 2)
    await one.step()
    (first, _), (second, _) = receiver.posts
    assert first != second, "a receiver must not take it for a repetition"
    await let_pass(store, 1_000_000)
    await monitor([SUSPENDED], alert_repeat_interval=timedelta(0)).step()
    assert len(receiver.posts) == 2, "0: never again"


async def test_one_that_is_over_is_told_once(monitor: Make, receiver: Receiver, store: Database) -> None:
    alerts = [SUSPENDED]
    one, other, blind = monitor(alerts), monitor(alerts), monitor([])
    await one.step()
    await let_pass(store, 19)
    await blind.step()
    assert len(receiver.posts) == 1, "another monitor found it a moment ago"
    alerts.clear()
    await let_pass(store, 2)
    await asyncio.gather(one.step(), other.step(), blind.step())
    await one.step()
    assert receiver.told() == [("firing", "account_suspended"), ("resolved", "account_suspended")]
    alerts.append(SUSPENDED)
    await one.step()
    assert receiver.told()[2:] == [("firing", "account_suspended")]


async def test_a_monitor_that_has_just_started_does_not_end_what_lasts(
    monitor: Make, receiver: Receiver, store: Database
) -> None:
    await monitor([SUSPENDED]).step()
    await let_pass(store, 21)
    started = monitor([], waiting=[SUSPENDED])
    await started.step()
    await let_pass(store, 19)
    await monitor([]).step()
    assert receiver.told() == [("firing", "account_suspended")]


async def test_what_another_has_told_is_not_told_again_when_postgres_goes_away(
    monitor: Make, receiver: Receiver, store: Database
) -> None:
    one, other = monitor([SUSPENDED]), monitor([SUSPENDED])
    await one.step()
    await other.step()
    await store.close()
    await one.step()
    await other.step()
    assert receiver.told() == [("firing", "account_suspended")]


async def test_nobody_is_told_of_the_end_of_what_nobody_was_told_of(
    monitor: Make, receiver: Receiver, store: Database
) -> None:
    receiver.status = 500
    alerts = [SUSPENDED]
    one = monitor(alerts)
    await one.step()
    alerts.clear()
    await let_pass(store, 31)
    await one.step()
    assert receiver.told() == [("firing", "account_suspended")]
    assert await store.fetchval("select count(*) from alerts") == 0


async def test_while_postgres_is_away_each_tells_for_itself(monitor: Make, receiver: Receiver) -> None:
    away = await Database(DatabaseSettings(database_host="127.0.0.1", database_port=9), 1, "test").open()
    one, other = monitor([AWAY], away), monitor([AWAY], away)
    for _ in range(3):
        await one.step()
        await other.step()
    await away.close()
    (first, _), (second, _) = receiver.posts
    assert first == second, "a receiver can tell that it is the same"


async def test_a_monitor_shows_and_posts_what_is_wrong(
    start_service: StartService, receiver: Receiver, ask: Ask, store: Database
) -> None:
    service = await start_service(
        "services.monitor", ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=SECRET, STATISTICS_INTERVAL="100ms"
    )
    (endpoint,) = (await ask(service, "/api/endpoints/stats"))[1]["results"]["endpoints"]
    assert endpoint["feedback"]["state"] == "normal"
    await store.execute(
        "select change_account_feedback($1, 'normal', null, 'suspended', 'errors', '9 of 10 attempts failed', 3, 60, 1)",
        endpoint["id"],
    )

    async def alerts() -> dict[str, dict[str, Any]]:
        status, body = await ask(service, "/api/statistics/alerts")
        assert status == 200
        return {line["name"]: line for line in body["results"]["alerts"]}

    shown = await until(alerts, lambda found: "account_suspended" in found)
    assert shown["account_suspended"]["text"] == "suspended: 9 of 10 attempts failed"
    assert shown["account_suspended"]["endpoint"] == endpoint["id"]

    async def told() -> list[tuple[str, str]]:
        return receiver.told()

    await until(told, lambda found: ("firing", "account_suspended") in found)
    (line,) = (await ask(service, "/api/endpoints/stats"))[1]["results"]["endpoints"]
    assert (line["suspended"], line["suspended_by"], line["feedback"]["state"]) == (True, "feedback", "suspended")
    assert line["feedback"]["until"] > line["feedback"]["since"]
    _, health = await ask(service, "/health", login=False)
    reasons = [one["reason"] for one in health["reasons"]]
    assert any("suspended by feedback" in reason for reason in reasons), reasons
    assert (await ask(service, "/api/statistics/alerts", login=False))[0] == 401
