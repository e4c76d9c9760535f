"""deploy/observability: every metric and label that rules and dashboard name is one that a service exports."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services.monitor.alert_rules import Alert, Severity
from services.monitor.health import HealthOfTheWhole
from services.monitor.queue_metrics import QueueMetrics
from services.monitor.settings import MonitorSettings
from shared.database.figures import AccountStanding, AttemptFigures
from shared.database.receipts import DeliveryFigures
from shared.endpoints.feedback import FeedbackState
from shared.endpoints.gowa import AccountState
from tests.servers import ROOT, StartService
from tests.unit.services.monitor.pictures import ENDPOINTS, database_picture, history_picture, queue_picture, seen

FOLDER = ROOT / "deploy" / "observability"
RULES = FOLDER / "alert-rules.yml"
DASHBOARD = FOLDER / "dashboard.json"
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for rule in rules():
        yield rule["expr"]
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bpaceline_\w+", expression))


def labels_in(expression: str) -> set[str]:
    """Of `by (…)` and of selectors."""
    grouped = {label.strip() for part in re.findall(r"\bby \(([^)]*)\)", expression) for label in part.split(",")}
    selected = {label for part in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", part)}
    return grouped | selected


def families_of(text: str, found: dict[str, set[str]]) -> None:
    """Adds the names and labels in a text as a service answers it; a series that has not counted yet has a name alone."""
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name + "_total" if family.type == "counter" else family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)


async def exported(start_service: StartService) -> dict[str, set[str]]:
    names = ("gateway", "dispatcher", "scheduler", "monitor")
    services = await asyncio.gather(*(start_service(f"services.{name}") for name in names))
    found: dict[str, set[str]] = {}
    async with aiohttp.ClientSession() as session:
        for service in services:
            async with session.get(service.url + "/metrics") as response:
                assert response.status == 200
                families_of(await response.text(), found)
    return found


def exported_when_much_happened() -> Iterator[tuple[str, set[str]]]:
    """What a monitor exports once there is an alert, a receipt, an attempt."""
    observation = seen(
        queue_picture(), database_picture(feedback={"a": AccountStanding(FeedbackState.SLOWED, START, "bad", 3)})
    )
    observation.accounts["a"] = AccountState.USABLE
    observation.deliveries.figures = {"a": DeliveryFigures(10, 1, START)}
    observation.history.figures = history_picture(a=AttemptFigures(10, 7, 2, 1, 0, False))
    observation.history.problem = ""
    health = HealthOfTheWhole(
        observation,
        ENDPOINTS,
        MonitorSettings(database_host="-", whatsapp_endpoints="http://a", whatsapp_auths="user:password"),
        lambda _: True,
    )
    alerts = [Alert("account_slowed", Severity.WARNING, "a", "slowed", START)]
    for family in QueueMetrics(observation, ENDPOINTS, health, alerts).collect():
        for sample in family.samples:
            yield sample.name, set(sample.labels)


async def test_every_metric_and_label_is_exported(start_service: StartService) -> None:
    found = await exported(start_service)
    for name, labels in exported_when_much_happened():
        found.setdefault(name, set()).update(labels)
    wanted = list(expressions())
    assert len(wanted) > 20
    for expression in wanted:
        names = metrics_in(expression)
        assert names, expression
        assert names <= found.keys(), f"{names - found.keys()} in {expression}"
        known = set().union(*(found[name] for name in names))
        if known:
            # A counter that has labels and has not counted yet tells none of them.
            assert labels_in(expression) <= known, f"{labels_in(expression) - known} in {expression}"


def test_each_rule_has_a_severity_and_words() -> None:
    for rule in rules():
        assert rule["annotations"]["summary"], rule["alert"]
        # The first one's comes with the series.
        assert rule["alert"] == "Paceline" or rule["labels"]["severity"] in set(Severity), rule["alert"]


def test_no_two_panels_cover_one_another() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        place = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not covered & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= covered


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool; it comes with Prometheus")
def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    # The dashboard's expressions as rules of their own, since promtool reads no dashboards.
    recorded = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(expressions())]
    panels = tmp_path / "panels.yml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "rules", str(RULES), str(panels)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
