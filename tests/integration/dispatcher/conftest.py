"""One simulated sender for the session, a stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from shared.database.connection import Database
from shared.queue.connection import QueueConnection
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.conftest import settings_of_redis
from tests.integration.dispatcher.stage import DEVICES, LOGIN, Sender, Stage
from tests.servers import ServiceProcess, StartService


@pytest.fixture(scope="session")
def sender_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    directory: Path = tmp_path_factory.mktemp("sender")
    arguments = ("--listen", "127.0.0.1:{port}", "--devices", ",".join(DEVICES), "--basic-auth", LOGIN)
    process = ServiceProcess(
        "simulator", {}, directory, arguments=(*arguments, "--latency", "20ms"), ready_path="/health"
    )
    process.launch()
    yield process
    process.kill()


@pytest.fixture
async def sender(sender_process: ServiceProcess) -> AsyncIterator[Sender]:
    await sender_process.ready()
    async with aiohttp.ClientSession() as session:
        sender = Sender(sender_process, session)
        await sender.reset()
        yield sender


@pytest.fixture
async def queue(redis_server: EmbeddedValkey, queue_name: str) -> AsyncIterator[QueueConnection]:
    connection = QueueConnection(settings_of_redis(redis_server, queue_name))
    yield connection
    await connection.close()


@pytest.fixture
def stage(store: Database, queue: QueueConnection, sender: Sender, start_service: StartService) -> Stage:
    return Stage(store, queue, sender, start_service)
