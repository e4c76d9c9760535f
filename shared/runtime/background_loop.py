"""A loop that looks for something again and again, and survives whatever it meets.

Each role of a service is one of these: a step, and how long to wait after it. Redis or Postgres being away is expected:
the loop waits and goes on. Any other error is logged with its trace, counted, and the loop goes on as well. Its lines of the
log are about nobody, whoever started it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from prometheus_client import Counter

from shared.cancellation import end
from shared.errors import RebuildNeeded, StoreUnavailable
from shared.observability.log_context import about_nobody

log = structlog.get_logger()
_errors = Counter("paceline_loop_errors_total", "Steps of background loops that failed", ["loop", "cause"])
_AWAY_WAIT = 1.0


class BackgroundLoop:
    """Calls ``step`` every ``interval`` seconds; a step may answer a shorter or longer wait in seconds itself."""

    def __init__(self, name: str, interval: float, step: Callable[[], Awaitable[float | None]]) -> None:
        self.name = name
        self.interval = interval
        self._step = step
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last_success: float | None = None

    async def _run(self) -> None:
        away = False
        while not self._stop.is_set():
            wait: float | None
            try:
                wait = await self._step()
                self.last_success = asyncio.get_running_loop().time()
                if away:
                    log.info("goes on", loop=self.name)
                away = False
            except (StoreUnavailable, RebuildNeeded) as error:
                _errors.labels(self.name, type(error).__name__).inc()
                if not away:
                    log.warning("waits", loop=self.name, reason=str(error))
                away = True
                wait = _AWAY_WAIT
            except Exception as error:
                _errors.labels(self.name, type(error).__name__).inc()
                log.exception("step failed", loop=self.name)
                wait = max(self.interval, _AWAY_WAIT)
            try:
                await asyncio.wait_for(self._stop.wait(), self.interval if wait is None else wait)
            except TimeoutError:
                continue

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BackgroundLoop]:
        """Runs while the context is open; at its end lets the step in hand finish for 10 s at most."""
        self._task = asyncio.create_task(self._run(), name=self.name, context=about_nobody())
        try:
            yield self
        finally:
            self._stop.set()
            done, _ = await asyncio.wait({self._task}, timeout=10)
            if not done:
                await end(self._task)
