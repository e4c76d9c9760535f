"""A server that is no primary any more is left for the one that is: behind one address, and as sentinels name it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.errors import QueueUnavailable
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.streams import stream_length
from shared.queue.waking import waking
from shared.settings import RedisSettings
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.conftest import settings_of_redis
from tests.integration.queue.rota import build, client, dispatcher, entry, put
from tests.redis_servers import WATCHER, Sentinels, become_replica, replica_of, until_in_step
from tests.server_front import ServerFront
from tests.servers import redis_client

SHARED = "queue_of_failover"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[EmbeddedValkey, EmbeddedValkey]]:
    """A primary and its replica, with one password."""
    with (
        EmbeddedValkey(tmp_path / "one", password="its-password") as primary,
        replica_of(primary, tmp_path / "two") as replica,
    ):
        until_in_step(primary, replica)
        yield primary, replica


@pytest.fixture
async def front(pair: tuple[EmbeddedValkey, EmbeddedValkey]) -> AsyncIterator[ServerFront]:
    async with ServerFront(pair[0].host, pair[0].port) as front:
        yield front


async def test_behind_one_address_new_connections_reach_the_new_primary(
    pair: tuple[EmbeddedValkey, EmbeddedValkey], front: ServerFront
) -> None:
    primary, replica = pair
    settings = settings_of_redis(primary, SHARED).model_copy(update={"redis_port": front.port})
    queue = QueueConnection(settings)
    woken = asyncio.Event()
    await build(queue, ["a/0"])
    async with waking(queue, woken):
        # Several connections that are in nobody's hand now.
        await asyncio.gather(*(put(queue, entry()) for _ in range(10)))
        with redis_client(replica) as there:
            there.replicaof("NO", "ONE")
        become_replica(primary, replica)
        front.turn(replica.host, replica.port)
        with pytest.raises(QueueUnavailable, match="primary"):
            await put(queue, entry())
        # One refusal leaves that server with all connections.
        await asyncio.gather(*(put(queue, entry()) for _ in range(10)))
        async with asyncio.timeout(20):
            while True:
                woken.clear()
                await put(queue, entry())
                try:
                    async with asyncio.timeout(0.5):
                        await woken.wait()
                    break
                except TimeoutError:
                    continue
        with redis_client(replica) as there:
            assert there.client_list(_type="pubsub"), "it listens there as well"
    assert await queue.problem() == ""
    await queue.close()


async def test_what_only_reads_leaves_too(pair: tuple[EmbeddedValkey, EmbeddedValkey], front: ServerFront) -> None:
    """A monitor writes nothing, so nothing would refuse it."""
    primary, replica = pair
    queue = QueueConnection(settings_of_redis(primary, SHARED).model_copy(update={"redis_port": front.port}), 4)
    await build(queue, ["a/0"])
    with redis_client(replica) as there:
        there.replicaof("NO", "ONE")
    become_replica(primary, replica)
    front.turn(replica.host, replica.port)
    with pytest.raises(QueueUnavailable, match="read-only"):
        await queue.problem()
    assert await queue.problem() == ""
    assert int((await queue.ask("INFO", "server"))["tcp_port"]) == replica.port
    await queue.close()


async def test_sentinels_are_followed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(EmbeddedValkey(tmp_path / "one", password="its-password"))
        replica = stack.enter_context(replica_of(primary, tmp_path / "two"))
        until_in_step(primary, replica)
        sentinels = stack.enter_context(Sentinels(primary, tmp_path, count=3, password="of-sentinels"))
        settings = RedisSettings(
            redis_sentinels=sentinels.addresses,
            redis_sentinel_master=sentinels.name,
            redis_sentinel_username=WATCHER,
            redis_sentinel_password=SecretStr("of-sentinels"),
            redis_password=SecretStr(primary.password),
            redis_queue_name=SHARED,
        )
        queue = QueueConnection(settings)
        await build(queue, ["a/0"])
        await put(queue, entry(), entry())
        until_in_step(primary, replica)
        primary.kill()
        with pytest.raises(QueueUnavailable):
            await put(queue, entry())
        async with asyncio.timeout(60):
            while True:
                with suppress(QueueUnavailable):
                    await put(queue, entry())
                    break
                await asyncio.sleep(0.1)
        assert await stream_length(queue, Lane.TRANSACTIONAL) == 3
        assert int((await client(queue).info("server"))["tcp_port"]) == replica.port
        # It is another server, so nothing is taken before it was rebuilt.
        with pytest.raises(Exception, match="epoch"):
            await dispatcher(queue, "a").take(1)
        await queue.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"redis_sentinel_master": "nobody"}, "REDIS_SENTINEL_MASTER"),
        ({"redis_sentinel_password": SecretStr("wrong")}, "REDIS_SENTINEL_PASSWORD"),
        ({"redis_sentinels": ["127.0.0.1:9"]}, "REDIS_SENTINELS"),
    ],
)
async def test_sentinels_that_do_not_answer_are_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(EmbeddedValkey(tmp_path / "one", password="its-password"))
        sentinels = stack.enter_context(Sentinels(primary, tmp_path, count=1, password="of-sentinels"))
        settings = RedisSettings(
            redis_sentinels=sentinels.addresses,
            redis_sentinel_master=sentinels.name,
            redis_sentinel_password=SecretStr("of-sentinels"),
            redis_password=SecretStr(primary.password),
        )
        queue = QueueConnection(settings.model_copy(update=change))
        with pytest.raises(QueueUnavailable) as refused:
            await queue.problem()
        assert told in refused.value.reason
        await queue.close()
