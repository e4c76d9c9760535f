"""An alert as it is posted: what a receiver reads, and what it can check."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from services.monitor.alert_messages import alert_message, headers_of
from services.monitor.alert_rules import Alert, Severity
from services.monitor.settings_of_alerts import AlertSettings, signing_key

SINCE = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALERT = Alert("account_suspended", Severity.CRITICAL, "a", "suspended: 9 of 10 attempts failed", SINCE)
LABELS = {"a": "gowa:3000 sales"}


def test_what_a_receiver_reads() -> None:
    message = alert_message(ALERT, False, None, LABELS)
    assert message.body == {
        "type": "alert.firing",
        "text": "Critical: gowa:3000 sales: suspended: 9 of 10 attempts failed",
        "data": {
            "name": "account_suspended",
            "severity": "critical",
            "endpoint": "a",
            "label": "gowa:3000 sales",
            "text": "suspended: 9 of 10 attempts failed",
            "since": "2026-05-01T12:00:00Z",
        },
    }
    over = alert_message(replace(ALERT, endpoint=""), True, SINCE, LABELS).body
    assert (over["type"], over["text"]) == ("alert.resolved", "Resolved: suspended: 9 of 10 attempts failed")
    assert (over["data"]["endpoint"], over["data"]["label"]) == (None, None)


def test_the_id_tells_a_repetition_of_the_post_from_a_new_message() -> None:
    first = alert_message(ALERT, False, None, LABELS)
    assert alert_message(ALERT, False, None, LABELS) == first
    others = [
        alert_message(ALERT, True, None, LABELS),
        alert_message(ALERT, False, SINCE, LABELS),
        alert_message(replace(ALERT, since=SINCE + timedelta(seconds=1)), False, None, LABELS),
        alert_message(replace(ALERT, endpoint="b"), False, None, LABELS),
    ]
    assert len({first.id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize(
    ("secret", "key"),
    [("a word", b"a word"), ("whsec_" + base64.b64encode(b"twenty bytes of it").decode(), b"twenty bytes of it")],
)
def test_a_signature_can_be_checked(secret: str, key: bytes) -> None:
    headers = headers_of("alert_1", b'{"x":1}', secret, 1_700_000_000.9)
    expected = base64.b64encode(hmac.new(key, b'alert_1.1700000000.{"x":1}', hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("alert_1", "1700000000")
    assert "webhook-signature" not in headers_of("alert_1", b"", "", 0)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        signing_key("whsec_not base64")
    with pytest.raises(ValidationError, match="alert_webhook_secret"):
        AlertSettings(alert_webhook_secret="whsec_not base64")
    with pytest.raises(ValidationError, match="ALERT_WEBHOOK_SECRET"):
        AlertSettings(alert_webhook_secret="a secret")
    with pytest.raises(ValidationError, match="ALERT_WEBHOOK_FORMAT"):
        AlertSettings(alert_webhook_format="discord")
    with pytest.raises(ValidationError, match="alert_webhook_format"):
        AlertSettings(alert_webhook_url="https://example.org", alert_webhook_format="telegram")
    for url in ("ftp://example.org", "example.org/alerts", "https://"):
        with pytest.raises(ValidationError, match="alert_webhook_url"):
            AlertSettings(alert_webhook_url=url)
    assert "example.org" not in repr(AlertSettings(alert_webhook_url="https://example.org/secret"))
