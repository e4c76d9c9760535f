"""GET /health: the health of the whole, for anybody. With a login it also says addresses, labels and reasons.

200 for ok and degraded, 503 for down. However many ask, Redis and Postgres are looked at once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from services.monitor.checks.everything import findings_of
from services.monitor.checks.finding import Health, worst
from services.monitor.checks.sending import alive, lag_seconds
from services.monitor.observation import Observation
from services.monitor.settings import MonitorSettings
from shared.endpoints.identity import Endpoint
from shared.messages import Lane
from shared.queue.figures import QueueFigures

MAX_AGE = 1.0  # seconds


class HealthOfTheWhole:
    def __init__(
        self,
        seen: Observation,
        endpoints: Mapping[str, Endpoint],
        settings: MonitorSettings,
        may_enter: Callable[[web.Request], bool],
    ) -> None:
        self._seen = seen
        self._endpoints = endpoints
        self._settings = settings
        self._may_enter = may_enter

    async def handle(self, request: web.Request) -> web.Response:
        await self._seen.refresh(MAX_AGE)
        report = self.report(detailed=self._may_enter(request))
        status = 503 if report["status"] == Health.DOWN else 200
        headers = {"Cache-Control": "no-store"}
        return web.Response(
            status=status, body=orjson.dumps(report), content_type="application/json", charset="utf-8", headers=headers
        )

    def report(self, detailed: bool) -> dict[str, Any]:
        seen, queue, database = self._seen, self._seen.queue.now, self._seen.database.now
        findings = findings_of(seen, self._endpoints, self._settings.queue_lag_warning)
        reasons: list[dict[str, str]] = []
        for finding in findings:
            line = {"part": finding.part, "status": finding.health.value, "reason": finding.reason}
            if detailed and finding.detail:
                line["detail"] = finding.detail
            reasons.append(line)
        parts: dict[str, Any] = {
            "redis": {"reachable": queue is not None, "policy_ok": not seen.policy_problem},
            "postgres": {"reachable": database is not None},
        }
        if database is not None:
            parts["postgres"]["latency_ms"] = database.latency_ms
            parts["stopped_lanes"] = database.stopped_lanes
        if queue is not None:
            parts["lanes"] = {lane.value: lane_report(queue, lane) for lane in Lane}
            parts["dispatchers"] = {"alive": len(alive(queue)), "known": len(queue.beats)}
            parts["endpoints"] = [self._endpoint(queue, identity, detailed) for identity in self._endpoints]
        if queue is not None and database is not None:
            current = queue.same_server and queue.epoch == database.epoch and not database.rebuilding
            parts["epoch"] = {"number": database.epoch, "current": current}
        return {"status": worst(findings).value, "service": "paceline", "reasons": reasons, **parts}

    def _endpoint(self, queue: QueueFigures, identity: str, detailed: bool) -> dict[str, Any]:
        database = self._seen.database.now
        line: dict[str, Any] = {
            "id": identity,
            "breaker": queue.endpoints[identity].breaker,
            "suspended": bool(database and identity in database.suspended),
        }
        if detailed:
            line["label"] = self._endpoints[identity].label
        return line


def lane_report(queue: QueueFigures, lane: Lane) -> dict[str, Any]:
    """Entries of a lane, bound ones included; ``lag_seconds`` is the age of the oldest that nobody has taken."""
    figures = queue.lane(lane)
    return {
        "length": figures.length,
        "pending": figures.pending,
        "waiting": max(0, figures.length - figures.pending),
        "lag_seconds": round(lag_seconds(queue, figures), 1),
    }
