"""What the monitor last saw in Redis and Postgres, and what kept it from seeing.

A look at each is taken at most once at a time, whoever asks; each has a bounded time, so a server that hangs is a problem
reported within seconds and never a monitor that hangs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from shared.database.beat import durability_problem
from shared.database.connection import Database
from shared.database.figures import database_figures, history_figures
from shared.database.receipts import DeliveryFigures, delivery_figures
from shared.endpoints.gowa import AccountState
from shared.errors import RebuildNeeded, StoreUnavailable
from shared.queue.connection import QueueConnection
from shared.queue.figures import queue_figures
from shared.queue.noting import noted

log = structlog.get_logger()

LOOK_TIMEOUT = 4.0  # seconds; longer than Redis is given for an answer, shorter than a caller of /health waits
SHOWN_CAMPAIGNS = 25
_USABLE_MAX_AGE = 3.0
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

Figures = TypeVar("Figures")


class Look(Generic[Figures]):
    """The last answer of ``ask``; ``problem`` is '' or why there was none the last time, for operators, ``reason`` the same for
    anybody, where the error says so; ``figures`` stay the last ones."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[Figures]]) -> None:
        self._name = name
        self._ask = ask
        self._lock = asyncio.Lock()
        self._at: float | None = None
        self.figures: Figures | None = None
        self.problem = "nobody has looked yet"
        self.reason = ""

    @property
    def now(self) -> Figures | None:
        """The figures, unless the last look failed."""
        return None if self.problem else self.figures

    async def refresh(self, max_age: float = 0.0) -> None:
        """Looks again, unless somebody did within ``max_age`` seconds. Raises nothing that a store causes."""
        async with self._lock:
            if self._at is not None and time.monotonic() - self._at < max_age:
                return
            before = self.problem if self._at is not None else ""
            self.reason = ""
            try:
                self.figures = await asyncio.wait_for(self._ask(), LOOK_TIMEOUT)
                self.problem = ""
            except TimeoutError:
                self.problem = f"no answer in {LOOK_TIMEOUT:.0f} s"
            except StoreUnavailable as error:
                self.problem, self.reason = str(error), error.reason
            except RebuildNeeded as error:
                self.problem = str(error)
            except Exception as error:
                # A figure that cannot be read must not take the others along.
                self.problem = f"{type(error).__name__}: {error}"
                if not before:
                    log.exception("look failed", look=self._name)
            self._at = time.monotonic()
            if self.problem and not before:
                log.warning("cannot look", look=self._name, reason=self.problem)
            elif before and not self.problem:
                log.info("looks", look=self._name)


class Observation:
    """Queue, database and history, each as last seen; ``policy_problem`` is '' or that this Redis may evict keys,
    ``durability_problem`` '' or why this Postgres may forget what it has committed. ``probe``: what Redis would refuse.
    ``silent_drop_after``: age from which a message without a receipt counts as undelivered, 0: none does."""

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        endpoints: Sequence[str],
        silent_drop_after: timedelta = timedelta(0),
    ) -> None:
        async def deliveries() -> dict[str, DeliveryFigures]:
            return await delivery_figures(database, endpoints, silent_drop_after, DAY) if silent_drop_after else {}

        self.queue = Look("queue", lambda: queue_figures(queue, endpoints))
        self.probe = Look("probe of the queue", queue.probe)
        self.noted = Look("noted", lambda: noted(queue))
        self.durability = Look("durability", lambda: durability_problem(database))
        self.database = Look("database", lambda: database_figures(database, SHOWN_CAMPAIGNS))
        self.usable = Look("usable", database.problem)
        """Whether Postgres takes what services write: it may answer every question and be read-only."""
        self.history = Look("history", lambda: history_figures(database, endpoints, DAY, HOUR))
        self.accounts: dict[str, AccountState] = {}
        """What each account last said of itself; missing: it was not asked."""
        self.deliveries = Look("deliveries", deliveries)

    @property
    def policy_problem(self) -> str:
        return self.probe.figures.evicting if self.probe.figures else ""

    @property
    def durability_problem(self) -> str:
        return self.durability.figures or ""

    @property
    def postgres_problem(self) -> tuple[str, str]:
        """('', '') or why Postgres cannot be used, for anybody and for operators."""
        if self.database.problem:
            return self.database.reason or "Postgres cannot be reached", self.database.problem
        if self.usable.reason:
            return self.usable.reason, self.usable.problem
        return self.usable.figures or "", ""

    async def refresh(self, max_age: float = 0.0) -> None:
        """Looks at queue and database."""
        looks = (self.queue, self.probe, self.database)
        await asyncio.gather(
            *(look.refresh(max_age) for look in looks), self.usable.refresh(max(max_age, _USABLE_MAX_AGE))
        )

    async def refresh_slowly(self) -> None:
        """Looks at what costs more or seldom changes."""
        looks = (self.noted, self.durability, self.history, self.deliveries)
        await asyncio.gather(*(look.refresh() for look in looks))
