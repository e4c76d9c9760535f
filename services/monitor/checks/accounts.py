"""Which accounts cannot send: breakers that are not closed, suspensions."""

from __future__ import annotations

from collections.abc import Mapping

from services.monitor.checks.finding import Finding, Health
from services.monitor.observation import Observation
from shared.endpoints.identity import Endpoint


def accounts(seen: Observation, endpoints: Mapping[str, Endpoint]) -> list[Finding]:
    queue, database = seen.queue.now, seen.database.now
    findings = []
    idle = set()
    if queue is not None:
        for identity, figures in queue.endpoints.items():
            if figures.breaker != "closed":
                what = "does not send" if figures.breaker == "open" else "is on trial"
                reason = f"endpoint {identity} {what}: its breaker is {figures.breaker.replace('_', '-')}"
                findings.append(Finding(Health.DEGRADED, "endpoints", reason, figures.state.get("reason", "")))
            if figures.breaker == "open":
                idle.add(identity)
    if database is not None:
        # Somebody suspended it on purpose, which is no fault by itself.
        idle |= database.suspended.keys() & endpoints.keys()
    if len(idle) == len(endpoints):
        findings.append(Finding(Health.DEGRADED, "endpoints", "no account may send"))
    return findings
