"""GET /api/endpoints/stats: how each account is doing. Pure: figures in, plain values out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.monitor.observation import Observation
from shared.database.figures import AccountStanding
from shared.database.receipts import DeliveryFigures
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.feedback import FeedbackState, drops_silently
from shared.endpoints.identity import Endpoint
from shared.messages import Verdict
from shared.queue.figures import EndpointFigures, QueueFigures
from shared.settings import FeedbackSettings

FAILED = tuple(verdict for verdict in Verdict if verdict not in (Verdict.SENT, Verdict.UNKNOWN))


def moment(milliseconds: int | str | None) -> str | None:
    """ISO 8601 in UTC; None for none."""
    value = int(milliseconds or 0)
    if value <= 0:
        return None
    return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def written(at: datetime | None) -> str | None:
    """ISO 8601 in UTC to the second; None for none."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


def endpoint_statistics(
    seen: Observation, endpoints: Mapping[str, Endpoint], settings: FeedbackSettings
) -> list[dict[str, Any]]:
    """A line for each endpoint of the settings; counts are 0 while Redis cannot be reached. ``account``: usable, offline,
    logged_out, misconfigured, no_device or unreachable, as it last said of itself; null: it was not asked.

    ``messages_sent`` and ``messages_failed`` count attempts since Redis was last rebuilt; an attempt with an unknown
    outcome is neither. ``success_rate`` is a percentage, ``avg_response_time`` in milliseconds. ``undelivered_share`` (0 to 1,
    of the last ``undelivered_of`` messages older than SILENT_DROP_AFTER) is null while the account has sent no receipts.
    ``silent_drop``: so many of them that WhatsApp seems to take its messages and drop them.
    """
    queue, database = seen.queue.figures, seen.database.figures
    lines = []
    for identity, endpoint in endpoints.items():
        figures = queue.endpoints.get(identity) if queue else None
        line: dict[str, Any] = {"id": identity, "url": endpoint.base_url, "label": endpoint.label}
        line |= _numbers(figures)
        line |= _times(queue, figures)
        suspension = database.suspended.get(identity) if database else None
        line["suspended"] = suspension is not None
        line["suspend_reason"] = suspension.reason if suspension else None
        line["suspended_by"] = suspension.by if suspension else None
        line["held_until"] = written(database.held.get(identity) if database else None)
        line["feedback"] = _feedback(database.feedback.get(identity) if database else None)
        account = seen.accounts.get(identity)
        line["account"] = account.value if account else None
        line["circuit_breaker"] = _breaker(figures)
        line |= _deliveries((seen.deliveries.figures or {}).get(identity), settings)
        lines.append(line)
    return lines


def _numbers(figures: EndpointFigures | None) -> dict[str, Any]:
    verdicts = {verdict.value: figures.count(verdict) if figures else 0 for verdict in Verdict}
    sent, failed = verdicts[Verdict.SENT], sum(verdicts[verdict] for verdict in FAILED)
    answers = figures.count("answers") if figures else 0
    return {
        "messages_sent": sent,
        "messages_failed": failed,
        "messages_unknown": verdicts[Verdict.UNKNOWN],
        "verdicts": verdicts,
        "avg_response_time": round(figures.count("answer_ms") / answers, 1) if figures and answers else None,
        "success_rate": round(100 * sent / (sent + failed), 1) if sent + failed else None,
    }


def _times(queue: QueueFigures | None, figures: EndpointFigures | None) -> dict[str, Any]:
    if queue is None or figures is None:
        return dict.fromkeys(("last_used", "last_error", "last_error_time", "next_ready_in_ms")) | {
            "slots": 0,
            "in_flight": 0,
        }

    def until(ready_at: int | None) -> int | None:
        return None if ready_at is None else max(0, ready_at - queue.now_ms)

    return {
        "last_used": moment(figures.counters.get("last_used")),
        "last_error": figures.counters.get("last_error") or None,
        "last_error_time": moment(figures.counters.get("last_error_at")),
        "slots": figures.slots_used + figures.slots_free,
        "in_flight": figures.slots_used,
        "next_ready_in_ms": until(figures.ready_at_ms),
        "next_bulk_ready_in_ms": until(figures.bulk_ready_at_ms),
    }


def _breaker(figures: EndpointFigures | None) -> dict[str, Any]:
    state = figures.state if figures else {}
    return {
        "state": (figures.breaker if figures else BreakerState.CLOSED).value,
        "failures": int(state.get("failures", "0")),
        "successes": int(state.get("successes", "0")),
        "since": moment(state.get("since")),
        "reason": state.get("reason") or None,
        "next_trial": moment(state.get("not_before")) if figures and figures.breaker is BreakerState.OPEN else None,
    }


def _feedback(standing: AccountStanding | None) -> dict[str, Any]:
    """``reason``: of the last change; ``until``: when a suspension ends by a trial."""
    if standing is None:
        return {"state": FeedbackState.NORMAL.value, "since": None, "reason": None, "until": None, "slow_factor": 1}
    return {
        "state": standing.state.value,
        "since": written(standing.since),
        "reason": standing.reason or None,
        "until": written(standing.until),
        # A suspended account keeps the factor for its trial.
        "slow_factor": standing.slow_factor,
    }


def _deliveries(figures: DeliveryFigures | None, settings: FeedbackSettings) -> dict[str, Any]:
    share = figures.undelivered_share if figures else None
    return {
        "undelivered_share": None if share is None else round(share, 3),
        "undelivered_of": figures.sent if figures else 0,
        "undelivered": figures.undelivered if figures else 0,
        "silent_drop": figures is not None
        and drops_silently(
            figures.sent, figures.undelivered, settings.feedback_delivered_share, settings.feedback_min_sample
        ),
        "last_receipt": written(figures.last_receipt if figures else None),
    }
