"""What a monitor could have seen: an observation of healthy figures, which a test then changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.monitor.observation import Observation
from shared.database.connection import Database
from shared.database.figures import AttemptFigures, DatabaseFigures, HistoryFigures
from shared.endpoints.identity import Endpoint
from shared.messages import Lane, Verdict
from shared.queue.connection import Probe, QueueConnection
from shared.queue.figures import EndpointFigures, QueueFigures, StreamFigures
from shared.settings import DatabaseSettings, RedisSettings

NOW = 1_800_000_000_000
ENDPOINTS = {name: Endpoint(name, f"http://{name}.example:3000", "") for name in ("a", "b")}


def endpoint(identity: str, **changes: Any) -> EndpointFigures:
    return replace(EndpointFigures(identity, {}, {}, 0, 1, NOW, NOW), **changes)


def queue_picture(**changes: Any) -> QueueFigures:
    healthy = QueueFigures(
        now_ms=NOW,
        epoch=1,
        same_server=True,
        streams=[StreamFigures(lane, "", 0, 0, None) for lane in Lane],
        parked=0,
        first_parked_due_ms=None,
        beats={"dispatcher-1": NOW - 1000},
        totals={},
        series={verdict: [0] * 60 for verdict in Verdict},
        endpoints={name: endpoint(name) for name in ENDPOINTS},
    )
    return replace(healthy, **changes)


def database_picture(**changes: Any) -> DatabaseFigures:
    healthy = DatabaseFigures(1, False, [], "", 0, 0, 0.0, 0, 0, 0, {}, [], {}, 1.0)
    return replace(healthy, **changes)


def history_picture(**by_endpoint: AttemptFigures) -> HistoryFigures:
    return HistoryFigures(by_endpoint, by_endpoint, 1, 2, 3, 4, 5)


def seen(queue: QueueFigures | None = None, database: DatabaseFigures | None = None) -> Observation:
    """Nothing is connected: the figures are set by hand."""
    observation = Observation(
        QueueConnection(RedisSettings()), Database(DatabaseSettings(database_host="-"), 1, "test"), list(ENDPOINTS)
    )
    observation.queue.figures, observation.queue.problem = queue or queue_picture(), ""
    observation.database.figures, observation.database.problem = database or database_picture(), ""
    observation.probe.figures, observation.probe.problem = Probe(), ""
    return observation
