"""What every connection of the pool keeps, however often it is lent."""

from __future__ import annotations

import pytest

from shared.database.connection import Database
from shared.settings import DatabaseSettings
from tests import servers


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
