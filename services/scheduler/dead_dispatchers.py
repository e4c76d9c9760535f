"""Takes back what dead dispatchers had in hand, also while nothing else happens.

Dead is whom this scheduler itself has seen not speaking for DISPATCHER_DEAD_AFTER while Redis answered and held the current
epoch: a dispatcher is not dead because Redis was away, or because the scheduler itself stood still. What was sending is
found in Postgres, see ``unknown_outcomes``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from services.scheduler.rate_in_force import RateInForce
from shared.database.attempts import count_crashes, end_unsendable, killers
from shared.database.connection import Database
from shared.database.due import mark_moved_on
from shared.database.rebuilding import read_control
from shared.errors import StoreUnavailable
from shared.messages import Entry, Status
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import beats, consumers, reclaim, unregister
from shared.queue.rebuild import epoch_is_current
from shared.queue.streams import stream_suffixes

log = structlog.get_logger()
_deaths = Counter("paceline_dispatchers_dead_total", "Dispatchers that were found dead")
_reclaimed = Counter("paceline_entries_reclaimed_total", "Entries taken back", ["why"])
_quarantined = Counter("paceline_messages_quarantined_total", "Messages that killed too many dispatchers")
_BATCH = 100
_LOOK_INTERVAL = 5.0
"""Seconds between looks at what changes slowly: consumers nobody speaks for, entries long in hand."""


@dataclass(slots=True)
class _Heard:
    """The beat last seen (None: never one), and for how many seconds it has been the same."""

    beat: int | None
    silent: float = 0.0


class DeadDispatchers:
    name = "dead_dispatchers"
    interval = 1.0

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        rate: RateInForce,
        endpoints: Collection[str],
        shard: int,
        dead_after: float,
        stuck_after: float,
        crash_limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``dead_after`` and ``stuck_after`` in seconds."""
        self._queue = queue
        self._database = database
        self._rate = rate
        self._endpoints = list(endpoints)
        self._shard = shard
        self._dead_after = dead_after
        self._stuck_after = stuck_after
        self._crash_limit = crash_limit
        self._clock = clock
        self._heard: dict[str, _Heard] = {}
        self._unheard: set[str] = set()
        self._stepped_at = clock()
        self._looked_at = float("-inf")

    async def step(self) -> None:
        try:
            # Also a look whether Postgres answers: what is taken back is counted there.
            control = await read_control(self._database)
            current = await epoch_is_current(self._queue, control.epoch)
        except StoreUnavailable:
            self._heard.clear()
            raise
        if not current:
            self._heard.clear()
            return
        suffixes = await stream_suffixes(self._queue, self._endpoints)
        seen = await beats(self._queue)
        if self._clock() - self._looked_at >= _LOOK_INTERVAL:
            await self._take_back_stuck(suffixes)
            self._unheard = await self._consumers(suffixes)
            self._looked_at = self._clock()
        for name in self._silent(seen):
            await self._bury(name, self._heard[name].beat, suffixes)

    def _silent(self, seen: dict[str, int]) -> list[str]:
        """Notes who has spoken; those who have not for too long."""
        now = self._clock()
        # A step that comes late has not watched meanwhile.
        passed = min(now - self._stepped_at, 2 * self.interval)
        self._stepped_at = now
        known: dict[str, int | None] = {**dict.fromkeys(self._unheard), **seen}
        for name, beat in known.items():
            heard = self._heard.get(name)
            if heard is None or heard.beat != beat:
                self._heard[name] = _Heard(beat)
            else:
                heard.silent += passed
        for name in self._heard.keys() - known.keys():
            del self._heard[name]
        return [name for name, heard in self._heard.items() if heard.silent >= self._dead_after]

    async def _consumers(self, suffixes: Sequence[str]) -> set[str]:
        return {name for suffix in suffixes for name in await consumers(self._queue, suffix)}

    async def _bury(self, name: str, beat: int | None, suffixes: Sequence[str]) -> None:
        taken_back = 0
        for suffix in suffixes:
            while entries := await reclaim(self._queue, suffix, name, 0, _BATCH):
                taken_back += len(entries)
                await self._count(entries)
        pause = self._rate.profiles.longest_pause_ms()
        outcome = await unregister(self._queue, name, beat, pause, suffixes)
        if outcome == "ALIVE":
            log.warning("dispatcher speaks again", dispatcher=name, entries=taken_back)
            self._heard.pop(name, None)
        elif outcome == "OK":
            _deaths.inc()
            log.warning("dispatcher is dead", dispatcher=name, entries=taken_back)
            self._heard.pop(name, None)
            self._unheard.discard(name)
        _reclaimed.labels("dead").inc(taken_back)

    async def _take_back_stuck(self, suffixes: Sequence[str]) -> None:
        for suffix in suffixes:
            entries = await reclaim(self._queue, suffix, "", round(self._stuck_after * 1000), _BATCH)
            if entries:
                log.warning("entries stuck", stream=suffix, entries=len(entries))
                _reclaimed.labels("stuck").inc(len(entries))
                await self._count(entries)

    async def _count(self, entries: Sequence[Entry]) -> None:
        """Counts a crash on each message in hand, and ends those that have killed too many."""
        messages = sorted({entry.message for entry in entries})
        await count_crashes(self._database, messages)
        await mark_moved_on(self._database, entries)
        found = await killers(self._database, messages, self._crash_limit)
        if found:
            reason = f"quarantined: dispatchers died {self._crash_limit} times with nothing else in hand"
            ended = await end_unsendable(self._database, self._shard, found, Status.FAILED, reason)
            _quarantined.inc(ended)
            log.error("messages quarantined", messages=[str(message) for message in found])
