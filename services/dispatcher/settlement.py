"""Writes what attempts came to: first into Postgres, then into Redis, each for many messages at once.

The write is repeated until it is done, the send never. What is not written when the process dies is found in Postgres as
an attempt without a verdict, and its outcome is then unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from prometheus_client import Counter

from services.dispatcher.breakers import Breakers
from shared.database.attempts import AttemptResult, count_shard, settle
from shared.database.connection import Database
from shared.errors import DatabaseUnavailable, StoreUnavailable
from shared.messages import Status, Verdict
from shared.queue.taking import Assignment, FollowUp, Settlement, Taking
from shared.runtime.batching import Batcher

log = structlog.get_logger()
_verdicts = Counter("paceline_attempts_total", "Attempts by verdict", ["verdict"])
_repeats = Counter("paceline_settlement_repeats_total", "Writes of outcomes that had to be repeated", ["store"])
_VERDICTS = {verdict: _verdicts.labels(verdict.value) for verdict in Verdict}
_LONGEST_PAUSE = 1.0
"""Seconds; after a failover a verdict must be there before anybody looks for it in the chat."""
T = TypeVar("T")


def put_back(assignment: Assignment, after_ms: int = 0, slot_pause_ms: int = -1) -> Settlement:
    """The end of an assignment without an attempt: the entry goes back, the slot as it was or after a pause."""
    follow_up = FollowUp(assignment.entry, due_ms=after_ms)
    return Settlement(assignment, ready_ms=slot_pause_ms, bulk_ready_ms=max(0, slot_pause_ms), follow_up=follow_up)


class SettlementWriter:
    """``woken`` is set when a slot that was given back may send again, since nobody else would tell the taking loop."""

    def __init__(
        self, database: Database, taking: Taking, breakers: Breakers, dispatcher: str, woken: asyncio.Event
    ) -> None:
        self._database = database
        self._taking = taking
        self._breakers = breakers
        self._shard = count_shard(dispatcher)
        self._woken = woken
        self._results: Batcher[AttemptResult, Status | DatabaseUnavailable | None] = Batcher(
            self._write_results, limit=200
        )
        self._settlements: Batcher[Settlement, None] = Batcher(self._write_settlements, limit=200)

    async def record(self, result: AttemptResult) -> Status | None:
        """Writes a verdict into Postgres; answers the message's new status, None if it had moved on. Waits as long as
        Postgres is away."""
        _VERDICTS[result.verdict].inc()
        return await self.repeated("postgres", lambda: self._written(result))

    async def _written(self, result: AttemptResult) -> Status | None:
        outcome = await self._results.submit(result)
        if isinstance(outcome, DatabaseUnavailable):
            raise outcome
        return outcome

    async def release(self, settlement: Settlement) -> None:
        """Ends an assignment in Redis. Waits as long as Redis is away."""
        await self.repeated("redis", lambda: self._settlements.submit(settlement))

    async def repeated(self, store: str, write: Callable[[], Awaitable[T]]) -> T:
        """Calls ``write`` until its store answers; for what must not be lost and may be written twice."""
        pause = 0.05
        while True:
            try:
                return await write()
            except StoreUnavailable:
                _repeats.labels(store).inc()
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)

    async def _write_results(self, results: Sequence[AttemptResult]) -> list[Status | DatabaseUnavailable | None]:
        """One row that Postgres cannot write is found by halves: it waits, and keeps no other verdict waiting."""
        try:
            statuses = await settle(self._database, self._shard, results)
        except DatabaseUnavailable as error:
            if not error.perhaps_one_row:
                raise
            if len(results) == 1:
                return [error]
            middle = len(results) // 2
            return [*await self._write_results(results[:middle]), *await self._write_results(results[middle:])]
        return [statuses.get(result.message) for result in results]

    async def _write_settlements(self, settlements: Sequence[Settlement]) -> Sequence[None]:
        changes = await self._taking.settle(settlements)
        self._breakers.changed(changes)
        soonest = min(settlement.ready_ms for settlement in settlements)
        if soonest <= 0:
            self._woken.set()
        else:
            asyncio.get_running_loop().call_later(soonest / 1000, self._woken.set)
        return [None] * len(settlements)
