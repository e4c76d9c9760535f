"""An alert in the form that its receiver takes: ours, Slack's, Discord's or Alertmanager's. Pure.

Discord refuses a post without ``content``; Alertmanager takes a list of alerts with labels, and ends each by itself at its
``endsAt``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson

from services.monitor.settings_of_alerts import AlertFormat

_LONGEST_TEXT = {AlertFormat.SLACK: 4000, AlertFormat.DISCORD: 2000}
"""Characters; Discord refuses more, Slack asks for no more (https://docs.slack.dev/reference/methods/chat.postMessage)."""
_LASTING = timedelta(days=30)
"""How long Alertmanager keeps an alert that is posted once only, unless its end is posted."""
_TEST_LASTS = timedelta(minutes=5)


def format_of(wanted: AlertFormat, url: str) -> AlertFormat:
    """The format for this address; ``auto`` goes by whose it is."""
    if wanted is not AlertFormat.AUTO:
        return wanted
    parts = urlsplit(url)
    host, path = (parts.hostname or "").rstrip("."), parts.path.rstrip("/")
    if host in ("discord.com", "discordapp.com") or host.endswith((".discord.com", ".discordapp.com")):
        # Discord's own door for what speaks Slack.
        return AlertFormat.SLACK if path.endswith("/slack") else AlertFormat.DISCORD
    if host == "hooks.slack.com" or host.endswith(".hooks.slack.com") or host == "hooks.slack-gov.com":
        return AlertFormat.SLACK
    if path.endswith("/api/v2/alerts"):
        return AlertFormat.ALERTMANAGER
    return AlertFormat.GENERIC


def body_for(receiver: AlertFormat, body: dict[str, Any], now: datetime, repeat: timedelta) -> bytes:
    """``body``: type, text and data as our own format has them. ``repeat``: time until it is posted again, 0: never."""
    match receiver:
        case AlertFormat.DISCORD:
            # No name in a text shall call anybody.
            return orjson.dumps({"content": _cut(receiver, body["text"]), "allowed_mentions": {"parse": []}})
        case AlertFormat.SLACK:
            escaped = body["text"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return orjson.dumps({"text": _cut(receiver, escaped)})
        case AlertFormat.ALERTMANAGER:
            return orjson.dumps([_of_alertmanager(body, now, repeat)])
        case _:
            return orjson.dumps(body)


def _cut(receiver: AlertFormat, text: str) -> str:
    most = _LONGEST_TEXT[receiver]
    return text if len(text) <= most else text[: most - 1] + "…"


def _of_alertmanager(body: dict[str, Any], now: datetime, repeat: timedelta) -> dict[str, Any]:
    data = body["data"]
    labels = {"alertname": f"paceline_{data['name']}", "severity": data["severity"], "service": "paceline"}
    labels |= {name: data[key] for name, key in (("endpoint", "endpoint"), ("account", "label")) if data[key]}
    if body["type"] == "alert.resolved":
        ends = now
    elif body["type"] == "alert.test":
        ends = now + _TEST_LASTS
    else:
        # Beyond the next post, so that it does not look over in between.
        ends = now + (2 * repeat or _LASTING)
    return {
        "labels": labels,
        "annotations": {"summary": body["text"], "description": data["text"]},
        "startsAt": data["since"],
        "endsAt": ends.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
