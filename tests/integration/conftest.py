"""Fixtures for tests of the stores alone: an open pool on the test's database, a queue on each kind of Redis."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from shared.database.connection import Database
from shared.queue.connection import QueueConnection
from shared.settings import DatabaseSettings, RedisSettings
from standalone.embedded_valkey import EmbeddedValkey
from tests.servers import Database as DatabaseOfTest
from tests.servers import heal, take_all_keys


def settings_of_database(database: DatabaseOfTest) -> DatabaseSettings:
    return DatabaseSettings(
        database_host=database.host,
        database_port=database.port,
        database_name=database.name,
        database_user=database.user,
        database_password=database.password,
        database_ssl_mode="disable",
    )


def settings_of_redis(server: EmbeddedValkey, queue_name: str) -> RedisSettings:
    return RedisSettings(
        redis_host=server.host,
        redis_port=server.port,
        redis_password=server.password,
        redis_queue_name=queue_name,
    )


@pytest.fixture
async def store(database: DatabaseOfTest) -> AsyncIterator[Database]:
    """The test's database through the pool that the services use."""
    pool = await Database(settings_of_database(database), size=12, application="test").open()
    yield pool
    await pool.close()


@pytest.fixture(params=["valkey", "redis"])
def either_redis(request: pytest.FixtureRequest) -> Iterator[EmbeddedValkey]:
    """Valkey and genuine Redis, emptied; afterwards only keys with a queue's hash tag may be left."""
    fixture = {"valkey": "redis_server", "redis": "genuine_redis_server"}[request.param]
    server: EmbeddedValkey = request.getfixturevalue(fixture)
    heal(server)
    take_all_keys(server)
    yield server
    heal(server)
    strangers = [key for key in take_all_keys(server) if not key.startswith("{queue_")]
    assert not strangers, f"keys in Redis that belong to no queue: {strangers}"


@pytest.fixture
async def queue(either_redis: EmbeddedValkey) -> AsyncIterator[QueueConnection]:
    """A queue of the test's own. It holds no epoch yet, so nothing can be taken from it."""
    connection = QueueConnection(settings_of_redis(either_redis, f"queue_{secrets.token_hex(6)}"))
    yield connection
    await connection.close()
