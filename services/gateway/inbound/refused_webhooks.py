"""Posts to the sender's webhook that its secret does not sign: counted for the monitor, which tells of a wrong secret."""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.errors import StoreUnavailable
from shared.queue.connection import QueueConnection
from shared.queue.noting import Noted, note

_PAUSE = 1.0
"""Seconds between two writes: anybody may post here, and a flood of it must cost Redis nothing."""


class RefusedWebhooks:
    def __init__(self, queue: QueueConnection, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._untold = 0
        self._told_at = float("-inf")

    async def note(self) -> None:
        """Counts one; what comes within a second of the last write is told with the next. Raises nothing that Redis causes."""
        self._untold += 1
        if self._clock() - self._told_at < _PAUSE:
            return
        self._told_at = self._clock()
        count, self._untold = self._untold, 0
        try:
            await note(self._queue, Noted.REFUSED_WEBHOOK, count)
        except StoreUnavailable:
            self._untold += count
