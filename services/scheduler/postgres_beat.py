"""Raises the beat number, and stops everything when Redis is ahead of Postgres: then Postgres went back.

A restored backup, or a standby that took over and had not received everything, has messages as waiting that were sent. The
number is raised in Postgres, committed there, and only then written to Redis, so in normal life Redis has at most what
Postgres has: also with two schedulers, and when an answer is lost. Dispatchers read it in Redis with every take and tell the
gate, which begins nothing while Postgres has less. So nothing is sent in the time that it takes to stop here.

The stop lasts until an operator confirms it (POST /api/start), which raises Postgres' number above that of Redis.

What it cannot tell: a Postgres that went back by less than the time since the last beat, also when no scheduler was alive;
and one that went back while Redis was lost too.
"""

from __future__ import annotations

import structlog
from prometheus_client import Counter

from shared.database.beat import Beat, beat_of_postgres, durability_problem, raise_beat, stop_after_going_back
from shared.database.connection import Database
from shared.queue.connection import QueueConnection
from shared.queue.rebuild import mark_beat, numbers_of_redis

log = structlog.get_logger()
_went_back = Counter("paceline_postgres_went_back_total", "Times that Postgres was found to have gone back")


class PostgresBeat:
    name = "postgres_beat"
    interval = 0.5
    """Seconds. What Postgres may lose unseen is shorter than this."""

    def __init__(self, queue: QueueConnection, database: Database) -> None:
        self._queue = queue
        self._database = database
        self._looked_at_durability = False

    async def step(self) -> None:
        await self._look_at_durability()
        # Redis first: what it has then is in Postgres before Postgres is asked.
        redis = Beat(*await numbers_of_redis(self._queue))
        number = await raise_beat(self._database, redis)
        if number is None:
            await self._stop(redis)
        elif not await mark_beat(self._queue, number):
            # Postgres went back between the two, to one that gave the same number again.
            await self._stop(Beat(redis.epoch, number + 1))

    async def _stop(self, redis: Beat) -> None:
        postgres = await beat_of_postgres(self._database)
        reason = (
            f"Postgres went back in time: it is at beat {postgres.number} of epoch {postgres.epoch}, Redis was at beat"
            f" {redis.number} of epoch {redis.epoch}. What was sent since may stand here as waiting, and what was accepted"
            " since is gone. Cancel or resolve what must not be sent again, then confirm by POST /api/start"
        )
        if await stop_after_going_back(self._database, redis, reason):
            _went_back.inc()
            log.error("postgres went back", postgres_beat=postgres.number, redis_beat=redis.number,
                      postgres_epoch=postgres.epoch, redis_epoch=redis.epoch)  # fmt: skip

    async def _look_at_durability(self) -> None:
        if self._looked_at_durability:
            return
        if problem := await durability_problem(self._database):
            log.warning("postgres may lose what it has committed", reason=problem)
        self._looked_at_durability = True
