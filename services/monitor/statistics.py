"""GET /api/statistics and every event of its stream: one JSON object that says how sending goes. Pure.

``worker``, ``database`` and ``redis_queue`` are the groups of figures that users of the Go program know; what is new stands
beside them. All counts of attempts are since Redis was last rebuilt unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.monitor.alert_messages import alert_line
from services.monitor.alert_rules import Alert
from services.monitor.checks.everything import findings_of
from services.monitor.checks.finding import worst
from services.monitor.checks.sending import alive
from services.monitor.endpoint_statistics import FAILED, endpoint_statistics, moment
from services.monitor.health import lane_report
from services.monitor.observation import Observation
from services.monitor.settings import MonitorSettings
from shared.database.figures import AttemptFigures, CampaignFigures, DatabaseFigures
from shared.endpoints.identity import Endpoint
from shared.messages import Lane, Verdict
from shared.queue.figures import QueueFigures


def statistics(
    seen: Observation,
    endpoints: Mapping[str, Endpoint],
    settings: MonitorSettings,
    uptime: float,
    alerts: Sequence[Alert] = (),
) -> dict[str, Any]:
    """``uptime``: seconds that this monitor runs. ``alerts``: those that are on."""
    queue, database = seen.queue.figures, seen.database.figures
    findings = findings_of(seen, endpoints, settings.queue_lag_warning)
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": worst(findings).value,
        "reasons": [
            {"part": finding.part, "status": finding.health.value, "reason": finding.reason, "detail": finding.detail}
            for finding in findings
        ],
        "worker": _worker(queue, uptime),
        "redis_queue": _redis_queue(queue, settings),
        "database": _database(seen),
        "messages": _messages(seen),
        "throughput": _throughput(queue),
        "campaigns": _campaigns(database),
        "endpoints": endpoint_statistics(seen, endpoints, settings),
        "alerts": alert_lines(alerts, endpoints),
    }


def alert_lines(alerts: Sequence[Alert], endpoints: Mapping[str, Endpoint]) -> list[dict[str, Any]]:
    """The alerts as GET /api/statistics/alerts answers them."""
    labels = {endpoint.id: endpoint.label for endpoint in endpoints.values()}
    return [alert_line(alert, labels) for alert in alerts]


def _worker(queue: QueueFigures | None, uptime: float) -> dict[str, Any]:
    counts = {verdict: queue.total(verdict) if queue else 0 for verdict in Verdict}
    return {
        "messages_processed": sum(counts.values()),
        "messages_sent": counts[Verdict.SENT],
        # Refused for good by the sender; what is worth another try counts as a retry.
        "messages_failed": counts[Verdict.REFUSED],
        "messages_unknown": counts[Verdict.UNKNOWN],
        "retry_count": sum(counts[verdict] for verdict in FAILED if verdict is not Verdict.REFUSED),
        "breakers_opened": queue.total("breaker_open") if queue else 0,
        "uptime": round(uptime),
        "last_processed_at": moment(queue.totals.get("last_processed")) if queue else None,
        "dispatchers": {"alive": alive(queue), "known": len(queue.beats)} if queue else {"alive": [], "known": 0},
    }


def _redis_queue(queue: QueueFigures | None, settings: MonitorSettings) -> dict[str, Any]:
    if queue is None:
        return {"queue_name": settings.redis_queue_name, "queue_length": 0, "pending_count": 0, "lanes": {}}
    lanes = {lane.value: lane_report(queue, lane) for lane in Lane}
    return {
        "queue_name": settings.redis_queue_name,
        "queue_length": sum(lane["length"] for lane in lanes.values()),
        "pending_count": sum(lane["pending"] for lane in lanes.values()),
        "last_updated": moment(queue.now_ms),
        "lanes": lanes,
        "scheduled": queue.parked,
        "epoch": queue.epoch,
    }


def _database(seen: Observation) -> dict[str, Any]:
    database, history = seen.database.figures, seen.history.figures
    return {
        "latency_ms": database.latency_ms if database else None,
        "active_connections": history.connections if history else None,
        "size_bytes": history.database_bytes if history else None,
        "messages_about": history.messages_about if history else None,
        "media_files": history.media_files if history else None,
        "media_bytes": history.media_bytes if history else None,
    }


def _messages(seen: Observation) -> dict[str, Any]:
    """``sending``: attempts under way. Of what waits outside a campaign at most 20,000 are counted; ``bounded`` says so."""
    database, history = seen.database.figures, seen.history.figures
    waiting: dict[str, Any] = {}
    if database is not None:
        waiting = {
            "sending": database.under_way,
            "single_sends_waiting": database.sends,
            "retrying": database.retries,
            "outcome_unknown_yet": database.checks,
            "in_campaigns": sum(campaign.waiting for campaign in database.campaigns),
            "bounded": database.bounded,
            "stopped_lanes": database.stopped_lanes,
            "stop_reason": database.stop_reason or None,
        }
    return waiting | {
        "last_hour": _attempts(history.short) if history else None,
        "last_day": _attempts(history.long) if history else None,
    }


def _attempts(by_endpoint: Mapping[str, AttemptFigures]) -> dict[str, Any]:
    figures = list(by_endpoint.values())
    return {
        "attempts": sum(line.attempts for line in figures),
        "sent": sum(line.sent for line in figures),
        "failed": sum(line.failed for line in figures),
        "unknown": sum(line.unknown for line in figures),
        "retried": sum(line.retried for line in figures),
        "bounded": any(line.bounded for line in figures),
    }


def _throughput(queue: QueueFigures | None) -> dict[str, Any]:
    """Attempts for each of the last 60 minutes, oldest first; the last one is not over yet."""
    if queue is None:
        return {"minutes": 0, "sent": [], "failed": [], "unknown": [], "sent_per_minute": 0, "until": None}
    sent = queue.series[Verdict.SENT]
    failed = [sum(counts) for counts in zip(*(queue.series[verdict] for verdict in FAILED), strict=True)]
    return {
        "minutes": len(sent),
        "sent": sent,
        "failed": failed,
        "unknown": queue.series[Verdict.UNKNOWN],
        # Of the last whole minute, since the present one has hardly begun half of the time.
        "sent_per_minute": sent[-2] if len(sent) > 1 else 0,
        "until": moment(queue.now_ms),
    }


def _campaigns(database: DatabaseFigures | None) -> dict[str, Any]:
    if database is None:
        return {"by_status": {}, "open": []}
    return {"by_status": database.open_campaigns, "open": [_campaign(campaign) for campaign in database.campaigns]}


def _campaign(campaign: CampaignFigures) -> dict[str, Any]:
    done = campaign.total - campaign.waiting
    return {
        "campaign_token": str(campaign.token),
        "status": campaign.status,
        "type": campaign.kind,
        "lane": campaign.lane,
        "reference": campaign.reference or None,
        "total": campaign.total,
        "waiting": campaign.waiting,
        "counts": campaign.counts,
        "receipts": {"delivered": campaign.delivered, "read": campaign.read},
        "possible_duplicates": campaign.possible_duplicates,
        "progress": round(100 * done / campaign.total, 1) if campaign.total else 100.0,
        "created_at": campaign.created_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
