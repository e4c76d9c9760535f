"""Messages that wait outside a chunk end when their time is over, also while no account could take them."""

from __future__ import annotations

from uuid import UUID

from prometheus_client import Counter

from shared.database.attempts import end_unsendable
from shared.database.connection import Database
from shared.database.due import expired_after
from shared.messages import Status

_expired = Counter("paceline_expired_messages_total", "Messages that ended unsent because their time was over")
_BATCH = 2000
_START = UUID(int=0)


class ExpiredMessages:
    """Goes round: no index says which message expires next, so each step looks at the next 2,000."""

    name = "expired_messages"
    interval = 2.0

    def __init__(self, database: Database, shard: int) -> None:
        self._database = database
        self._shard = shard
        self._cursor = _START

    async def step(self) -> None:
        expired, following = await expired_after(self._database, self._cursor, _BATCH)
        if expired:
            reason = "it was not sent before its expiry"
            _expired.inc(await end_unsendable(self._database, self._shard, expired, Status.EXPIRED, reason))
        self._cursor = following or _START
