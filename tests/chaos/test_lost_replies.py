"""The network takes a request and loses its reply: what was done stays done, once."""

from __future__ import annotations

import pytest

from shared.database.connection import Database as PooledDatabase
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings
from tests.chaos.conftest import MakePaceline, Truth, send_arrived, text, typing_shown, verdicts, warmed_up
from tests.chaos.fault_proxy import Direction, FaultProxy
from tests.servers import Database, StartService
from tests.stories.conftest import until

TYPING = {"TYPING_DELAY_MIN": "1s", "TYPING_DELAY_MAX": "1s"}


async def test_the_gates_reply_is_lost(paceline: MakePaceline, postgres_proxy: FaultProxy, truth: Truth) -> None:
    whole = await paceline(devices=1, dispatchers=0)
    await whole.add_dispatcher(DATABASE_PORT=str(postgres_proxy.port), **TYPING)
    await warmed_up(whole)
    message = await text(whole)
    await typing_shown(whole)
    postgres_proxy.hold(Direction.REPLY)
    await truth.attempt_is_open()
    postgres_proxy.cut()
    postgres_proxy.heal()
    # Asked again it passes again, as the same attempt.
    assert verdicts(await whole.message_in(message, "sent")) == ["sent"]
    assert len(await whole.sends()) == 1
    await whole.judge()


async def test_an_answer_comes_after_its_outcome_was_called_unknown(
    paceline: MakePaceline, postgres_proxy: FaultProxy, truth: Truth
) -> None:
    """The dispatcher knows that it was sent and cannot write it; meanwhile a resend waits."""
    whole = await paceline(devices=1, dispatchers=0)
    await whole.add_dispatcher(DATABASE_PORT=str(postgres_proxy.port))
    await whole.simulate("PUT", "mood", json={"mood": "slow", "latency_ms": 700, "stored": False, "count": 1})
    message = await text(whole, on_unknown="resend")
    await send_arrived(whole)
    postgres_proxy.hold()
    await whole.message_in(message, "retrying")
    assert await truth.value("select verdict from attempts where message = $1", message) == "unknown"
    postgres_proxy.heal()
    assert verdicts(await whole.message_in(message, "sent")) == ["sent"]

    async def nothing_waits() -> bool:
        return not await truth.value("select count(*) from due")

    await until(nothing_waits, "the resend is off")
    assert len(await whole.sends()) == 1
    await whole.judge()


@pytest.mark.parametrize("fault", ["refused", "cut", "reply lost", "reply late"])
async def test_a_gateway_cannot_enqueue(
    paceline: MakePaceline, start_service: StartService, redis_proxy: FaultProxy, fault: str
) -> None:
    whole = await paceline(devices=2)
    whole.gateway = await start_service(
        "services.gateway", REDIS_PORT=str(redis_proxy.port), REDIS_READ_TIMEOUT="500ms"
    )
    match fault:
        case "refused":
            redis_proxy.refuse()
        case "cut":
            redis_proxy.cut()
        case "reply lost":
            redis_proxy.lose_replies(10)
        case "reply late":
            redis_proxy.hold(Direction.REPLY)
    for number in range(3):
        message = await text(whole, f"1555010000{number}")
        await whole.message_in(message, "sent")
    assert len(await whole.sends()) == 3
    await whole.judge()


async def test_postgres_ends_an_idle_connection_and_the_end_is_late(
    database: Database, postgres_proxy: FaultProxy, truth: Truth
) -> None:
    settings = DatabaseSettings.model_validate(
        {name.lower(): value for name, value in database.environment.items()}
        | {"database_port": postgres_proxy.port, "database_host": "127.0.0.1"}
    )
    store = await PooledDatabase(settings, 1, "chaos").open()
    try:
        process = await store.fetchval("select pg_backend_pid()")
        postgres_proxy.swallow_ends()
        await truth.value("select pg_terminate_backend($1)", process)

        async def told() -> bool:
            return postgres_proxy.ends_swallowed == 1

        await until(told, "the connection has ended")
        with pytest.raises(DatabaseUnavailable):
            await store.fetchval("select 1")
        # Said to be away, so the caller repeats; and the pool has got rid of it.
        assert await store.fetchval("select 2") == 2
    finally:
        await store.close()
