"""The monitor's application: what it opens, what it repeats, what it answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from prometheus_client import REGISTRY

from services.monitor.account_probe import AccountProbe
from services.monitor.alert_delivery import AlertDelivery, quiet_after
from services.monitor.alert_receiver import AlertReceiver
from services.monitor.alert_rules import Alert, AlertBook, conditions
from services.monitor.alert_test import AlertTest
from services.monitor.endpoint_statistics import endpoint_statistics
from services.monitor.health import HealthOfTheWhole
from services.monitor.observation import Observation
from services.monitor.queue_metrics import QueueMetrics
from services.monitor.settings import MonitorSettings
from services.monitor.statistics import alert_lines, statistics
from services.monitor.statistics_stream import StatisticsStream
from shared.database.connection import Database
from shared.endpoints.gowa import new_session
from shared.endpoints.identity import endpoints_of
from shared.queue.connection import QueueConnection
from shared.runtime.access import login, login_check, same_site
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.envelope import envelope_errors, success
from shared.runtime.service import new_application
from shared.settings import seconds

_CONNECTIONS = 4  # to Postgres: the three looks, and one to spare


def build_app(settings: MonitorSettings) -> web.Application:
    app = new_application(
        "monitor",
        settings,
        (same_site(), envelope_errors, login(settings)),
        health=False,
        drain=seconds(settings.drain_time),
    )
    endpoints = endpoints_of(settings)
    queue = QueueConnection(settings, pool_size=4)
    database = Database(settings, size=_CONNECTIONS, application="paceline monitor", may_only_read=True)
    seen = Observation(queue, database, list(endpoints), settings.silent_drop_after)
    health = HealthOfTheWhole(seen, endpoints, settings, login_check(settings))
    stream = StatisticsStream(settings.statistics_max_streams)
    started = time.monotonic()
    book = AlertBook()
    alerts: list[Alert] = []
    alert_test = AlertTest()

    def present() -> dict[str, Any]:
        return statistics(seen, endpoints, settings, time.monotonic() - started, alerts)

    async def look() -> float:
        begun = time.monotonic()
        await seen.refresh()
        alerts[:] = book.update(conditions(seen, endpoints, settings, settings.queue_lag_warning), datetime.now(UTC))
        await stream.publish(orjson.dumps(present()))
        # One event a second, however long the look took.
        return max(0.0, seconds(settings.statistics_interval) - (time.monotonic() - begun))

    async def get_statistics(request: web.Request) -> web.Response:
        return success("statistics", present(), headers={"Cache-Control": "no-store"})

    async def get_endpoints(request: web.Request) -> web.Response:
        lines = endpoint_statistics(seen, endpoints, settings)
        return success("statistics of the endpoints", {"endpoints": lines}, headers={"Cache-Control": "no-store"})

    async def get_alerts(request: web.Request) -> web.Response:
        lines = alert_lines(alerts, endpoints)
        return success(f"Alerts: {len(lines)}", {"alerts": lines}, headers={"Cache-Control": "no-store"})

    async def stores(_: web.Application) -> AsyncIterator[None]:
        await database.open()
        yield
        await database.close()
        await queue.close()

    async def metrics(_: web.Application) -> AsyncIterator[None]:
        collector = QueueMetrics(seen, endpoints, health, alerts)
        REGISTRY.register(collector)
        yield
        REGISTRY.unregister(collector)

    async def probing(_: web.Application) -> AsyncIterator[None]:
        interval = seconds(settings.account_probe_interval)
        if not interval:
            yield
            return
        async with new_session(settings) as session:
            probe = AccountProbe(queue, session, endpoints, seen.accounts)
            async with BackgroundLoop("account_probe", interval, probe.step).running():
                yield

    async def alerting(_: web.Application) -> AsyncIterator[None]:
        if not settings.alert_webhook_url.get_secret_value():
            yield
            return
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            receiver = alert_test.receiver = AlertReceiver(session, settings)
            delivery = AlertDelivery(
                database,
                receiver,
                endpoints,
                settings,
                lambda: list(alerts),
                book.present,
                seconds(settings.statistics_interval),
                quiet=quiet_after(settings.statistics_interval),
            )
            async with BackgroundLoop(delivery.name, delivery.interval, delivery.step).running():
                yield

    async def loops(_: web.Application) -> AsyncIterator[None]:
        async with (
            BackgroundLoop("figures", seconds(settings.statistics_interval), look).running(),
            BackgroundLoop("slow figures", seconds(settings.health_check_interval), seen.refresh_slowly).running(),
        ):
            yield

    async def close_stream(_: web.Application) -> None:
        await stream.close()

    app.router.add_get("/health", health.handle)
    app.router.add_get("/api/statistics", get_statistics)
    app.router.add_get("/api/statistics/stream", stream.handle)
    app.router.add_get("/api/statistics/alerts", get_alerts)
    app.router.add_get("/api/endpoints/stats", get_endpoints)
    app.router.add_post("/api/alerts/test", alert_test.handle)
    app.cleanup_ctx.extend((stores, metrics, loops, probing, alerting))
    app.on_shutdown.append(close_stream)
    return app
