"""The settings of a scheduler."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from shared.runtime.service import ServiceSettings
from shared.settings import (
    BreakerSettings,
    DatabaseSettings,
    Duration,
    EndpointSettings,
    FeedbackSettings,
    FileSettings,
    PacingSettings,
    RedisSettings,
    UnknownSettings,
)

_HAND_SLACK = timedelta(seconds=90)
"""What a dispatcher may need with a message beside the request itself: the longest typing, the gate, the stores."""


class SchedulerSettings(
    ServiceSettings,
    DatabaseSettings,
    RedisSettings,
    EndpointSettings,
    PacingSettings,
    BreakerSettings,
    FeedbackSettings,
    UnknownSettings,
    FileSettings,
):
    scheduler_port: int = Field(8083, ge=1, le=65535, description="Port of the scheduler")
    dispatcher_dead_after: Duration = Field(
        timedelta(seconds=15),
        description="A dispatcher that was not heard of for so long is dead and loses what it has in hand; it speaks every 5s",
    )
    stuck_message_timeout: Duration = Field(
        timedelta(minutes=5), description="A message in a dispatcher's hand for so long is given to another"
    )
    crash_limit: int = Field(
        3, ge=1, description="A message fails for good when so many dispatchers have died with nothing else in hand"
    )
    unknown_resend_limit: int = Field(
        3, ge=0, description="Resends of a message whose outcome stays unknown, at most; then it is held"
    )
    unknown_reachable_time: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(0),
        description='"Not in the chat storage" counts once the sender has answered for so long without a gap, since what '
        "waited in it meanwhile may take as long",
    )
    media_retention: Duration = Field(
        timedelta(hours=24), description="Files of failed or unknown messages are kept so long for a retry"
    )
    idempotency_retention: Duration = Field(
        timedelta(hours=48), gt=timedelta(0), description="Answers to requests with an Idempotency-Key are kept so long"
    )
    inbound_retention: Duration = Field(
        timedelta(days=30),
        description="So long people stay with the account they wrote to last, and an answer to it goes through that account",
    )
    history_retention: Duration = Field(
        timedelta(0), description="Months of messages that ended longer ago are deleted; 0: kept for ever"
    )

    @model_validator(mode="after")
    def _times_fit(self) -> SchedulerSettings:
        if self.dispatcher_dead_after < timedelta(seconds=10):
            raise ValueError("DISPATCHER_DEAD_AFTER: 10s is the least, since a dispatcher speaks every 5s")
        if self.inbound_retention < timedelta(days=1):
            raise ValueError("INBOUND_RETENTION: at least 24h is wanted")
        least = timedelta(seconds=self.longest_request_seconds()) + _HAND_SLACK
        if self.stuck_message_timeout < least:
            raise ValueError(
                f"STUCK_MESSAGE_TIMEOUT: at least {round(least.total_seconds())}s is wanted, the longest time that a "
                "message may be in hand (WHATSAPP_MEDIA_TIMEOUT and 90s)"
            )
        return self
