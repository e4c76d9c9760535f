"""Whatever Postgres answers, it blames a value or is away; nothing else leaves a connection."""

from __future__ import annotations

import asyncpg
import pytest

from shared.database.connection import BadValue, Database
from shared.errors import DatabaseUnavailable
from tests.unit.shared.test_away import STATES


async def test_each_state_that_there_is(store: Database) -> None:
    """A function of Postgres raises it, so it comes by the way of a real answer."""
    await store.execute(
        "create function raising(state text) returns integer language plpgsql as $$ begin"
        " raise exception 'raised' using errcode = state, constraint = 'a constraint'; end $$"
    )
    wrong = []
    for state in sorted(STATES):
        kind = BadValue if state[:2] in ("22", "23", "54") else DatabaseUnavailable
        try:
            await store.fetchval("select raising($1)", state)
        except kind:
            continue
        except Exception as error:
            wrong.append((state, repr(error)))
    assert not wrong
    assert await store.fetchval("select 1") == 1, "and it goes on"


async def test_a_value_too_long_for_an_index_is_the_value_s_fault(store: Database) -> None:
    await store.execute("create table noted (name text primary key)")
    for length in (1000, 4000):
        incompressible = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(length))
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await store.execute("insert into noted values ($1)", incompressible)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("select * from nowhere", "migrations"),
        ("select no_function()", "migrations"),
        ("select no_column from messages", "migrations"),
        ("selec 1", "migrations"),
        ("select pg_terminate_backend(pg_backend_pid())", "lost"),
    ],
)
async def test_a_server_s_own_answer_says_what_to_do(store: Database, statement: str, named: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=named):
        await store.fetchval(statement)
    assert await store.fetchval("select 1") == 1
