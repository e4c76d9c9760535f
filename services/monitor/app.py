"""The monitor's application: what it opens, what it repeats, what it answers."""

from __future__ import annotations

from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web
from prometheus_client import REGISTRY

from services.monitor.account_probe import AccountProbe
from services.monitor.alert_delivery import AlertDelivery, quiet_after
from services.monitor.alert_receiver import AlertReceiver
from services.monitor.alert_test import AlertTest
from services.monitor.health import HealthOfTheWhole
from services.monitor.observation import Observation
from services.monitor.present_statistics import PresentStatistics
from services.monitor.queue_metrics import QueueMetrics
from services.monitor.settings import MonitorSettings
from services.monitor.statistics_stream import StatisticsStream
from shared.database.connection import Database
from shared.endpoints.gowa import new_session
from shared.endpoints.identity import endpoints_of
from shared.queue.connection import QueueConnection
from shared.runtime.access import login, login_check, same_site
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.envelope import envelope_errors
from shared.runtime.service import new_application
from shared.runtime.wiring import Role, loop_of, open_stores, run_beside, started_by
from shared.settings import seconds

_CONNECTIONS = 4  # to Postgres: the three looks, and one to spare


def build_app(settings: MonitorSettings) -> web.Application:
    """/ready asks no store: a monitor is there to tell that they are away."""
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
    present = PresentStatistics(seen, endpoints, settings, stream)
    alert_test = AlertTest()

    async def start(app: web.Application, stack: AsyncExitStack) -> None:
        await open_stores(stack, queue, database)
        collector = QueueMetrics(seen, endpoints, health, present.alerts)
        REGISTRY.register(collector)
        stack.callback(REGISTRY.unregister, collector)
        slow = BackgroundLoop("slow figures", seconds(settings.health_check_interval), seen.refresh_slowly)
        await run_beside(stack, [loop_of(present), slow])
        if settings.account_probe_interval:
            session = await stack.enter_async_context(new_session(settings))
            probe = AccountProbe(queue, session, endpoints, seen.accounts)
            await run_beside(
                stack, [BackgroundLoop("account_probe", seconds(settings.account_probe_interval), probe.step)]
            )
        if settings.alert_webhook_url.get_secret_value():
            alert_test.receiver = await _receiver(settings, stack)
            await run_beside(stack, [loop_of(_delivery(settings, database, alert_test.receiver, present))])

    async def close_stream(_: web.Application) -> None:
        await stream.close()

    app.router.add_get("/health", health.handle)
    app.router.add_get("/api/statistics", present.get_statistics)
    app.router.add_get("/api/statistics/stream", stream.handle)
    app.router.add_get("/api/statistics/alerts", present.get_alerts)
    app.router.add_get("/api/endpoints/stats", present.get_endpoints)
    app.router.add_post("/api/alerts/test", alert_test.handle)
    app.on_shutdown.append(close_stream)
    return started_by(app, start)


async def _receiver(settings: MonitorSettings, stack: AsyncExitStack) -> AlertReceiver:
    session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    return AlertReceiver(session, settings)


def _delivery(
    settings: MonitorSettings, database: Database, receiver: AlertReceiver, present: PresentStatistics
) -> Role:
    return AlertDelivery(
        database,
        receiver,
        endpoints_of(settings),
        settings,
        lambda: list(present.alerts),
        present.book.present,
        seconds(settings.statistics_interval),
        quiet=quiet_after(settings.statistics_interval),
    )
