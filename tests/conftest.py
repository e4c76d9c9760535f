"""Fixtures that all tests share: one Valkey and one Postgres a pytest process, a fresh database and queue a test.

A test that freezes or kills a server may leave it so: the fixture of the next one brings it back.
"""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from standalone.binaries import Flavour
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.servers import (
    Database,
    ServiceProcess,
    StartService,
    create_template,
    database_of,
    heal,
    take_all_keys,
)

# No test is timed: not an example, nor the making of the first one, for which tables of Unicode are read.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where the servers keep their data; not pytest's own, which would be kept three sessions long."""
    with tempfile.TemporaryDirectory(prefix="paceline-tests-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def redis_server(server_directory: Path) -> Iterator[EmbeddedValkey]:
    """The session's Valkey; TEST_REDIS=redis takes the genuine Redis 8 instead."""
    flavour: Flavour = "redis" if os.environ.get("TEST_REDIS") == "redis" else "valkey"
    with EmbeddedValkey(server_directory / "valkey", flavour=flavour) as server:
        yield server


@pytest.fixture(scope="session")
def genuine_redis_server(server_directory: Path) -> Iterator[EmbeddedValkey]:
    """A genuine Redis, for what must run on both."""
    with EmbeddedValkey(server_directory / "redis", flavour="redis") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[EmbeddedPostgres]:
    """The session's Postgres."""
    with EmbeddedPostgres(server_directory / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def database_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody connects to."""
    return create_template(postgres_server)


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, database_template: str) -> Iterator[Database]:
    """A migrated database of the test's own."""
    heal(postgres_server)
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy")
    yield database_of(postgres_server, name)
    heal(postgres_server)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def queue_name(redis_server: EmbeddedValkey) -> Iterator[str]:
    """A REDIS_QUEUE_NAME of the test's own; afterwards no key may exist that does not carry it."""
    heal(redis_server)
    take_all_keys(redis_server)
    name = f"queue_{secrets.token_hex(6)}"
    yield name
    heal(redis_server)
    strangers = [key for key in take_all_keys(redis_server) if not key.startswith(f"{{{name}}}")]
    assert not strangers, f"keys in Redis that belong to no queue: {strangers}"


@pytest.fixture
def service_environment(database: Database, redis_server: EmbeddedValkey, queue_name: str) -> dict[str, str]:
    """All that a service needs to run against the servers; nobody listens where its endpoint is."""
    return database.environment | {
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "REDIS_PASSWORD": redis_server.password,
        "REDIS_DATABASE": "0",
        "REDIS_QUEUE_NAME": queue_name,
        "API_HOST": "127.0.0.1",
        "WHATSAPP_ENDPOINTS": "http://127.0.0.1:9",
        "WHATSAPP_AUTHS": "user:password",
        "DASHBOARD_USERNAME": "tester",
        "DASHBOARD_PASSWORD": secrets.token_urlsafe(16),
        "LOG_LEVEL": "info",
    }


@pytest.fixture
async def start_service(service_environment: dict[str, str], tmp_path: Path) -> AsyncIterator[StartService]:
    """`await start_service("services.gateway", RATE_PROFILE="bulk")`: a ready process; all are gone after the test.

    Options of ServiceProcess (`arguments`, `port`, `ready_path`) go by their names, settings in capitals.
    `wait=False` does not wait until it is ready.
    """
    started: list[ServiceProcess] = []

    async def start(module: str, *, wait: bool = True, **options: Any) -> ServiceProcess:
        settings = {name: options.pop(name) for name in list(options) if name.isupper()}
        service = ServiceProcess(module, service_environment | settings, tmp_path, warm=True, **options)
        service.launch()
        started.append(service)
        if wait:
            await service.ready()
        return service

    yield start
    for service in started:
        service.kill()
        # Shown by pytest when the test has failed.
        print(f"--- {service.name}, ended with {service.process.exit_code}\n{service.process.log_tail(60)}")
