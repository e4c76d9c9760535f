"""Time as the rules need it: a clock that goes on while the machine sleeps, and server time for what must agree."""

from __future__ import annotations

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds that no clock change moves and that go on during suspend and SIGSTOP (CLOCK_BOOTTIME on Linux)."""
    return time.clock_gettime(_BOOTTIME)
