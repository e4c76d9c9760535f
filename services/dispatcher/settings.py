"""The settings of a dispatcher."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from shared.endpoints.pacing import profile_of
from shared.runtime.service import ServiceSettings
from shared.settings import (
    BreakerSettings,
    DatabaseSettings,
    Duration,
    EndpointSettings,
    FileSettings,
    FileTypeSettings,
    PacingSettings,
    RedisSettings,
    RemoteMediaSettings,
    UnknownSettings,
)


class DispatcherSettings(
    ServiceSettings,
    DatabaseSettings,
    RedisSettings,
    EndpointSettings,
    PacingSettings,
    BreakerSettings,
    UnknownSettings,
    FileSettings,
    FileTypeSettings,
    RemoteMediaSettings,
):
    dispatcher_port: int = Field(8082, ge=1, le=65535, description="Port of the dispatcher")
    redis_consumer_name: str = Field(
        "", max_length=100, description="First part of its name in Redis; empty: the host's name"
    )
    worker_concurrency: int = Field(500, ge=1, le=2000, description="Messages in hand at once, at most")
    worker_batch_size: int = Field(100, ge=1, le=200, description="Assignments taken in one step, at most")
    worker_max_retries: int = Field(3, ge=0, le=20, description="Further tries after one that failed for a while")
    retry_base_delay: Duration = Field(
        timedelta(seconds=5), description="Wait before the first further try; doubles each time, at most 5m"
    )
    cold_contact_delay: Duration = Field(
        timedelta(hours=6), description="Wait before a contact is tried again that an account may not write to yet"
    )

    cold_contact_limit: int = Field(
        3, ge=1, description="After so many contacts in a day that an account may not write to, it gets no new ones"
    )
    cold_contact_hold: Duration = Field(
        timedelta(hours=24), description="How long such an account gets no new contacts; those that it knows go on"
    )

    remote_media_retry_limit: Duration = Field(
        timedelta(hours=1),
        description="How long an address of media is tried again that fails for a reason that may pass; then its messages fail",
    )

    @model_validator(mode="after")
    def _one_slot_while_paced(self) -> DispatcherSettings:
        if self.endpoint_concurrency > 1 and profile_of(self).paced:
            raise ValueError(
                "ENDPOINT_CONCURRENCY: only 1 goes with pacing; the sender handles one message of an account at a time"
            )
        return self
