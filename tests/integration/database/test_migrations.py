"""`python -m migrations` as a pod runs it: any number at once, and never over a file that has changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.endpoints.feedback import Cause, FeedbackState
from shared.messages import CampaignStatus, Lane, OnUnknown, Receipt, Status, Verdict
from tests.integration.database.migrating import FUNCTIONS, NUMBERED, applied, migrate, own_copy
from tests.servers import Database


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


async def test_of_four_at_once_each_file_is_applied_by_one(empty_database: Database) -> None:
    answers = await asyncio.gather(*(migrate(empty_database.environment) for _ in range(4)))
    assert [code for code, _, _ in answers] == [0, 0, 0, 0], answers
    assert sorted(name for _, out, _ in answers for name in applied(out)) == NUMBERED + FUNCTIONS
    assert [out for _, out, _ in answers].count("the schema is up to date\n") == 3
    assert (await migrate(empty_database.environment))[1] == "the schema is up to date\n"


async def test_a_numbered_file_that_was_changed_after_it_was_applied_is_refused(
    database: Database, tmp_path: Path
) -> None:
    changed = own_copy(tmp_path) / NUMBERED[1]
    changed.write_text(changed.read_text() + "\n-- one more thought\n")
    code, out, err = await migrate(database.environment, tmp_path)
    assert code == 1
    assert NUMBERED[1] in err
    assert not applied(out)


async def test_a_file_that_fails_leaves_nothing_behind(empty_database: Database, tmp_path: Path) -> None:
    later = own_copy(tmp_path) / "9999_wrong.sql"
    later.write_text("create table half (id integer); select 1 / 0;")
    code, _, err = await migrate(empty_database.environment, tmp_path)
    assert code == 1
    assert "division by zero" in err
    later.unlink()
    assert sorted(applied((await migrate(empty_database.environment))[1])) == FUNCTIONS
    connection = await asyncpg.connect(empty_database.dsn)
    assert await connection.fetchval("select to_regclass('half')") is None
    await connection.close()


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"DATABASE_PORT": "tcp://10.0.0.1:5432"}, "DATABASE_PORT"),
        ({"DATABASE_SSL_MODE": "perhaps"}, "DATABASE_SSL_MODE"),
        ({"DATABASE_HOST": ""}, "DATABASE_HOST"),
    ],
)
async def test_wrong_settings_are_named(wrong: dict[str, str], name: str) -> None:
    environment = {"DATABASE_HOST": "127.0.0.1", "DATABASE_PASSWORD": "do-not-show"} | wrong
    code, _, err = await migrate(environment)
    assert code == 2
    assert err.startswith(f"{name}: ")
    assert "do-not-show" not in err


async def test_a_server_that_is_away_is_told_without_the_password(unused_tcp_port: int) -> None:
    environment = {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(unused_tcp_port),
        "DATABASE_PASSWORD": "do-not-show",
        "DATABASE_SSL_MODE": "disable",
    }
    code, _, err = await migrate(environment)
    assert code == 1
    assert f"127.0.0.1:{unused_tcp_port}" in err
    assert "do-not-show" not in err
    assert "Traceback" not in err


async def test_the_lists_in_code_are_those_of_the_checks(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    expected = {
        ("campaigns", "status"): set(CampaignStatus),
        ("campaigns", "lane"): set(Lane),
        ("campaigns", "on_unknown"): set(OnUnknown),
        ("messages", "status"): set(Status),
        ("messages", "lane"): set(Lane),
        ("messages", "on_unknown"): set(OnUnknown),
        ("messages", "receipt"): set(Receipt),
        ("attempts", "verdict"): set(Verdict),
        ("account_feedback", "state"): set(FeedbackState),
        ("account_feedback", "cause"): set(Cause),
    }
    rows = await connection.fetch(
        "select r.relname, a.attname, pg_get_constraintdef(c.oid) as check from pg_constraint c"
        " join pg_class r on r.oid = c.conrelid and not r.relispartition"
        " join pg_attribute a on a.attrelid = r.oid and c.conkey = array[a.attnum]"
        " where c.contype = 'c' and pg_get_constraintdef(c.oid) like '%ANY%'"
    )
    found = {(row["relname"], row["attname"]): set(re.findall(r"'(\w+)'::text", row["check"])) for row in rows}
    assert {key: found.get(key) for key in expected} == expected


async def test_a_campaign_counts_every_terminal_status(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    rows = await connection.fetch(
        "select attname from pg_attribute where attrelid = 'campaign_counts'::regclass and attnum > 0"
    )
    waiting = {Status.QUEUED, Status.RETRYING, Status.SENDING}
    assert {row["attname"] for row in rows} >= set(Status) - waiting


async def test_no_index_of_messages_hinders_updates_in_place(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """An index that names a column which the gate changes, even in its predicate, makes every update write all of them."""
    changing = {"status", "attempt", "tries_used", "token", "endpoint", "reason", "changed_at"}
    rows = await connection.fetch(
        "select pg_get_indexdef(i.indexrelid) as definition from pg_index i where i.indrelid = 'messages'::regclass"
    )
    assert rows
    for row in rows:
        named = set(re.findall(r"\w+", row["definition"].partition(" USING ")[2]))
        assert not named & changing, row["definition"]
