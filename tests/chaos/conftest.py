"""The whole as in the stories, and proxies that make the network between its parts fail on command."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.chaos.fault_proxy import FaultProxy
from tests.servers import Database, database_of, migrate
from tests.stories.conftest import Paceline, paceline, until

__all__ = ["paceline"]

MakePaceline = Callable[..., Awaitable[Paceline]]
DEAD_AFTER = "10s"
"""The least that the setting allows."""


@pytest.fixture
async def postgres_proxy(postgres_server: EmbeddedPostgres) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
async def redis_proxy(redis_server: EmbeddedValkey) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def lasting_valkey(tmp_path: Path, service_environment: dict[str, str]) -> Iterator[EmbeddedValkey]:
    """A Valkey of the test's own that keeps its data in a file; the services use it."""
    with EmbeddedValkey(tmp_path / "valkey", append_only=True) as valkey:
        service_environment.update({"REDIS_PORT": str(valkey.port), "REDIS_PASSWORD": valkey.password})
        yield valkey


@pytest.fixture
def lasting_postgres(server_directory: Path, service_environment: dict[str, str]) -> Iterator[EmbeddedPostgres]:
    """A Postgres of the test's own, whose data directory may be exchanged; the services use it."""
    directory = server_directory / f"postgres-{secrets.token_hex(4)}"
    with EmbeddedPostgres(directory, durable=False) as postgres:
        postgres.execute("create database own")
        migrate(database_of(postgres, "own"))
        service_environment.update(database_of(postgres, "own").environment)
        yield postgres
    shutil.rmtree(directory)


@dataclass(frozen=True, slots=True)
class Truth:
    """What stands in Postgres, read past all proxies; each time anew, since Postgres may have been killed."""

    dsn: str

    async def value(self, statement: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    async def attempt_is_open(self) -> None:
        """Waits until a gate has passed and its verdict is not written."""

        async def look() -> bool:
            return bool(await self.value("select exists (select from open_attempts)"))

        await until(look, "an attempt is open")

    async def start_limit_is_over(self) -> None:
        """Waits until what has passed the gate may not be sent any more."""

        async def look() -> bool:
            return bool(
                await self.value("select max(started_at) < clock_timestamp() - interval '5.5 s' from open_attempts")
            )

        await until(look, "START_LIMIT is over")


@pytest.fixture
def truth(database: Database) -> Truth:
    return Truth(database.dsn)


async def typing_shown(whole: Paceline, phone: str = "") -> None:
    """Waits until the sender has been told of typing (to this phone)."""

    async def look() -> bool:
        lines = (await whole.simulate("GET", "ledger"))["entries"]
        return any(line["kind"] == "chat-presence" and phone in (line["phone"] or "") for line in lines)

    await until(look, "typing is shown")


async def send_arrived(whole: Paceline) -> None:
    """Waits until a send has reached the sender."""

    async def look() -> bool:
        return bool(await whole.sends())

    await until(look, "a send arrived")


async def text(whole: Paceline, phone: str = "15550100001", **fields: Any) -> str:
    """Sends a text; its id."""
    body = {"phone": phone, "message": f"hello {phone}", **fields}
    return str((await whole.call("POST", "/api/send/message", 202, json=body))["message_id"])


async def warmed_up(whole: Paceline) -> None:
    """One message has gone through, so that all statements are prepared: the next call of the gate is one request and one
    reply."""
    await whole.message_in(await text(whole, "15550109999"), "sent")
    await whole.simulate("DELETE", "ledger")


def verdicts(message: dict[str, Any]) -> list[str]:
    return [attempt["verdict"] for attempt in message["attempts"]]
