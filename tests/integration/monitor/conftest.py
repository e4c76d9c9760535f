"""A monitor beside a queue that is built, and what a test needs to move it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from shared.queue.connection import QueueConnection
from shared.settings import RedisSettings
from standalone.embedded_valkey import EmbeddedValkey
from tests.servers import ServiceProcess

Ask = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def authorization(service_environment: dict[str, str]) -> dict[str, str]:
    """Headers of a caller with a login."""
    login = aiohttp.encode_basic_auth("tester", service_environment["DASHBOARD_PASSWORD"])
    return {"Authorization": login}


@pytest.fixture
async def services_queue(redis_server: EmbeddedValkey, queue_name: str) -> AsyncIterator[QueueConnection]:
    """The queue that the services of this test use."""
    settings = RedisSettings(
        redis_host=redis_server.host,
        redis_port=redis_server.port,
        redis_password=redis_server.password,
        redis_queue_name=queue_name,
    )
    connection = QueueConnection(settings)
    yield connection
    await connection.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_read=20)) as session:
        yield session


@pytest.fixture
def ask(client: aiohttp.ClientSession, authorization: dict[str, str]) -> Ask:
    """`await ask(monitor, path)`: status and body; `login=False` asks as anybody."""

    async def get(service: ServiceProcess, path: str, login: bool = True) -> tuple[int, dict[str, Any]]:
        async with client.get(service.url + path, headers=authorization if login else {}) as response:
            body: dict[str, Any] = await response.json()
            return response.status, body

    return get


async def until(ask_once: Callable[[], Awaitable[Any]], right: Callable[[Any], bool], seconds: float = 20) -> Any:
    """The first answer that is right. Raises AssertionError with the last one."""
    answer: Any = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = await ask_once()
                if right(answer):
                    return answer
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s; the last answer was {answer}") from None
