"""The schema is the same however a database came to it, and whatever is not ours, or newer, stays as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.database.connection import SCHEMA
from shared.database.connection import Database as Pool
from standalone.embedded_postgres import EmbeddedPostgres
from tests.integration.conftest import settings_of_database
from tests.integration.database.migrating import (
    BEFORE,
    FUNCTIONS,
    NUMBERED,
    applied,
    begin_migrating,
    migrate,
    own_copy,
)
from tests.servers import Database

NEEDED_BEFORE = "0017_conversations.sql"
"""What services of before looked for: a highest name that is not below it."""
HELD = 4711
"""A lock that a file waits for."""

Schema = Callable[[Database], str]


@pytest.fixture
def schema(postgres_server: EmbeddedPostgres) -> Schema:
    """All that was made: tables, constraints, indexes, functions, views, triggers, rights."""
    return lambda database: postgres_server.schema(database.name, "--no-comments")


@pytest.fixture
async def connection(empty_database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(empty_database.dsn)
    yield connection
    await connection.close()


async def noted(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, Any]:
    rows = await connection.fetch("select name, sha256, applied_at from applied_migrations order by name")
    return {row["name"]: (row["sha256"], row["applied_at"]) for row in rows}


async def test_upgraded_from_the_last_state_it_is_as_from_nothing(
    empty_database: Database,
    database: Database,
    connection: asyncpg.Connection[asyncpg.Record],
    schema: Schema,
) -> None:
    await connection.execute(BEFORE)
    await connection.execute("update control set stop_reason = 'kept'")
    answers = await asyncio.gather(*(migrate(empty_database.environment) for _ in range(3)))
    assert [code for code, _, _ in answers] == [0, 0, 0], answers
    assert sorted(name for _, out, _ in answers for name in applied(out)) == FUNCTIONS
    assert schema(empty_database) == schema(database)
    fresh = await asyncpg.connect(database.dsn)
    assert {name: sha256 for name, (sha256, _) in (await noted(connection)).items()} == {
        name: sha256 for name, (sha256, _) in (await noted(fresh)).items()
    }
    await fresh.close()
    assert await connection.fetchval("select stop_reason from control") == "kept"


async def test_services_of_either_version_know_whether_the_schema_is_theirs(
    empty_database: Database, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    pool = await Pool(settings_of_database(empty_database), 1, "test").open()
    assert await pool.problem() == f"the schema of Postgres is empty, {SCHEMA} is needed; run the migrations first"
    await connection.execute(BEFORE)
    assert await pool.problem() == (
        f"the schema of Postgres is {NEEDED_BEFORE}, {SCHEMA} is needed; run the migrations first"
    )
    assert (await migrate(empty_database.environment))[0] == 0
    assert await pool.problem() == ""
    await pool.close()
    assert await connection.fetchval("select max(name) from applied_migrations") >= NEEDED_BEFORE


@pytest.mark.parametrize(
    ("waiting", "left"),
    [
        (NUMBERED[4], NUMBERED[4:] + FUNCTIONS),
        # The last number and the functions are one transaction.
        ("functions/settle_and_join.sql", NUMBERED[-1:] + FUNCTIONS),
    ],
)
async def test_a_run_that_was_killed_goes_on_where_it_stopped(
    waiting: str,
    left: list[str],
    empty_database: Database,
    database: Database,
    connection: asyncpg.Connection[asyncpg.Record],
    schema: Schema,
    tmp_path: Path,
) -> None:
    file = own_copy(tmp_path) / waiting
    file.write_text(f"{file.read_text()}\nselect pg_advisory_lock({HELD});\n")
    await connection.execute("select pg_advisory_lock($1)", HELD)
    process = await begin_migrating(empty_database.environment, tmp_path)
    async with asyncio.timeout(60):
        while not await connection.fetchval(  # noqa: ASYNC110
            "select count(*) from pg_locks where locktype = 'advisory' and objid = $1 and not granted", HELD
        ):
            await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    await connection.execute("select pg_advisory_unlock($1)", HELD)
    code, out, err = await migrate(empty_database.environment)
    assert code == 0, err
    assert sorted(applied(out)) == sorted(left)
    assert schema(empty_database) == schema(database)


async def test_only_a_function_whose_text_has_changed_is_applied_again(database: Database, tmp_path: Path) -> None:
    folder = own_copy(tmp_path) / "functions"
    changed = folder / "gap_key.sql"
    changed.write_text(changed.read_text().replace("1677721", "1677999"))
    connection = await asyncpg.connect(database.dsn)
    versions = "select proname, xmin::text from pg_proc where pronamespace = current_schema()::regnamespace"
    before = dict(await connection.fetch(versions))
    code, out, err = await migrate(database.environment, tmp_path)
    assert code == 0, err
    assert applied(out) == ["functions/gap_key.sql"]
    assert await connection.fetchval("select gap_key()") == 1677999
    after = dict(await connection.fetch(versions))
    assert {name for name in after if after[name] != before[name]} == {"gap_key"}
    await connection.close()


async def test_what_a_numbered_file_drops_is_made_again(database: Database, tmp_path: Path) -> None:
    (own_copy(tmp_path) / "9999_wider.sql").write_text(
        "drop view own_rate_profiles; alter table account_feedback alter slow_factor type bigint;"
    )
    code, out, err = await migrate(database.environment, tmp_path)
    assert code == 0, err
    assert applied(out) == ["9999_wider.sql", "functions/own_rate_profiles.sql"]


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("create or replace function gap_key(p_person text) returns integer language sql return 1;", "gap_key(text)"),
        ("drop function gap_key();", "does not make gap_key"),
        ("select no_function();", "no_function"),
    ],
    ids=["a-signature-is-left", "it-makes-another", "it-fails"],
)
async def test_a_wrong_function_changes_nothing(
    added: str, told: str, database: Database, schema: Schema, tmp_path: Path
) -> None:
    folder = own_copy(tmp_path)
    (folder / "functions" / "gap_key.sql").write_text(
        (folder / "functions" / "gap_key.sql").read_text().replace("1677721", "1677999") + added
    )
    (folder / "9999_next.sql").write_text("create table next_one (id integer);")
    before = schema(database)
    code, out, err = await migrate(database.environment, tmp_path)
    assert code == 1
    assert told in err
    assert not applied(out)
    assert schema(database) == before


async def test_a_changed_signature_replaces_the_former_one(database: Database, tmp_path: Path) -> None:
    file = own_copy(tmp_path) / "functions" / "number_at.sql"
    text = file.read_text().replace("p_time timestamptz", "p_time timestamptz, p_strict boolean default false")
    file.write_text(f"drop function if exists number_at(text, timestamptz);\n{text}")
    code, _, err = await migrate(database.environment, tmp_path)
    assert code == 0, err
    connection = await asyncpg.connect(database.dsn)
    # As who does not know of the new parameter calls it.
    assert await connection.fetchval("select number_at('a', now())") is None
    await connection.close()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (["create table customers (id integer); create view adults as select 1 as id"], "adults, customers"),
        (
            ["create table applied_migrations (version integer); create table customers (id integer)"],
            "applied_migrations",
        ),
        (["create table applied_migrations (name text, sha256 text); create table flyway (id integer)"], "flyway"),
        ([BEFORE, "delete from applied_migrations where name >= '0016'"], f"of before {NEEDED_BEFORE}"),
        ([BEFORE, "update applied_migrations set sha256 = 'x' where name ~ '0009'"], f"of before {NEEDED_BEFORE}"),
    ],
    ids=["tables", "another-table-of-migrations", "an-empty-one", "before-the-last-state", "another-last-state"],
)
async def test_a_database_that_something_else_made_stays_as_it_is(
    made: list[str],
    told: str,
    empty_database: Database,
    connection: asyncpg.Connection[asyncpg.Record],
    schema: Schema,
) -> None:
    for statements in made:
        await connection.execute(statements)
    before = schema(empty_database)
    code, out, err = await migrate(empty_database.environment)
    assert code == 1
    assert told in err
    assert "Nothing was changed" in err
    assert out == ""
    assert schema(empty_database) == before


async def test_what_an_extension_made_is_not_in_the_way(
    empty_database: Database, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    # Its views stand where our tables are to be made, as those of pg_stat_statements do.
    await connection.execute("create extension pg_buffercache")
    code, _, err = await migrate(empty_database.environment)
    assert code == 0, err


async def test_a_newer_database_stays_as_it_is(database: Database, schema: Schema, tmp_path: Path) -> None:
    folder = own_copy(tmp_path)
    (folder / "9998_later.sql").write_text("create table later (id integer);")
    (folder / "functions" / "gap_key.sql").write_text(
        (folder / "functions" / "gap_key.sql").read_text().replace("1677721", "1677999")
    )
    assert (await migrate(database.environment, tmp_path))[0] == 0
    connection = await asyncpg.connect(database.dsn)
    before = schema(database), await noted(connection)
    code, out, _ = await migrate(database.environment)
    # Services of before may use it, so a pod of theirs that begins once more must be able to.
    assert code == 0
    assert out == "the schema is newer than this version: it has 9998_later.sql. Nothing was changed\n"
    assert (schema(database), await noted(connection)) == before
    await connection.close()
