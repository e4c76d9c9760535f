"""Each receiver gets an alert in the form that it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.monitor.alert_formats import body_for, format_of
from services.monitor.alert_messages import alert_message, trial_message
from services.monitor.alert_rules import Alert, Severity
from services.monitor.settings_of_alerts import AlertFormat

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
SINCE = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALERT = Alert("account_suspended", Severity.CRITICAL, "a", "suspended: <b> & @everyone", SINCE)
FIRING, RESOLVED = (alert_message(ALERT, is_over, None, {"a": "gowa:3000 sales"}).body for is_over in (False, True))
FOUR_HOURS = timedelta(hours=4)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://DISCORD.com:443/api/webhooks/1/x?wait=true", "discord"),
        ("https://canary.discord.com/api/webhooks/1/x", "discord"),
        ("https://discordapp.com/api/webhooks/1/x", "discord"),
        ("https://discord.com/api/webhooks/1/x/slack", "slack"),
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("http://alertmanager:9093/api/v2/alerts", "alertmanager"),
        ("https://example.org/monitoring/alertmanager/api/v2/alerts/", "alertmanager"),
        ("https://example.org/alerts", "generic"),
        ("https://example.org/discord.com/api/webhooks", "generic"),
        ("https://discord.com.example.org/api/webhooks/1/x", "generic"),
        ("https://notdiscord.com/api/webhooks/1/x", "generic"),
    ],
)
def test_the_address_tells_the_format(url: str, expected: str) -> None:
    assert format_of(AlertFormat.AUTO, url) == expected
    assert format_of(AlertFormat.SLACK, url) == "slack", "what is set goes first"


def posted(receiver: AlertFormat, body: dict[str, Any], repeat: timedelta = FOUR_HOURS) -> Any:
    return orjson.loads(body_for(receiver, body, NOW, repeat))


def test_generic_is_ours() -> None:
    assert posted(AlertFormat.GENERIC, FIRING) == FIRING


def test_discord_wants_content_of_2000_characters_and_calls_nobody() -> None:
    found = posted(AlertFormat.DISCORD, FIRING)
    assert found == {
        "content": "Critical: gowa:3000 sales: suspended: <b> & @everyone",
        "allowed_mentions": {"parse": []},
    }
    for length in (1999, 2000, 2001, 9000):
        content = posted(AlertFormat.DISCORD, FIRING | {"text": "x" * length})["content"]
        assert len(content) == min(length, 2000)


def test_slack_wants_a_text_with_its_three_signs_escaped() -> None:
    assert posted(AlertFormat.SLACK, FIRING) == {
        "text": "Critical: gowa:3000 sales: suspended: &lt;b&gt; &amp; @everyone"
    }
    assert len(posted(AlertFormat.SLACK, FIRING | {"text": "&" * 9000})["text"]) == 4000


def test_alertmanager_wants_labels_that_stay_and_an_end() -> None:
    [firing], [resolved] = posted(AlertFormat.ALERTMANAGER, FIRING), posted(AlertFormat.ALERTMANAGER, RESOLVED)
    assert firing["labels"] == resolved["labels"], "or it would be another alert"
    assert firing["labels"] == {
        "alertname": "paceline_account_suspended",
        "severity": "critical",
        "service": "paceline",
        "endpoint": "a",
        "account": "gowa:3000 sales",
    }
    assert firing["startsAt"] == "2026-05-01T12:00:00Z"
    assert firing["annotations"]["summary"].startswith("Critical: ")
    assert datetime.fromisoformat(firing["endsAt"]) > NOW + FOUR_HOURS, "it lasts until it is posted again"
    assert resolved["endsAt"] == "2026-05-01T12:30:00Z"
    [once] = posted(AlertFormat.ALERTMANAGER, FIRING, timedelta(0))
    assert datetime.fromisoformat(once["endsAt"]) > NOW + timedelta(days=7)


@pytest.mark.parametrize("receiver", [one for one in AlertFormat if one is not AlertFormat.AUTO])
def test_a_test_says_that_it_is_one(receiver: AlertFormat) -> None:
    assert b"est of Paceline's alerts" in body_for(receiver, trial_message("1", NOW).body, NOW, FOUR_HOURS)
