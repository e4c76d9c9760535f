"""Where a request becomes work: committed in Postgres first, then enqueued, then answered.

Single sends that arrive together share one INSERT and one step in Redis (group commit); a lone one waits for nobody. An
enqueue that fails changes nothing for the caller: the row is there, and a scheduler enqueues what has no entry. Campaigns
and sends for later are not enqueued here at all: a scheduler does it while the queue has room, or when it is time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import prometheus_client
import structlog
from msgspec import Struct

from shared.database.campaigns import NewCampaign, analyze_messages, insert_campaign
from shared.database.connection import Database
from shared.database.messages import NewMessage, insert_separately, mark_not_enqueued
from shared.errors import DatabaseUnavailable, QueueUnavailable
from shared.messages import Entry
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.runtime.batching import Batcher
from shared.runtime.request_identity import traceparent_in_hand

log = structlog.get_logger()

_BATCH = 200

_accepted = prometheus_client.Counter("paceline_accepted_messages_total", "Messages accepted", ["lane", "type"])
_unqueued = prometheus_client.Counter(
    "paceline_enqueue_failures_total", "Accepted messages that a scheduler has to enqueue"
)


class _Asked(Struct, frozen=True):
    """``trace``: the traceparent of its request. It goes into the entry alone, see docs/decisions/0026."""

    message: NewMessage
    trace: str


class Acceptance:
    """``accept`` and ``accept_campaign`` return once the work is committed. ``close`` waits for what goes on behind."""

    def __init__(self, database: Database, queue: QueueConnection, chunk_size: int) -> None:
        self._database = database
        self._queue = queue
        self._chunk_size = chunk_size
        self._batcher: Batcher[_Asked, Exception | None] = Batcher(
            # One batch at once: two took 10 µs more for each message, since each was smaller and costs 300 µs by itself.
            self._commit,
            limit=_BATCH,
        )
        self._behind: set[asyncio.Task[None]] = set()

    async def accept(self, message: NewMessage) -> None:
        """Commits and enqueues a single send. Raises KeyTaken: nothing was done; DatabaseUnavailable: then it was not
        accepted, as far as can be known."""
        # A caller that hangs up does not take the message out of its batch.
        refused = await self._batcher.submit(_Asked(message, traceparent_in_hand()))
        if refused is not None:
            raise refused

    async def _commit(self, batch: Sequence[_Asked]) -> list[Exception | None]:
        refused = await insert_separately(self._database, [asked.message for asked in batch])
        await self._enqueue(batch, refused)
        return refused

    async def _enqueue(self, batch: Sequence[_Asked], refused: Sequence[Exception | None]) -> None:
        accepted = [asked for asked, error in zip(batch, refused, strict=True) if error is None]
        for (lane, kind), count in Counter(
            (one.message.draft.lane, one.message.draft.kind) for one in accepted
        ).items():
            _accepted.labels(lane.value, kind.value).inc(count)
        committed = [asked for asked in accepted if asked.message.draft.send_at is None]
        try:
            await enqueue(self._queue, [Placement(_entry(asked)) for asked in committed])
        except Exception as error:
            # Whatever it is, they are committed: who was told otherwise would send them again.
            _unqueued.inc(len(committed))
            unexpected = None if isinstance(error, QueueUnavailable) else error
            log.warning(
                "accepted, to be enqueued by a scheduler",
                messages=len(committed),
                reason=str(error),
                exc_info=unexpected,
            )
            await self._mark_not_enqueued([asked.message.id for asked in committed])

    async def _mark_not_enqueued(self, committed: Sequence[UUID]) -> None:
        try:
            await mark_not_enqueued(self._database, committed)
        except Exception as error:
            # The scheduler also finds them by their age.
            log.warning("could not be marked as not enqueued", messages=len(committed), reason=type(error).__name__)

    async def accept_campaign(self, campaign: NewCampaign) -> int:
        """Commits a campaign with all its messages; how many. Raises what ``insert_campaign`` does."""
        count = await insert_campaign(self._database, campaign, self._chunk_size)
        _accepted.labels(campaign.draft.lane.value, campaign.draft.kind.value).inc(count)
        task = asyncio.create_task(self._analyze(count))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)
        return count

    async def _analyze(self, inserted: int) -> None:
        try:
            await analyze_messages(self._database, inserted)
        except DatabaseUnavailable as error:
            log.info("messages not analyzed", reason=str(error))

    async def close(self) -> None:
        """Cancels what goes on behind answers that were given."""
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)


def _entry(asked: _Asked) -> Entry:
    message, chosen = asked.message, asked.message.draft.endpoint or ""
    return Entry(message.id, 1, message.draft.lane, endpoint=chosen, chosen=bool(chosen), trace=asked.trace)
