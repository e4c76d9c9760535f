"""Makes next months' partitions, drops old ones, and forgets what else is old: kept answers, what people wrote, names of sent
files, minutes of the statistics."""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from shared.database.connection import Database
from shared.database.conversations import forget_heard
from shared.database.idempotency import prune_answers
from shared.database.retention import drop_old_partitions, ensure_partitions, forget_dropped
from shared.database.sent_names import prune_sent_names
from shared.errors import DatabaseUnavailable
from shared.queue.connection import QueueConnection, clock_ms
from shared.queue.figures import drop_old_minutes

log = structlog.get_logger()
_dropped = Counter("paceline_months_dropped_total", "Months of messages deleted because they were too old")
_TABLES_IN_USE_WAIT = 60.0
"""Seconds; each try holds up the gates for 0.1 s."""
_SENT_NAMES = 8 * 24 * 3600.0
"""Seconds; an outcome is looked up within hours, and a name still in use is noted again each day."""
_BATCH = 1000
_NUMBERS_KEPT = 400 * 86_400.0
"""Seconds since an event named a hidden id with its number: somebody opts out after a year, too."""
_IDS = 10_000
"""WhatsApp ids looked at together, which takes 20 ms."""


class Retention:
    name = "retention"
    interval = 900.0

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        history_seconds: float,
        answer_seconds: float,
        inbound_seconds: float,
    ) -> None:
        """``history_seconds``: how long months are kept after their end, 0: for ever. ``answer_seconds``: how long answers
        are kept under their Idempotency-Key. ``inbound_seconds``: how long it is known who wrote what to which account."""
        self._queue = queue
        self._database = database
        self._history_seconds = history_seconds
        self._answer_seconds = answer_seconds
        self._inbound_seconds = inbound_seconds

    async def step(self) -> float | None:
        """A minute where months could not be made or dropped, since the tables were in use."""
        wait = None
        try:
            await self._make_and_drop_months()
        except DatabaseUnavailable as error:
            # Somebody reads the tables for long, such as an export. To try at once again would hold up every gate meanwhile.
            log.info("months stay as they are", reason=str(error))
            wait = _TABLES_IN_USE_WAIT
        if self._history_seconds:
            while await forget_dropped(self._database, _IDS):
                pass
        while await prune_answers(self._database, self._answer_seconds, _BATCH) == _BATCH:
            pass
        await prune_sent_names(self._database, _SENT_NAMES)
        keep_numbers = max(self._inbound_seconds, _NUMBERS_KEPT)
        while await forget_heard(self._database, self._inbound_seconds, keep_numbers, _BATCH) == _BATCH:
            pass
        await drop_old_minutes(self._queue, await clock_ms(self._queue))
        return wait

    async def _make_and_drop_months(self) -> None:
        made = await ensure_partitions(self._database)
        if made:
            log.info("partitions made", months=made)
        while self._history_seconds and (months := await drop_old_partitions(self._database, self._history_seconds)):
            _dropped.inc(len(months))
            log.warning("months dropped", months=months)
