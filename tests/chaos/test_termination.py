"""SIGTERM while Postgres is away: what was sent is not forgotten and not sent again."""

from __future__ import annotations

import signal

import pytest

from standalone.embedded_postgres import EmbeddedPostgres
from tests.chaos.conftest import MakePaceline, Truth, send_arrived, text
from tests.servers import ServiceProcess
from tests.stories.conftest import Paceline, until


async def stopped_after_its_answer(whole: Paceline, dispatcher: ServiceProcess) -> None:
    """SIGTERM while the sender is at work, and the answer after it."""
    dispatcher.process.send(signal.SIGTERM)

    async def answered() -> bool:
        return bool((await whole.sends())[0]["outcome"] == 200)

    await until(answered, "the sender has answered")


@pytest.mark.parametrize("patience", ["waits", "killed"])
async def test_an_answer_that_cannot_be_written(
    paceline: MakePaceline, postgres_server: EmbeddedPostgres, truth: Truth, patience: str
) -> None:
    whole = await paceline(devices=1, dispatchers=0, latency="700ms")
    dispatcher = await whole.add_dispatcher()
    message = await text(whole, on_unknown="resend")
    await send_arrived(whole)
    postgres_server.kill()
    await stopped_after_its_answer(whole, dispatcher)
    if patience == "killed":
        dispatcher.kill()
    postgres_server.start()
    if patience == "waits":
        assert await dispatcher.ended() == 0
        assert await truth.value("select verdict from attempts where message = $1", message) == "sent"
    else:
        await whole.add_dispatcher()
    # Killed, its outcome is looked up in the account's chat storage once nobody can be waiting for it.
    await whole.message_in(message, "sent")
    assert len(await whole.sends()) == 1
    assert not await truth.value("select possible_duplicate from messages where id = $1", message)
    await whole.judge()
