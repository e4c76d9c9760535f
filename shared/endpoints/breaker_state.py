"""The states of an endpoint's circuit breaker, and what an attempt says about it. Words of the scripts in Redis."""

from __future__ import annotations

from enum import StrEnum


class BreakerState(StrEnum):
    """``half_open``: on trial, one attempt at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerOutcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    CRITICAL = "critical"
    """The endpoint cannot send until its status says so: opens at once."""
    IGNORE = "ignore"
    """Says nothing about the endpoint."""
