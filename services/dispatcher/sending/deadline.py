"""START_LIMIT: a pass of the gate is good for a few seconds, or not at all.

A process may be stopped, throttled or moved between the gate and the request; what it then wakes up with may long have
been cancelled, or given to somebody else. So the time is looked at again with the connection in hand, and before each part
of an upload, by a clock that goes on during suspend.
"""

from __future__ import annotations

from shared.clock import boottime

START_LIMIT = 5.0
"""Seconds from before the gate to the request leaving."""


class StartLimitPassed(Exception):
    """Too late: nothing complete has been written to the endpoint."""


class StartDeadline:
    """``begun_at`` is a ``boottime`` from before the gate was asked. ``connected``: a connection was in hand, so a failure
    after it may have reached the sender."""

    __slots__ = ("_ends_at", "begun_at", "connected")

    def __init__(self, begun_at: float) -> None:
        self.begun_at = begun_at
        self.connected = False
        self._ends_at = begun_at + START_LIMIT

    def check(self) -> None:
        """Raises StartLimitPassed."""
        if boottime() > self._ends_at:
            raise StartLimitPassed

    def go_on(self) -> None:
        """A part of the upload is ready: the next one may follow within START_LIMIT. The request's own time limit bounds the
        whole, and what ends an attempt without an answer counts it in. Raises StartLimitPassed; the time is looked at once,
        so that no stop of the process falls between looking and extending."""
        now = boottime()
        if now > self._ends_at:
            raise StartLimitPassed
        self._ends_at = now + START_LIMIT
