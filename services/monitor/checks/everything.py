"""All checks in one call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from services.monitor.checks.accounts import accounts
from services.monitor.checks.finding import Finding
from services.monitor.checks.sending import sending
from services.monitor.checks.stores import stores
from services.monitor.observation import Observation
from shared.endpoints.identity import Endpoint


def findings_of(seen: Observation, endpoints: Mapping[str, Endpoint], lag_warning: timedelta) -> list[Finding]:
    return stores(seen) + sending(seen, lag_warning) + accounts(seen, endpoints)
