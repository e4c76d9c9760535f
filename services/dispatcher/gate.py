"""Begins attempts: the statement in Postgres that everything depends on, for many messages at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from services.dispatcher.sending.deadline import START_LIMIT
from shared.clock import boottime
from shared.database.attempts import GateOutcome, GateRequest, gate
from shared.database.connection import Database
from shared.errors import DatabaseUnavailable
from shared.runtime.batching import Batcher

_PAUSE = 0.1


class _Asked(Struct, frozen=True):
    epoch: int
    request: GateRequest


class Gate:
    def __init__(self, database: Database, dispatcher: str, seen_beat: Callable[[], int]) -> None:
        self._database = database
        self._seen_beat = seen_beat
        self._dispatcher = dispatcher
        self._batcher: Batcher[_Asked, GateOutcome] = Batcher(self._ask, limit=200)

    async def begin(self, epoch: int, request: GateRequest, begun_at: float) -> GateOutcome:
        """``begun_at``: a ``boottime`` from before this call."""
        while True:
            try:
                return await self._batcher.submit(_Asked(epoch, request))
            except DatabaseUnavailable:
                # Repeating passes again for this token only; after the start limit a pass would be worth nothing.
                if boottime() + _PAUSE > begun_at + START_LIMIT:
                    return GateOutcome.UNANSWERED
                await asyncio.sleep(_PAUSE)

    async def _ask(self, asked: Sequence[_Asked]) -> Sequence[GateOutcome]:
        by_epoch: dict[int, list[GateRequest]] = defaultdict(list)
        for item in asked:
            by_epoch[item.epoch].append(item.request)
        outcomes: dict[str, GateOutcome] = {}
        for epoch, requests in by_epoch.items():
            outcomes |= await gate(self._database, epoch, self._dispatcher, requests, self._seen_beat())
        return [outcomes[item.request.token] for item in asked]
