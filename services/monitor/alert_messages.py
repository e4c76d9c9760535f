"""An alert as it is told, signed as Standard Webhooks says (https://www.standardwebhooks.com). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.monitor.alert_rules import Alert
from services.monitor.settings_of_alerts import signing_key


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """``id`` is the same however often, and by whichever monitor, this message is posted. ``body``: type, text, data."""

    id: str
    body: dict[str, Any]


def alert_message(alert: Alert, is_over: bool, before: datetime | None, labels: dict[str, str]) -> AlertMessage:
    """``before``: when the same was last told of, None: never. ``labels``: of the endpoints, for people."""
    kind = "alert.resolved" if is_over else "alert.firing"
    told = before.isoformat() if before else ""
    seed = "\n".join((kind, alert.name, alert.endpoint, alert.since.isoformat(), told))
    body = {"type": kind, "text": _sentence(alert, is_over, labels), "data": alert_line(alert, labels)}
    return AlertMessage("alert_" + hashlib.sha256(seed.encode()).hexdigest()[:32], body)


def trial_message(identity: str, now: datetime) -> AlertMessage:
    """What is posted to see whether alerts arrive. ``identity`` is new for each."""
    text = "a test of Paceline's alerts: they arrive here"
    since = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    data = {"name": "test", "severity": "info", "endpoint": None, "label": None, "text": text, "since": since}
    return AlertMessage(f"alert_{identity}", {"type": "alert.test", "text": f"Test: {text}", "data": data})


def alert_line(alert: Alert, labels: dict[str, str]) -> dict[str, Any]:
    """The alert as plain values; ``endpoint`` is null where it is about the whole."""
    return {
        "name": alert.name,
        "severity": alert.severity.value,
        "endpoint": alert.endpoint or None,
        "label": labels.get(alert.endpoint),
        "text": alert.text,
        "since": alert.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def headers_of(identity: str, posted: bytes, secret: str, now: float) -> dict[str, str]:
    """For a message as it is posted. ``now``: seconds since 1970."""
    headers = {"Content-Type": "application/json", "webhook-id": identity, "webhook-timestamp": str(int(now))}
    if secret:
        signed = f"{identity}.{int(now)}.".encode() + posted
        digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers


def _sentence(alert: Alert, is_over: bool, labels: dict[str, str]) -> str:
    whom = f" {labels.get(alert.endpoint, alert.endpoint)}:" if alert.endpoint else ""
    return f"{'Resolved' if is_over else alert.severity.value.capitalize()}:{whom} {alert.text}"
