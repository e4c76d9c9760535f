"""What every connection of the pool keeps, however often it is lent."""

from __future__ import annotations

import traceback

import asyncpg
import pytest

from shared.database.connection import Database
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings
from tests import servers
from tests.integration.conftest import settings_of_database


async def test_limits_last_as_long_as_the_connection(
    database: servers.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    pool = await Database(DatabaseSettings(), 1, "test").open()
    try:
        seen = set()
        for _ in range(3):
            row = await pool.fetchrow(
                "select pg_backend_pid(), current_setting('statement_timeout'), current_setting('lock_timeout'),"
                " current_setting('idle_in_transaction_session_timeout'), current_setting('synchronous_commit')"
            )
            assert row is not None
            seen.add(row[0])
            assert tuple(row)[1:] == ("15s", "2s", "5s", "on")
        assert len(seen) == 1
    finally:
        await pool.close()


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("insert into noted values ($1)", ["15550100001"]),
        ("insert into noted values ($1)", ["15550100002"]),
        ("insert into noted values ($1)", [15550100001]),
        ("insert into noted values ($1)", ["15550100001\ud800"]),
        ("select unnest($1::text[])", [["15550100003", None, 15550100001]]),
        ("select ('15550100001' || $1)::uuid", ["a"]),
    ],
    ids=["a check", "uniqueness", "a type", "a character", "an array", "a form"],
)
async def test_an_error_holds_no_value(store: Database, statement: str, arguments: list[object]) -> None:
    await store.execute("create table noted (phone text primary key check (phone <> '15550100001'))")
    await store.execute("insert into noted values ('15550100002')")
    with pytest.raises((asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)) as found:
        await store.execute(statement, *arguments)
    assert str(found.value)
    assert "1555" not in "".join(traceback.format_exception(found.value)), "as it is logged"


@pytest.mark.parametrize("wrong", ["database_password", "database_user", "database_name"])
async def test_not_being_let_in_is_named_and_may_pass(database: servers.Database, wrong: str) -> None:
    right = settings_of_database(database)
    pool = await Database(right.model_copy(update={wrong: type(getattr(right, wrong))("another")}), 1, "test").open()
    try:
        with pytest.raises(DatabaseUnavailable):
            await pool.fetchval("select 1")
        with pytest.raises(DatabaseUnavailable, match=wrong.upper()):
            await pool.problem()
    finally:
        await pool.close()
