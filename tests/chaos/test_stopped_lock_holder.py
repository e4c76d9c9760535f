"""A client that stands still inside a transaction holds its rows for seconds, not for ever."""

from __future__ import annotations

import pytest

from shared.database.connection import Database as PooledDatabase
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings
from tests.chaos.conftest import MakePaceline, Truth
from tests.servers import Database
from tests.stories.conftest import phones


async def test_a_client_that_stopped_in_a_transaction_does_not_stop_the_rest(
    paceline: MakePaceline, database: Database, truth: Truth
) -> None:
    whole = await paceline(devices=2, dispatchers=0)
    body = {"phone": phones(10), "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    settings = DatabaseSettings.model_validate({name.lower(): value for name, value in database.environment.items()})
    store = await PooledDatabase(settings, 1, "stopped").open()
    try:
        with pytest.raises(DatabaseUnavailable):  # noqa: PT012 - the transaction is what ends
            async with store.connection() as connection:
                # As a process that is frozen between two statements leaves it; Postgres ends it after five seconds.
                await connection.execute("begin")
                await connection.execute("select from messages where campaign = $1 for update", token)
                await whole.add_dispatcher()
                campaign = await whole.campaign_in(token, "finished")
                assert campaign["counts"]["sent"] == 10
                await connection.execute("commit")
    finally:
        await store.close()
    await whole.judge()
