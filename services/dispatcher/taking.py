"""Takes assignments while there is room, peeks at their messages, and hands those that may be sent to their delivery.

A sliding window, not batches: each message that ends makes room for the next, and none waits for the slowest of its batch.
What peek refuses is settled at once, without a pause for the account and before anybody sees "typing…".

A message with which dispatchers have died twice is handled alone, when nothing else is in hand, no other such message
either: if it kills again, it takes no neighbour with it, and from then on its deaths count against it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import structlog
from prometheus_client import Gauge

from services.dispatcher.breakers import Breakers
from services.dispatcher.delivering import HOLD_LIMIT, Delivery
from services.dispatcher.rate import CurrentRate
from services.dispatcher.settlement import SettlementWriter, put_back
from services.dispatcher.stages import TakenMessage
from shared.clock import boottime
from shared.database.attempts import PeekedMessage, count_shard, end_unsendable, peek
from shared.database.connection import Database
from shared.errors import RebuildNeeded, StoreUnavailable
from shared.messages import Refusal, Status
from shared.observability.log_context import now_about
from shared.queue.taking import Assignment, Settlement, Taken, Taking

log = structlog.get_logger()
_in_hand = Gauge("paceline_messages_in_hand", "Messages between take and settlement")
_IDLE_WAIT = 1.0
"""Seconds a dispatcher waits at most while there is no entry, in case a wake-up was lost."""
_WAITING_WAIT = 0.1
"""Seconds it waits at most while entries wait: another one may give back a slot that can send at once."""
_GATHER_SECONDS = 0.005
"""Seconds to wait for more room before taking few."""
_AWAY_WAIT = 0.5
_LOST_TAKE_SECONDS = 20.0
_TAKE_BACK_INTERVAL = 2.0
_ENDS_AT_PEEK = {
    Refusal.EXPIRED: (Status.EXPIRED, "it was not sent before its expiry"),
    Refusal.SUPPRESSED: (Status.SUPPRESSED, "the recipient has opted out"),
}


class TakingLoop:
    def __init__(
        self,
        taking: Taking,
        database: Database,
        delivery: Delivery,
        writer: SettlementWriter,
        breakers: Breakers,
        rate: CurrentRate,
        dispatcher: str,
        capacity: int,
        batch: int,
        woken: asyncio.Event,
        stopping: asyncio.Event,
        streams: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """``streams``: the suffixes of all streams that may have entries, as they are now."""
        self._taking = taking
        self._database = database
        self._delivery = delivery
        self._writer = writer
        self._breakers = breakers
        self._rate = rate
        self._shard = count_shard(dispatcher)
        self._capacity = capacity
        self._batch = min(batch, capacity)
        self._woken = woken
        self._stopping = stopping
        self._streams = streams
        self._room = asyncio.Event()
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._lost_take_at = float("-inf")
        self._take_back_at = 0.0
        self._suspects: deque[tuple[Assignment, float]] = deque()
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Until the service stops; then waits for what is in hand."""
        away = False
        while not self._stopping.is_set():
            if self._suspects:
                await self._handle_alone(*self._suspects.popleft())
                continue
            room = await self._room_for_some()
            if room <= 0:
                continue
            taken_at = boottime()
            self._woken.clear()
            try:
                await self._take_back_lost()
                taken = await self._taking.take(min(room, self._batch))
            except (StoreUnavailable, RebuildNeeded) as error:
                if not away:
                    log.warning("takes nothing", reason=str(error))
                away = True
                self._lost_take_at = boottime()
                await self._wait(_AWAY_WAIT)
                continue
            except Exception:
                # A dispatcher that takes nothing any more must not look alive.
                log.exception("take failed")
                away = True
                await self._wait(_AWAY_WAIT)
                continue
            if away:
                log.info("takes again")
                away = False
            await self._follow_rate(taken.control_version)
            if taken.assignments:
                self._count(len(taken.assignments))
                crowd = [assignment for assignment in taken.assignments if not assignment.entry.alone]
                self._suspects += [(assignment, taken_at) for assignment in taken.assignments if assignment.entry.alone]
                if crowd:
                    self._start(self._peek_and_deliver(crowd, taken_at))
            else:
                await self._wait(_idle_seconds(taken))
        await self._finish()

    async def _room_for_some(self) -> int:
        """Waits for room; when there is little, a moment longer, since taking ones and twos costs many times as much."""
        while (room := self._capacity - self._held) < self._batch:
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), None if room <= 0 else _GATHER_SECONDS)
            except TimeoutError:
                return self._capacity - self._held
        return room

    async def _take_back_lost(self) -> None:
        """After a take without an answer: gives back what it may have taken all the same. A server that was frozen may
        still do that take a little later, so this is repeated for a while."""
        if boottime() - self._lost_take_at > _LOST_TAKE_SECONDS or boottime() < self._take_back_at:
            return
        slots, entries = await self._taking.take_back(await self._streams())
        self._take_back_at = boottime() + _TAKE_BACK_INTERVAL
        if slots or entries:
            log.warning("gave back what a lost take had taken", slots=slots, entries=entries)

    async def _follow_rate(self, version: str) -> None:
        try:
            await self._rate.follow(version)
        except StoreUnavailable as error:
            # What was taken is in hand all the same; the next take tells of the version again.
            log.warning("keeps its rate profile", reason=str(error))

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return

    async def _handle_alone(self, suspect: Assignment, taken_at: float) -> None:
        await self._put_back_suspects()
        await self._all_ended()
        self._start(self._peek_and_deliver([suspect], taken_at))
        await self._all_ended()

    async def _all_ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _put_back_suspects(self) -> None:
        """Those that wait here: a death is counted on all that is in hand, and would quarantine them beside the killer."""
        others = [suspect for suspect, _ in self._suspects]
        self._suspects.clear()
        await asyncio.gather(*(self._writer.release(put_back(suspect)) for suspect in others))
        self._count(-len(others))

    async def _finish(self) -> None:
        await self._put_back_suspects()
        await self._all_ended()

    def _count(self, change: int) -> None:
        self._held += change
        _in_hand.set(self._held)
        room = self._capacity - self._held
        if change < 0 and (room >= self._batch or room <= -change):
            self._room.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery failed", exc_info=error)

    async def _deliver(self, taken: TakenMessage) -> None:
        now_about(taken.assignment.entry)
        try:
            await self._delivery.deliver(taken)
        finally:
            self._count(-1)

    async def _peek_and_deliver(self, assignments: Sequence[Assignment], taken_at: float) -> None:
        messages = await self._peek(assignments, taken_at)
        if messages is None:
            await asyncio.gather(*(self._writer.release(put_back(assignment)) for assignment in assignments))
            self._count(-len(assignments))
            return
        refused: list[tuple[Assignment, Refusal]] = []
        for assignment in assignments:
            message = messages.get(assignment.entry.message)
            refusal = _refusal(message, assignment)
            if message is None or refusal is not None:
                refused.append((assignment, refusal or Refusal.MOVED_ON))
            else:
                self._start(self._deliver(TakenMessage(assignment, message, taken_at)))
        if refused:
            await self._drop(refused)
            self._count(-len(refused))

    async def _peek(self, assignments: Sequence[Assignment], taken_at: float) -> dict[Any, PeekedMessage] | None:
        """The messages, as soon as Postgres answers; None when that lasts too long."""
        while True:
            try:
                return await peek(self._database, [assignment.entry.message for assignment in assignments])
            except StoreUnavailable:
                if self._stopping.is_set() or boottime() - taken_at > HOLD_LIMIT / 2:
                    return None
                await asyncio.sleep(_AWAY_WAIT)

    async def _drop(self, refused: Sequence[tuple[Assignment, Refusal]]) -> None:
        """Ends what may not be sent any more, and gives all slots of the refused back as they were."""
        for refusal, (status, reason) in _ENDS_AT_PEEK.items():
            ids = [assignment.entry.message for assignment, why in refused if why is refusal]
            if ids:
                try:
                    await end_unsendable(self._database, self._shard, ids, status, reason)
                except StoreUnavailable as error:
                    # The entry goes; the sweep enqueues the row again, and it is refused again.
                    log.warning("not ended", status=status.value, reason=str(error))
        await asyncio.gather(*(self._writer.release(Settlement(assignment)) for assignment, _ in refused))


def _refusal(message: PeekedMessage | None, assignment: Assignment) -> Refusal | None:
    if message is None or message.attempt != assignment.entry.attempt - 1:
        return Refusal.MOVED_ON
    return message.refusal


def _idle_seconds(taken: Taken) -> float:
    return _IDLE_WAIT if taken.wait_ms is None else min(_WAITING_WAIT, taken.wait_ms / 1000)
