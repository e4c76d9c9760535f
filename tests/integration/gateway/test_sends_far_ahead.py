"""Sends far in the future wait in Postgres alone: Redis does not grow with them, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.gateway import shapes
from services.scheduler.campaigns.feeding import Feeding
from services.scheduler.campaigns.starting import Starting
from services.scheduler.due_messages import DueMessages
from services.scheduler.rate_in_force import RateInForce
from services.scheduler.redis_rebuild import RedisRebuild
from services.scheduler.settings import SchedulerSettings
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.database.connection import Database
from shared.endpoints.identity import endpoints_of
from shared.endpoints.pacing import profile_of
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.runtime.wiring import Role
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.conftest import settings_of_redis
from tests.integration.gateway.conftest import Client, results

SINGLES = 120
RECIPIENTS = 300


class Scheduler:
    """The loops of a scheduler that put work into Redis, one step at a time."""

    def __init__(self, queue: QueueConnection, store: Database, settings: SchedulerSettings) -> None:
        endpoints = endpoints_of(settings)
        rate = RateInForce(profile_of(settings))
        self.queue = queue
        self._rebuild = RedisRebuild(queue, store, rate, endpoints, 1)
        self._loops: list[Role] = [
            Starting(store),
            UnqueuedMessages(queue, store, 1000),
            Feeding(queue, store, 1000, endpoints),
            DueMessages(queue, rate, 1000),
        ]

    async def rounds(self, count: int = 3) -> None:
        await self._rebuild.step()
        for _ in range(count):
            for loop in self._loops:
                await loop.step()

    async def work_in_redis(self) -> int:
        """Entries of the lanes and parked ones."""
        keys = self.queue.keys
        lengths = [int(await self.queue.ask("XLEN", keys.lane(lane))) for lane in Lane]
        return sum(lengths) + int(await self.queue.ask("ZCARD", keys.scheduled))

    async def bytes_in_redis(self) -> int:
        keys = await self.queue.ask("KEYS", self.queue.keys.everything())
        return sum([int(await self.queue.ask("MEMORY USAGE", key, "SAMPLES", 0)) for key in keys])


@pytest.fixture
async def scheduler(
    redis_server: EmbeddedValkey, queue_name: str, store: Database, service_environment: dict[str, str]
) -> AsyncIterator[Scheduler]:
    queue = QueueConnection(settings_of_redis(redis_server, queue_name))
    settings = SchedulerSettings(**{name.lower(): value for name, value in service_environment.items()})  # type: ignore[arg-type]
    yield Scheduler(queue, store, settings)
    await queue.close()


async def accept(client: Client, **ahead: float) -> None:
    """Singles and one campaign for then."""
    send_at = (datetime.now(UTC) + timedelta(**ahead)).isoformat()
    for number in range(SINGLES):
        body = {"phone": f"1555010{number:04d}", "message": "hi", "send_at": send_at}
        await results(await client.post("/api/send/message", json=body), shapes.AcceptedMessage, 202)
    numbers = [f"1555020{number:04d}" for number in range(RECIPIENTS)]
    body = {"phone": ",".join(numbers), "message": "hi", "send_at": send_at}
    await results(await client.post("/api/send/message", json=body), shapes.AcceptedCampaign, 202)


async def test_redis_does_not_grow_with_them(client: Client, store: Database, scheduler: Scheduler) -> None:
    await scheduler.rounds()
    before = await scheduler.bytes_in_redis()
    await accept(client, minutes=11)
    await scheduler.rounds()
    assert await scheduler.work_in_redis() == 0
    assert await scheduler.bytes_in_redis() == before
    # Whatever marks waiting work as not enqueued must not bring them in either.
    await scheduler.queue.ask("FLUSHALL")
    await scheduler.rounds()
    await store.execute("select set_stopped_lanes('{bulk,transactional}', 'test')")
    await store.execute("select set_stopped_lanes('{}', null)")
    await scheduler.rounds()
    assert await scheduler.work_in_redis() == 0
    waiting = await store.fetchval("select count(*) from messages where status = 'queued'")
    assert waiting == SINGLES + RECIPIENTS


async def test_they_are_enqueued_when_their_time_has_come(
    client: Client, store: Database, scheduler: Scheduler
) -> None:
    await accept(client, hours=2)
    await scheduler.rounds()
    assert await scheduler.work_in_redis() == 0
    await store.execute("update due set due_at = due_at - interval '2 hours'")
    await store.execute("update campaigns set send_at = send_at - interval '2 hours'")
    await scheduler.rounds()
    keys = scheduler.queue.keys
    assert await scheduler.queue.ask("XLEN", keys.lane(Lane.TRANSACTIONAL)) == SINGLES
    assert await scheduler.queue.ask("XLEN", keys.lane(Lane.BULK)) == RECIPIENTS
