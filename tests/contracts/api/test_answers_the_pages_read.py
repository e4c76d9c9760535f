"""What the pages' JavaScript is checked against, answers.d.ts, says what the API and the monitor really answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.gateway.openapi import openapi_document
from services.monitor.alert_rules import Alert, Severity
from services.monitor.checks.finding import Health
from services.monitor.settings import MonitorSettings
from services.monitor.statistics import statistics
from shared.database.figures import AccountStanding, AttemptFigures, CampaignFigures, SuspendedEndpoint
from shared.database.receipts import DeliveryFigures
from shared.endpoints.feedback import FeedbackState
from shared.endpoints.gowa import AccountState
from shared.messages import Lane
from shared.queue.figures import StreamFigures
from tests.unit.services.monitor.pictures import (
    ENDPOINTS,
    NOW,
    database_picture,
    endpoint,
    history_picture,
    queue_picture,
    seen,
)

TEXT = (Path(__file__).parents[3] / "services" / "gateway" / "web" / "answers.d.ts").read_text(encoding="utf-8")
UNIONS = {
    name: {option for option in re.split(r"[\s|]+", options) if option}
    for name, options in re.findall(r"^export type (\w+) =([^;{]+);", TEXT, re.MULTILINE)
}
# Field -> (may be absent, the types that its value may have)
SHAPES = {
    name: {
        field: (bool(absent), set(kinds.split(" | ")))
        for field, absent, kinds in re.findall(r"^  (\w+)(\??): (.+);$", fields, re.MULTILINE)
    }
    for name, fields in re.findall(r"^export interface (\w+) \{\n(.*?)^\}", TEXT, re.MULTILINE | re.DOTALL)
}
SCHEMAS: dict[str, Any] = openapi_document()["components"]["schemas"]
ENUMS: dict[str, type[StrEnum]] = {
    "FiguresHealth": Health,
    "FiguresAccountState": AccountState,
    "FiguresFeedbackState": FeedbackState,
    "FiguresSeverity": Severity,
}
KINDS: dict[str, type | tuple[type, ...]] = {"string": str, "number": (int, float), "boolean": bool, "null": type(None)}
AT = datetime(2031, 5, 17, tzinfo=UTC)


def kinds_of(schema: dict[str, Any]) -> set[str]:
    """A JSON schema as TypeScript says it."""
    match schema:
        case {"$ref": target}:
            return {target.rpartition("/")[2]}
        case {"anyOf": options}:
            return set().union(*map(kinds_of, options))
        case {"enum": values}:
            return {f'"{value}"' for value in values}
        case {"type": "array", "items": items}:
            (kind,) = kinds_of(items)
            return {f"{kind}[]"}
        case {"type": "integer"}:
            return {"number"}
        case _:
            return {schema["type"]}


@pytest.mark.parametrize("name", [name for name in SHAPES if not name.startswith("Figures")])
def test_a_shape_is_that_of_the_document(name: str) -> None:
    schema = SCHEMAS[name]
    told = {
        field: (field not in schema["required"], kinds_of(schema["properties"][field]))
        for field in SHAPES[name]
        if field in schema["properties"]
    }
    assert told == SHAPES[name]


@pytest.mark.parametrize("name", UNIONS)
def test_a_union_has_all_that_there_is(name: str) -> None:
    values = [*ENUMS[name]] if name in ENUMS else SCHEMAS[name]["enum"]
    assert UNIONS[name] == {f'"{value}"' for value in values}


def fits(value: Any, kind: str, met: set[tuple[str, str]]) -> bool:
    """Whether a value is of a type; the fields that had one, not null, are added to ``met``."""
    if kind in KINDS:
        return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if kind.startswith('"'):
        return bool(value == kind.strip('"'))
    if kind.endswith("[]"):
        return isinstance(value, list) and all(fits(item, kind[:-2], met) for item in value)
    if each := re.fullmatch(r"Record<string, (\w+)>", kind):
        return isinstance(value, dict) and all(fits(item, each[1], met) for item in value.values())
    if kind in UNIONS:
        return any(fits(value, option, met) for option in UNIONS[kind])
    if not isinstance(value, dict):
        return False
    for field, (absent, options) in SHAPES[kind].items():
        if field not in value:
            assert absent, f"{kind}.{field} is not there"
            continue
        assert any(fits(value[field], option, met) for option in options), f"{kind}.{field} is {value[field]!r}"
        if value[field] is not None:
            met.add((kind, field))
    return True


def eventful() -> dict[str, Any]:
    """Figures in which every field says something."""
    counters = {"sent": "3", "answers": "3", "answer_ms": "9", "last_used": str(NOW)}
    counters |= {"last_error": "HTTP 500", "last_error_at": str(NOW)}
    state = {"breaker": "open", "since": str(NOW), "reason": "HTTP 500", "not_before": str(NOW)}
    counts = dict.fromkeys(("sent", "failed", "unknown", "canceled", "expired", "suppressed"), 1)
    observation = seen(
        queue_picture(
            endpoints={"a": endpoint("a", counters=counters, state=state), "b": endpoint("b")},
            streams=[StreamFigures(lane, "", 2, 1, NOW - 1500) for lane in Lane],
        ),
        database_picture(
            stopped_lanes=["bulk"],
            stop_reason="inspection",
            suspended={
                "a": SuspendedEndpoint(AT, "38 of 60 failed", "feedback"),
                "b": SuspendedEndpoint(AT, "holidays"),
            },
            campaigns=[CampaignFigures(UUID(int=1), "running", "image", "bulk", "spring", 9, AT, counts, 1, 1, 0)],
            feedback={"a": AccountStanding(FeedbackState.SUSPENDED, AT, "38 of 60 failed", 2, AT)},
            held={"a": AT},
        ),
    )
    observation.history.figures = history_picture(a=AttemptFigures(10, 7, 2, 1, 0, False))
    observation.deliveries.figures = {"a": DeliveryFigures(60, 38, AT)}
    observation.accounts = {"a": AccountState.OFFLINE}
    alerts = [Alert("breaker_open", Severity.CRITICAL, "a", "its breaker is open", AT)]
    return statistics(observation, ENDPOINTS, settings(), 1.0, alerts)


def blind() -> dict[str, Any]:
    """Figures of a monitor that reaches neither Redis nor Postgres."""
    observation = seen()
    observation.queue.figures, observation.queue.problem = None, "away"
    observation.database.figures, observation.database.problem = None, "away"
    return statistics(observation, ENDPOINTS, settings(), 1.0)


def settings() -> MonitorSettings:
    return MonitorSettings(database_host="-", whatsapp_base_url="http://a.example:3000")


def test_figures_are_what_the_monitor_streams() -> None:
    met: set[tuple[str, str]] = set()
    assert fits(eventful(), "Figures", met)
    told = {(name, field) for name in SHAPES if name.startswith("Figures") for field in SHAPES[name]}
    assert {line for line in met if line[0].startswith("Figures")} == told
    assert fits(blind(), "Figures", met)
    assert fits(statistics(seen(), ENDPOINTS, settings(), 1.0), "Figures", met)
