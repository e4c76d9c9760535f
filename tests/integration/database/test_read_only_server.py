"""Connections to a server that may not be written to any more, and their way to one that may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.database.connection import Database
from shared.errors import DatabaseUnavailable
from standalone.embedded_postgres import EmbeddedPostgres
from tests import servers
from tests.integration.conftest import settings_of_database
from tests.servers import database_of
from tests.standby import make_read_only, of_either, standby_of


async def each_connection(pool: Database, size: int, statement: str) -> set[int]:
    """Says a statement on ``size`` connections at once; their processes."""
    everybody = asyncio.Barrier(size)

    async def one() -> int:
        async with pool.connection() as connection:
            await everybody.wait()
            await connection.execute(statement)
            return int(await connection.fetchval("select pg_backend_pid()"))

    return set(await asyncio.gather(*(one() for _ in range(size))))


@pytest.fixture
async def three(database: servers.Database) -> AsyncIterator[Database]:
    pool = await Database(settings_of_database(database), 3, "test").open()
    yield pool
    await pool.close()


async def test_where_new_sessions_may_write_not_one_statement_fails(three: Database) -> None:
    await three.execute("create table noted (number integer)")
    # Reported of itself by Postgres 14 and newer, as of a primary that became a standby.
    old = await each_connection(three, 3, "set default_transaction_read_only = on")
    assert len(old) == 3
    await three.execute("insert into noted values (1)")
    assert not old & await each_connection(three, 3, "insert into noted values (2)"), "all were replaced"


@pytest.fixture
async def writing(three: Database) -> Database:
    """Its function ``writing`` is refused where the connection is an old one. As behind a pooler, nothing is reported."""
    await three.execute("create table noted (number integer)")
    await three.execute(
        "create function writing(number integer) returns void language plpgsql as $$ begin"
        " if current_setting('application_name') = 'old' then"
        "   raise read_only_sql_transaction using message = 'cannot execute INSERT in a read-only transaction';"
        " end if; insert into noted values (number); end $$"
    )
    return three


async def test_nor_where_only_the_refused_write_tells(writing: Database) -> None:
    old = await each_connection(writing, 3, "set application_name = 'old'")
    await writing.execute("select writing(1)")
    assert await writing.fetchval("select count(*) from noted") == 1, "repeated, not done twice"
    assert not old & await each_connection(writing, 3, "select writing(2)")


async def test_inside_a_transaction_it_is_away_once(writing: Database) -> None:
    await each_connection(writing, 3, "set application_name = 'old'")

    async def write() -> None:
        async with writing.transaction() as connection:
            await connection.execute("select writing(1)")

    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await write()
    await write()
    assert await writing.fetchval("select count(*) from noted") == 1


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    with (
        EmbeddedPostgres(tmp_path_factory.mktemp("primary"), durable=False) as primary,
        standby_of(primary, tmp_path_factory.mktemp("standby") / "data") as standby,
    ):
        yield primary, standby


async def test_the_one_that_may_be_written_to_is_found_wherever_it_stands(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres],
) -> None:
    primary, standby = pair
    for first, second in (pair, (standby, primary)):
        pool = await Database(settings_of_database(of_either(database_of(first, "postgres"), second)), 2, "test").open()
        assert await pool.fetchval("select inet_server_port()") == primary.port
        await pool.close()


async def test_a_server_that_is_read_only_answers_questions_and_says_why_it_takes_nothing(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres],
) -> None:
    primary, standby = pair
    servers.migrate(database_of(primary, "postgres"))
    settings = settings_of_database(database_of(standby, "postgres"))
    pool = await Database(settings, 2, "test", may_only_read=True).open()
    try:
        assert await pool.fetchval("select count(*) from messages") == 0
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await pool.execute("update control set epoch = epoch")
        with pytest.raises(DatabaseUnavailable, match=f"read-only: let DATABASE_HOST lead.*{standby.port}"):
            await pool.problem()
    finally:
        await pool.close()


async def test_who_acts_by_what_it_reads_asks_no_server_that_may_be_behind(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres],
) -> None:
    pool = await Database(settings_of_database(database_of(pair[1], "postgres")), 2, "test").open()
    try:
        for ask in (pool.fetchval("select 1"), pool.problem()):
            with pytest.raises(DatabaseUnavailable, match=f"read-only: let DATABASE_HOST lead.*{pair[1].port}"):
                await ask
    finally:
        await pool.close()


@pytest.mark.parametrize("may_only_read", [True, False])
async def test_a_primary_that_is_made_read_only_and_back(
    pair: tuple[EmbeddedPostgres, EmbeddedPostgres], may_only_read: bool
) -> None:
    primary, _ = pair
    servers.migrate(database_of(primary, "postgres"))
    settings = settings_of_database(database_of(primary, "postgres"))
    pool = await Database(settings, 2, "test", may_only_read).open()
    try:
        assert await pool.problem() == ""
        make_read_only(primary)
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await pool.execute("update control set epoch = epoch")
        with pytest.raises(DatabaseUnavailable, match="default_transaction_read_only"):
            await pool.problem()
        make_read_only(primary, read_only=False)
        await pool.execute("update control set epoch = epoch")
        assert await pool.problem() == ""
    finally:
        await pool.close()


async def test_a_standby_that_takes_over_is_followed(tmp_path: Path) -> None:
    with (
        EmbeddedPostgres(tmp_path / "primary", durable=False) as primary,
        standby_of(primary, tmp_path / "standby") as standby,
    ):
        either = settings_of_database(of_either(database_of(primary, "postgres"), standby))
        pool = await Database(either, 3, "test", may_only_read=True).open()
        try:
            await pool.execute("create table noted (number integer)")
            await each_connection(pool, 3, "insert into noted values (1)")
            primary.kill()
            with pytest.raises(DatabaseUnavailable, match="lost"):
                await pool.execute("insert into noted values (2)")
            with pytest.raises(DatabaseUnavailable, match="read-only"):
                await pool.execute("insert into noted values (2)")
            assert await pool.fetchval("select count(*) from noted") == 3, "it may be read meanwhile"
            standby.execute("select pg_promote()")
            await pool.execute("insert into noted values (3)")
            await each_connection(pool, 3, "insert into noted values (4)")
            assert await pool.fetchval("select count(*) from noted") == 7
        finally:
            await pool.close()
