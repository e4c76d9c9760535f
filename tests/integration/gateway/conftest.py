"""A gateway inside the test against real Postgres and Valkey, and a client that is logged in."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.gateway.app import build_app
from services.gateway.app_keys import DATABASE
from services.gateway.settings import GatewaySettings
from services.gateway.shapes import Answer
from shared.queue.connection import QueueConnection
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.conftest import settings_of_redis
from tests.servers import database_of, heal

Client = TestClient[web.Request, web.Application]
StartGateway = Callable[..., Awaitable[Client]]


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """FILE_STORAGE_ROOT of the gateway."""
    return tmp_path / "uploads"


async def gateway_client(environment: Mapping[str, str], uploads: Path, login: bool = True, **changes: Any) -> Client:
    """A client of a gateway with these settings, logged in unless told otherwise; close it."""
    values: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    settings = GatewaySettings(**values | {"file_storage_root": str(uploads)} | changes)
    authorization = aiohttp.encode_basic_auth("tester", environment["DASHBOARD_PASSWORD"])
    client = TestClient(TestServer(build_app(settings)), headers={"Authorization": authorization} if login else {})
    await client.start_server()
    return client


@pytest.fixture(scope="module")
async def strict_environment(
    postgres_server: EmbeddedPostgres, database_template: str, redis_server: EmbeddedValkey
) -> AsyncIterator[dict[str, str]]:
    """One database for all tests of a module that leave nothing in it; a fresh one each would take most of their time."""
    heal(postgres_server)
    heal(redis_server)
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy")
    yield database_of(postgres_server, name).environment | {
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "REDIS_PASSWORD": redis_server.password,
        "REDIS_QUEUE_NAME": f"queue_{secrets.token_hex(6)}",
        "WHATSAPP_ENDPOINTS": "http://127.0.0.1:9",
        "DASHBOARD_USERNAME": "tester",
        "DASHBOARD_PASSWORD": secrets.token_urlsafe(16),
    }
    heal(postgres_server)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def strict_uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FILE_STORAGE_ROOT of `gateway`."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
async def gateway(strict_environment: dict[str, str], strict_uploads: Path) -> AsyncIterator[Client]:
    """A gateway for tests with `nothing_is_queued`."""
    client = await gateway_client(strict_environment, strict_uploads, max_body_size=100_000)
    yield client
    await client.close()


@pytest.fixture
async def nothing_is_queued(gateway: Client, strict_uploads: Path) -> AsyncIterator[None]:
    """Afterwards nothing is in Postgres, and no upload on disk."""
    yield
    rows = await gateway.server.app[DATABASE].fetch(
        "select id from messages union all select token from campaigns union all select message from due"
        " union all select id from media union all select media from media_blocks"
    )
    assert rows == []
    assert files_in(strict_uploads) == []


@pytest.fixture
async def start_gateway(service_environment: dict[str, str], uploads: Path) -> AsyncIterator[StartGateway]:
    """`await start_gateway(bulk_chunk_size=2)`: a client of a gateway with these settings; `login=False`: as anybody."""
    clients: list[Client] = []

    async def start(login: bool = True, **changes: Any) -> Client:
        client = await gateway_client(service_environment, uploads, login, **changes)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


@pytest.fixture
async def client(start_gateway: StartGateway) -> Client:
    return await start_gateway()


@pytest.fixture
async def entries(
    redis_server: EmbeddedValkey, queue_name: str
) -> AsyncIterator[Callable[..., Awaitable[list[dict[str, str]]]]]:
    """`await entries("transactional")`: the fields of the entries in a stream of the gateway's queue."""
    queue = QueueConnection(settings_of_redis(redis_server, queue_name))

    async def read(stream: str) -> list[dict[str, str]]:
        lines = await queue.redis.xrange(f"{queue.keys.prefix}:{stream}")
        return [dict(line[1]) for line in lines]

    yield read
    await queue.close()


async def results(response: aiohttp.ClientResponse, shape: type[Answer], status: int = 200) -> dict[str, Any]:
    """The results of a successful answer, which have exactly the documented shape."""
    body = await response.json()
    assert response.status == status, body
    assert body["code"] == "SUCCESS"
    assert body["message"]
    found: dict[str, Any] = body["results"]
    shape.model_validate(found)
    return found


async def refused_fields(response: aiohttp.ClientResponse, status: int) -> list[str]:
    """The fields that an error names, in the envelope."""
    body = await response.json()
    assert response.status == status, body
    assert body["code"].isupper()
    assert body["message"]
    return [error["field"] for error in body.get("results", {}).get("errors", [])]
