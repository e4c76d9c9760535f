"""The API does what its document says: requests that Schemathesis makes of it, right and wrong ones, get a described answer
in the described shape, and never an error of ours."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from services.gateway.openapi import openapi_document
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.servers import ServiceProcess, database_of, heal

EXAMPLES = 30
"""For each route; the whole takes about a minute."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
# Every request carries the login; who gets in without one is for the tests of access. The routes of the monitor are answered
# by another service under the same address. A stream does not end, so what it says is for the tests of the monitor.
DOCUMENT = schemathesis.openapi.from_dict(openapi_document() | {"security": []})
OF_GATEWAY = DOCUMENT.exclude(tag="Monitor")
OF_MONITOR = DOCUMENT.include(tag="Monitor").exclude(path="/api/statistics/stream")
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@dataclass(frozen=True)
class Served:
    gateway: str
    monitor: str
    login: tuple[str, str]


@pytest.fixture(scope="module")
async def served(
    postgres_server: EmbeddedPostgres,
    database_template: str,
    redis_server: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Served]:
    """A gateway and a monitor as processes, with a database of their own."""
    heal(postgres_server)
    heal(redis_server)
    name = f"test_{secrets.token_hex(6)}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {database_template} STRATEGY file_copy")
    directory: Path = tmp_path_factory.mktemp("served")
    login = ("tester", secrets.token_urlsafe(16))
    environment = database_of(postgres_server, name).environment | {
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "REDIS_PASSWORD": redis_server.password,
        "REDIS_QUEUE_NAME": f"queue_{secrets.token_hex(6)}",
        "API_HOST": "127.0.0.1",
        "WHATSAPP_ENDPOINTS": "http://127.0.0.1:9",
        "WHATSAPP_WEBHOOK_SECRET": secrets.token_urlsafe(16),
        "DASHBOARD_USERNAME": login[0],
        "DASHBOARD_PASSWORD": login[1],
        "FILE_STORAGE_ROOT": str(directory / "uploads"),
    }
    gateway, monitor = (ServiceProcess(f"services.{name}", environment, directory) for name in ("gateway", "monitor"))
    try:
        for service in (gateway, monitor):
            service.launch()
            await service.ready()
        yield Served(gateway.url, monitor.url, login)
    finally:
        for service in (gateway, monitor):
            service.kill()
            print(service.process.log_tail(5))
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@OF_GATEWAY.parametrize()
@MANY
def test_what_is_asked_gets_a_described_answer(case: schemathesis.Case, served: Served) -> None:
    case.call_and_validate(base_url=served.gateway, auth=served.login, checks=CHECKS, timeout=30)


@OF_MONITOR.parametrize()
@MANY
def test_so_it_does_from_the_monitor(case: schemathesis.Case, served: Served) -> None:
    # That nobody sends is health that is bad and described, a 503; any other error of ours is not described.
    checks = [check for check in CHECKS if check is not not_a_server_error]
    case.call_and_validate(base_url=served.monitor, auth=served.login, checks=checks, timeout=30)
