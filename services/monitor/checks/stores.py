"""Redis and Postgres: can they be reached, may they be used, do they agree about epoch and beat."""

from __future__ import annotations

from services.monitor.checks.finding import Finding, Health
from services.monitor.observation import Observation

_OVERDUE_ATTEMPT = 60.0  # seconds past its deadline; a scheduler looks for such attempts every few seconds


def stores(seen: Observation) -> list[Finding]:
    findings = _redis(seen)
    reason, detail = seen.postgres_problem
    if reason:
        findings.append(Finding(Health.DOWN, "postgres", reason, detail))
    elif seen.durability_problem:
        findings.append(
            Finding(Health.DEGRADED, "postgres", "Postgres may forget what was accepted", seen.durability_problem)
        )
    return findings + _went_back(seen) + _epoch(seen)


def _redis(seen: Observation) -> list[Finding]:
    for look in (seen.queue, seen.probe):
        if look.problem:
            return [Finding(Health.DOWN, "redis", look.reason or "Redis cannot be reached", look.problem)]
    probe = seen.probe.figures
    if probe is None:
        return []
    if probe.refusal or probe.evicting:
        return [Finding(Health.DOWN, "redis", probe.refusal or probe.evicting)]
    return [Finding(Health.DEGRADED, "redis", probe.remark)] if probe.remark else []


def _went_back(seen: Observation) -> list[Finding]:
    database = seen.database.now
    if database is None or database.went_back_at is None:
        return []
    reason = "Postgres went back in time, so nothing is sent until an operator confirms it by POST /api/start"
    return [Finding(Health.DOWN, "postgres", reason, database.stop_reason)]


def _epoch(seen: Observation) -> list[Finding]:
    queue, database = seen.queue.now, seen.database.now
    if queue is None or database is None:
        return []
    findings = []
    if queue.epoch is None or not queue.same_server or queue.epoch != database.epoch or database.rebuilding:
        findings.append(Finding(Health.DEGRADED, "epoch", "sending waits until a scheduler has rebuilt Redis"))
    if database.overdue_seconds > _OVERDUE_ATTEMPT:
        findings.append(
            Finding(
                Health.DEGRADED,
                "scheduler",
                f"{database.overdue} attempts are past their deadline; is a scheduler alive?",
            )
        )
    return findings
