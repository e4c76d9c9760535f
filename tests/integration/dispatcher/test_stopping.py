"""Dispatchers that stop, die or lose a store: what is in hand is finished, handed back, or left for others to judge."""

from __future__ import annotations

import asyncio

from services.dispatcher.sending.deadline import START_LIMIT
from shared.messages import Lane, Status
from shared.queue.dispatchers import beats, consumers
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.accepting import accept_campaign
from tests.integration.dispatcher.stage import Stage, eventually, metrics_of


async def typing_shown(stage: Stage, *actions: str) -> None:
    async def shown() -> bool:
        return await stage.sender.typing() == list(actions)

    await eventually(shown, f"typing {actions}")


async def test_a_stop_while_typing_hands_back_at_once(stage: Stage) -> None:
    await stage.build("a")
    message = await stage.send(device="a")
    typing = {"TYPING_DELAY_MIN": "1m", "TYPING_DELAY_MAX": "1m"}
    dispatcher = await stage.dispatcher("a", **typing)
    await typing_shown(stage, "start")
    # Far less than the minute of typing.
    assert await dispatcher.stop(grace=20) == 0
    await typing_shown(stage, "start", "stop")
    assert await stage.sender.sends() == []
    row = await stage.row(message)
    assert (row["status"], row["attempt"], row["crashes"]) == ("queued", 0, 0)
    assert await stage.in_hand() == {}
    assert (await stage.waiting(), await stage.parked()) == (1, 0)
    assert await stage.rota() == {"a"}
    assert await beats(stage.queue) == {}
    assert await consumers(stage.queue, f":endpoint:{stage.endpoint('a')}:transactional") == []
    # Another one finds it.
    await stage.dispatcher("a")
    await stage.ended(message)
    await stage.nothing_left()


async def test_a_stop_while_sending_waits_for_the_answer(stage: Stage) -> None:
    await stage.sender.mood("slow", latency_ms=1500)
    await stage.build("a")
    campaign = await accept_campaign(stage.store, 5)
    await stage.enqueue(campaign.messages, Lane.BULK)
    dispatcher = await stage.dispatcher("a")
    await stage.sender.arrived()
    assert await dispatcher.stop() == 0
    assert (await stage.row(campaign.messages[0]))["status"] == "sent"
    assert await stage.attempts(campaign.messages[0]) == [(1, "a", "sent")]
    assert len(await stage.sender.sends()) == 1, "it has begun another one after it was told to stop"
    assert await stage.in_hand() == {}
    assert await stage.waiting() == 4
    assert await stage.rota() == {"a"}
    assert await beats(stage.queue) == {}
    assert await consumers(stage.queue, ":bulk") == []


async def test_an_idle_dispatcher_stops(stage: Stage) -> None:
    await stage.build()
    dispatcher = await stage.dispatcher()
    assert list(await beats(stage.queue)) != []
    assert await dispatcher.stop() == 0
    assert await beats(stage.queue) == {}


async def test_a_kill_while_sending_leaves_all_that_is_needed_to_judge_it(stage: Stage) -> None:
    await stage.sender.mood("slow", latency_ms=1500)
    await stage.build("a")
    message = await stage.send()
    dispatcher = await stage.dispatcher("a", WHATSAPP_TEXT_TIMEOUT="70s")
    await stage.sender.arrived()
    dispatcher.kill()
    assert await stage.in_hand() == {"slots": 1, "attempts": 1, ":transactional": 1}
    row = await stage.row(message)
    assert (row["status"], row["attempt"], row["endpoint"]) == ("sending", 1, stage.endpoint("a"))
    assert await stage.attempts(message) == []
    attempt = await stage.store.fetchrow("select *, deadline - started_at as waits from open_attempts")
    assert attempt is not None
    assert (attempt["message"], attempt["number"], attempt["token"]) == (message, 1, row["token"])
    [name] = await beats(stage.queue)
    assert attempt["dispatcher"] == name
    # Nobody may judge it before its answer could still have come.
    assert attempt["waits"].total_seconds() >= START_LIMIT + 70
    # Others leave it alone, and the account too: its slot is not theirs.
    await stage.dispatcher("a", "b")
    other = await stage.send("15550100002")

    async def sent() -> bool:
        return bool((await stage.row(other))["status"] == "sent")

    await eventually(sent, "the other message")
    assert await stage.attempts(other) == [(1, "b", "sent")]
    assert (await stage.row(message))["status"] == "sending"
    assert len(await stage.sender.sends("a")) == 1


async def test_a_kill_while_typing_leaves_the_message_waiting(stage: Stage) -> None:
    await stage.build("a")
    message = await stage.send()
    dispatcher = await stage.dispatcher("a", TYPING_DELAY_MIN="1m", TYPING_DELAY_MAX="1m")
    await typing_shown(stage, "start")
    dispatcher.kill()
    assert await stage.in_hand() == {"slots": 1, ":transactional": 1}
    row = await stage.row(message)
    assert (row["status"], row["attempt"]) == ("queued", 0)


async def test_nothing_is_sent_when_the_gate_answers_too_late(stage: Stage, postgres_server: EmbeddedPostgres) -> None:
    await stage.build("a")
    message = await stage.send()
    dispatcher = await stage.dispatcher("a", TYPING_DELAY_MIN="700ms", TYPING_DELAY_MAX="700ms")
    await typing_shown(stage, "start")
    postgres_server.pause()
    await typing_shown(stage, "start", "stop")
    # The passing of this time is what is tested.
    await asyncio.sleep(START_LIMIT + 0.5)
    assert await stage.sender.sends() == []
    postgres_server.resume()
    row = await stage.ended(message)
    assert len(await stage.sender.sends()) == 1
    assert await stage.attempts(message) == [(1, "a", "not_sent"), (2, "a", "sent")]
    assert (row["attempt"], row["tries_used"]) == (2, 1)
    assert await stage.breaker("a") == "closed"
    assert int((await stage.state("a")).get("failures", "0")) == 0, "our database is not the account's fault"
    await stage.nothing_left()
    assert dispatcher.process.running


async def test_nothing_is_sent_while_the_gate_cannot_be_asked(stage: Stage, postgres_server: EmbeddedPostgres) -> None:
    await stage.build("a")
    message = await stage.send()
    await stage.dispatcher("a", TYPING_DELAY_MIN="700ms", TYPING_DELAY_MAX="700ms")
    await typing_shown(stage, "start")
    postgres_server.kill()
    await typing_shown(stage, "start", "stop")
    await asyncio.sleep(START_LIMIT + 0.5)
    assert await stage.sender.sends() == []
    postgres_server.start()
    await stage.ended(message)
    assert len(await stage.sender.sends()) == 1
    # The gate was never passed, so the history knows the attempt by what it came to later.
    assert (await stage.attempts(message))[-1][2] == "sent"
    number = (await stage.row(message))["attempt"]
    assert [one for one, _, _ in await stage.attempts(message)] == list(range(1, number + 1))
    await stage.nothing_left()


async def test_an_answer_is_kept_until_postgres_is_back(stage: Stage, postgres_server: EmbeddedPostgres) -> None:
    await stage.sender.mood("slow", latency_ms=500)
    await stage.build("a")
    message = await stage.send()
    dispatcher = await stage.dispatcher("a")
    await stage.sender.arrived()
    postgres_server.kill()

    async def answered() -> bool:
        return bool((await stage.sender.sends())[0]["outcome"] == 200)

    await eventually(answered, "the answer")

    async def repeated() -> bool:
        return 'paceline_settlement_repeats_total{store="postgres"}' in await metrics_of(dispatcher)

    await eventually(repeated, "a repeated write")
    postgres_server.start()
    await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", "sent")]
    assert len(await stage.sender.sends()) == 1
    await stage.nothing_left()


async def test_a_redis_that_was_flushed_gives_nothing_until_it_is_rebuilt(
    stage: Stage, redis_server: EmbeddedValkey
) -> None:
    await stage.build("a")
    dispatcher = await stage.dispatcher("a")
    await stage.ended(await stage.send("15550100001"))
    await stage.queue.redis.flushall()
    message = await stage.send("15550100002")

    async def noticed() -> bool:
        return "takes nothing" in dispatcher.log_text()

    await eventually(noticed, "noticing")
    assert await stage.waiting() == 1
    assert await stage.rota() == set(), "a beat has filled a rota whose pauses are lost"
    # The gate in Postgres has not heard of a new epoch yet, so its assignments are void.
    await stage.build("a", epoch=2)
    await stage.enqueue([message])

    async def dropped() -> bool:
        return not await stage.waiting()

    await eventually(dropped, "dropping")
    await stage.at_rest()
    assert (await stage.row(message))["attempt"] == 0
    assert len(await stage.sender.sends()) == 1
    await stage.store.execute("update control set epoch = 2")
    await stage.enqueue([message])
    await stage.ended(message)
    assert len(await stage.sender.sends()) == 2
    await stage.nothing_left()


async def test_redis_is_away_for_a_while(stage: Stage, redis_server: EmbeddedValkey) -> None:
    await stage.sender.mood("slow", latency_ms=700)
    await stage.build("a")
    message = await stage.send("15550100001")
    dispatcher = await stage.dispatcher("a", REDIS_READ_TIMEOUT="300ms")
    await stage.sender.arrived()
    redis_server.pause()

    async def sent() -> bool:
        return bool((await stage.row(message))["status"] == "sent")

    # The truth is written without Redis; the slot and the entry are given back when it answers again.
    await eventually(sent, "the verdict")

    async def repeated() -> bool:
        return 'paceline_settlement_repeats_total{store="redis"}' in await metrics_of(dispatcher)

    await eventually(repeated, "a repeated settlement")
    redis_server.resume()
    await stage.nothing_left()
    await stage.ended(await stage.send("15550100002"))
    assert len(await stage.sender.sends()) == 2
    assert await stage.rota() == {"a"}


async def test_an_entry_that_cannot_be_read_stops_nobody(stage: Stage) -> None:
    await stage.build("a")
    stream = stage.queue.keys.lane(Lane.TRANSACTIONAL)
    for fields in (["v", "1"], ["v", "1", "m", "no-uuid", "n", "1"], ["v", "1", "m", "0" * 32, "n", "x"]):
        await stage.queue.ask("XADD", stream, "*", *fields)
    message = await stage.send()
    await stage.dispatcher("a")
    await stage.ended(message)
    await stage.nothing_left()


async def test_an_error_of_redis_ends_nobody(stage: Stage) -> None:
    await stage.build("a")
    await stage.queue.ask("SET", stage.queue.keys.bound, "no set")
    dispatcher = await stage.dispatcher("a")

    async def failed() -> bool:
        return "takes nothing" in dispatcher.log_text()

    await eventually(failed, "a take that fails")
    assert "REDIS_QUEUE_NAME" in dispatcher.log_text(), "it says what is wrong"
    await stage.queue.ask("DEL", stage.queue.keys.bound)
    await stage.ended(await stage.send())
    assert await dispatcher.stop() == 0


async def test_an_entry_of_a_newer_version_is_left_for_a_newer_dispatcher(stage: Stage) -> None:
    await stage.build("a")
    await stage.queue.ask("XADD", stage.queue.keys.lane(Lane.TRANSACTIONAL), "*", "v", "2", "what", "is this")
    message = await stage.send()
    dispatcher = await stage.dispatcher("a")
    row = await stage.ended_row(message, Status.SENT)
    assert row["attempt"] == 1
    assert await dispatcher.stop() == 0
    assert await stage.waiting() == 1
