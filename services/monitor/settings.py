"""Settings of the monitor."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from services.monitor.settings_of_alerts import AlertSettings
from shared.runtime.service import ServiceSettings
from shared.settings import (
    DatabaseSettings,
    DrainSettings,
    Duration,
    EndpointSettings,
    PacingSettings,
    RedisSettings,
)


class MonitorSettings(
    ServiceSettings, DrainSettings, DatabaseSettings, RedisSettings, EndpointSettings, PacingSettings, AlertSettings
):
    monitor_port: int = Field(8084, ge=1, le=65535, description="Port of the monitor")
    statistics_interval: Duration = Field(
        timedelta(seconds=1),
        ge=timedelta(milliseconds=100),
        description="Time between two looks at queue and database, and between two events of the statistics stream",
    )
    statistics_max_streams: int = Field(
        2000, ge=1, description="Statistics streams open at the same time; the next one is answered 503"
    )
    health_check_interval: Duration = Field(
        timedelta(seconds=15),
        ge=timedelta(seconds=1),
        description="Time between two looks at what costs more: the attempts of the last day, sizes",
    )
    account_probe_interval: Duration = Field(
        timedelta(seconds=30),
        description="Time between two questions to each account whether it can send; 0: it is not asked",
    )
    queue_lag_warning: Duration = Field(
        timedelta(minutes=5), description="Single sends that wait longer than this make the whole degraded; 0: never"
    )
