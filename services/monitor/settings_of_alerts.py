"""Settings of what makes an alert, and where alerts are posted to."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.settings import Duration, FeedbackSettings


class AlertFormat(StrEnum):
    AUTO = "auto"
    GENERIC = "generic"
    SLACK = "slack"
    DISCORD = "discord"
    ALERTMANAGER = "alertmanager"


class AlertSettings(FeedbackSettings):
    alert_webhook_url: SecretStr = Field(
        SecretStr(""), description="Where alerts are posted to as JSON; empty: they are only shown"
    )
    alert_webhook_format: AlertFormat = Field(
        AlertFormat.AUTO,
        description="What that address takes: generic (JSON of ours), slack (Mattermost, Rocket.Chat and Google Chat as well), "
        "discord, alertmanager (its /api/v2/alerts); auto: as the address tells, else generic",
    )
    alert_webhook_secret: SecretStr = Field(
        SecretStr(""), description="Alerts are signed with it as Standard Webhooks says; empty: they are not signed"
    )
    alert_repeat_interval: Duration = Field(
        timedelta(hours=4), description="An alert that is still on is posted again after this; 0: once only"
    )
    alert_breaker_open_after: Duration = Field(
        timedelta(minutes=10), description="A breaker that is not closed for so long is an alert; 0: never"
    )
    alert_lane_stopped_after: Duration = Field(
        timedelta(minutes=30), description="A lane that an operator stopped for so long is an alert; 0: never"
    )
    alert_nothing_sent_after: Duration = Field(
        timedelta(minutes=15),
        le=timedelta(minutes=55),
        description="Nothing sent for so long, while messages wait and an account is ready, is an alert; 0: never",
    )

    @model_validator(mode="after")
    def _has_an_address(self) -> AlertSettings:
        if not self.alert_webhook_url.get_secret_value():
            if self.alert_webhook_secret.get_secret_value():
                raise ValueError(
                    "ALERT_WEBHOOK_SECRET: nothing is posted, so nothing signed, without ALERT_WEBHOOK_URL"
                )
            if self.alert_webhook_format is not AlertFormat.AUTO:
                raise ValueError("ALERT_WEBHOOK_FORMAT: nothing is posted without ALERT_WEBHOOK_URL")
        return self

    @field_validator("alert_webhook_url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        url = urlsplit(value.get_secret_value())
        if value.get_secret_value() and (url.scheme not in ("http", "https") or not url.hostname):
            raise ValueError("an address such as https://example.org/alerts is wanted")
        return value

    @field_validator("alert_webhook_secret")
    @classmethod
    def _key(cls, value: SecretStr) -> SecretStr:
        signing_key(value.get_secret_value())
        return value


def signing_key(secret: str) -> bytes:
    """The key of a secret: base64 after ``whsec_``, any other text as it is. Raises ValueError."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("base64 is wanted after whsec_") from None
