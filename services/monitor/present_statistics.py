"""What is told of the present: once a second to every stream, and to whoever asks; with it, which alerts are on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from services.monitor.alert_rules import Alert, AlertBook, conditions
from services.monitor.endpoint_statistics import endpoint_statistics
from services.monitor.observation import Observation
from services.monitor.settings import MonitorSettings
from services.monitor.statistics import alert_lines, statistics
from services.monitor.statistics_stream import StatisticsStream
from shared.endpoints.identity import Endpoint
from shared.runtime.envelope import success
from shared.settings import seconds

_FRESH = {"Cache-Control": "no-store"}


class PresentStatistics:
    """A role, whose ``step`` is a look. ``alerts`` is one list for good, which each look fills anew."""

    name = "figures"

    def __init__(
        self, seen: Observation, endpoints: Mapping[str, Endpoint], settings: MonitorSettings, stream: StatisticsStream
    ) -> None:
        self._seen = seen
        self._endpoints = endpoints
        self._settings = settings
        self._stream = stream
        self._started = time.monotonic()
        self.interval = seconds(settings.statistics_interval)
        self.book = AlertBook()
        self.alerts: list[Alert] = []

    async def step(self) -> float:
        begun = time.monotonic()
        await self._seen.refresh()
        found = conditions(self._seen, self._endpoints, self._settings, self._settings.queue_lag_warning)
        self.alerts[:] = self.book.update(found, datetime.now(UTC))
        await self._stream.publish(orjson.dumps(self._present()))
        # One event a second, however long the look took.
        return max(0.0, self.interval - (time.monotonic() - begun))

    def _present(self) -> dict[str, Any]:
        uptime = time.monotonic() - self._started
        return statistics(self._seen, self._endpoints, self._settings, uptime, self.alerts)

    async def get_statistics(self, request: web.Request) -> web.Response:
        return success("statistics", self._present(), headers=_FRESH)

    async def get_endpoints(self, request: web.Request) -> web.Response:
        lines = endpoint_statistics(self._seen, self._endpoints, self._settings)
        return success("statistics of the endpoints", {"endpoints": lines}, headers=_FRESH)

    async def get_alerts(self, request: web.Request) -> web.Response:
        lines = alert_lines(self.alerts, self._endpoints)
        return success(f"Alerts: {len(lines)}", {"alerts": lines}, headers=_FRESH)
