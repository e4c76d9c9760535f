"""Behind a pooler that lends connections by transaction, with and without its being noticed in advance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import asyncpg
import pytest
import structlog

from shared.database.connection import Database
from shared.errors import DatabaseUnavailable
from tests import servers
from tests.integration.conftest import settings_of_database
from tests.servers import StartService
from tests.transaction_pooler import transaction_pooler

SIZE = 4
EXPLICITLY = {"database_statement_cache_size": 100}


@pytest.fixture
async def pooled(database: servers.Database) -> AsyncIterator[servers.Database]:
    """The test's database by way of a pooler."""
    async with transaction_pooler(database.host, database.port) as pooler:
        yield replace(database, port=pooler.port)


async def open_pool(database: servers.Database, **settings: Any) -> Database:
    return await Database(settings_of_database(database).model_copy(update=settings), SIZE, "test").open()


async def ask(pool: Database, number: int) -> None:
    """One of several statements, as a request would."""
    columns = ", ".join(f"{number} as c{column}" for column in range(1 + number % 7))
    row = await pool.fetchrow(f"select {columns}, $1::text as told", str(number))
    assert row is not None
    assert (row[0], row["told"]) == (number, str(number))


async def test_the_pooler_lends_as_one_does(pooled: servers.Database) -> None:
    """Otherwise the tests below would say nothing."""
    connection, other = [await asyncpg.connect(pooled.dsn, ssl=False) for _ in range(2)]
    try:
        statement = "select $1::int"
        assert await connection.fetchval(statement, 1) == 1
        with pytest.raises(asyncpg.InvalidSQLStatementNameError):
            await connection.fetchval(statement, 2)
    finally:
        connection.terminate()
        other.terminate()


async def test_it_is_noticed_and_not_one_statement_fails(pooled: servers.Database) -> None:
    pool = await open_pool(pooled)
    try:
        with structlog.testing.capture_logs() as logs:
            for _ in range(5):
                await asyncio.gather(*(ask(pool, number) for number in range(12)))
            async with pool.transaction() as connection:
                await connection.execute("create table noted (number integer)")
                await connection.copy_records_to_table("noted", records=[(number,) for number in range(500)])
        assert await pool.fetchval("select count(*) from noted") == 500
        assert await pool.problem() == ""
        [told] = [line for line in logs if line["event"] == "keeps no prepared statements"]
        assert "DATABASE_STATEMENT_CACHE_SIZE=0" in told["reason"]
    finally:
        await pool.close()


async def test_a_service_says_so(pooled: servers.Database, start_service: StartService) -> None:
    gateway = await start_service("services.gateway", **pooled.environment)
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/ready") as response:
        told = await response.json()
    assert (response.status, told["problems"]) == (200, [])
    assert ["DATABASE_STATEMENT_CACHE_SIZE=0" in note for note in told["remarks"]] == [True]


async def test_set_explicitly_it_is_given_up_at_the_first_lost_statement(pooled: servers.Database) -> None:
    pool = await open_pool(pooled, **EXPLICITLY)
    try:
        with structlog.testing.capture_logs() as logs:
            for _ in range(5):
                await asyncio.gather(*(ask(pool, number) for number in range(12)))
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["keeps no prepared statements"]
    finally:
        await pool.close()


async def test_a_lost_statement_inside_a_transaction_is_postgres_being_away(database: servers.Database) -> None:
    pool = await open_pool(database, **EXPLICITLY)

    async def twice() -> None:
        async with pool.transaction() as connection:
            await connection.fetchval("select $1::int", 1)
            await connection.execute("deallocate all")
            await connection.fetchval("select $1::int", 2)

    try:
        with pytest.raises(DatabaseUnavailable, match="DATABASE_STATEMENT_CACHE_SIZE=0"):
            await twice()
        await twice()
    finally:
        await pool.close()


async def test_statements_are_kept_where_there_is_no_pooler(database: servers.Database) -> None:
    pool = await open_pool(database)
    try:
        for _ in range(2):
            await pool.fetchval("select $1::int", 1)
        async with pool.connection() as connection:
            names = await connection.fetch("select statement from pg_prepared_statements")
        assert "select $1::int" in {row["statement"] for row in names}
    finally:
        await pool.close()
