"""Outcomes that nobody knows, looked up at a simulated account."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from prometheus_client import REGISTRY

from services.scheduler.unqueued_messages import UnqueuedMessages
from tests.integration.scheduler.lost_answers import begin, checker, due_again, lose_answer, send
from tests.integration.scheduler.stage import Stage
from tests.servers import ServiceProcess


@pytest.fixture
def stage(simulated_stage: Stage) -> Stage:
    return simulated_stage


async def test_found_in_storage_it_is_sent(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    message = await stage.message()
    await lose_answer(stage, message)
    await send(session, simulator, "another text")
    sent = await send(session, simulator)
    await checker(stage, session).step()
    assert await stage.status(message) == "sent"
    row = await stage.database.fetchrow("select verdict, whatsapp_id from attempts")
    assert row is not None
    assert tuple(row) == ("sent", sent)
    assert await stage.database.fetchval("select count(*) from due") == 0


async def test_an_id_proves_one_message(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    messages = []
    for _ in range(3):
        message = await stage.message(on_unknown="hold")
        await lose_answer(stage, message)
        messages.append(message)
    for _ in range(2):
        await send(session, simulator)
    for _ in range(4):
        await asyncio.gather(checker(stage, session).step(), checker(stage, session).step())
        await due_again(stage)
    statuses = [await stage.status(message) for message in messages]
    assert sorted(statuses) == ["sent", "sent", "unknown"]


@pytest.mark.parametrize(("on_unknown", "status"), [("hold", "unknown"), ("resend", "retrying")])
async def test_not_in_storage_the_caller_decided(
    stage: Stage, session: aiohttp.ClientSession, on_unknown: str, status: str
) -> None:
    message = await stage.message(on_unknown=on_unknown)
    await lose_answer(stage, message)
    before = REGISTRY.get_sample_value("paceline_possible_duplicates_total") or 0
    await checker(stage, session).step()
    assert await stage.status(message) == status
    assert REGISTRY.get_sample_value("paceline_possible_duplicates_total") == before + (on_unknown == "resend")
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    entries = [(entry.message, entry.attempt) for entry in await stage.entries(":transactional")]
    assert entries == ([(message, 2)] if on_unknown == "resend" else [])
    assert await stage.database.fetchval("select possible_duplicate from messages") is (on_unknown == "resend")


async def test_resends_are_bounded(stage: Stage, session: aiohttp.ClientSession) -> None:
    message = await stage.message()
    for expected in ("retrying", "retrying", "unknown"):
        await lose_answer(stage, message)
        await checker(stage, session, resends=2).step()
        assert await stage.status(message) == expected


async def test_an_account_that_cannot_be_reached_proves_nothing(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    message = await stage.message(on_unknown="hold")
    await lose_answer(stage, message)
    simulator.kill()
    await checker(stage, session).step()
    assert await stage.status(message) == "sending"
    assert await stage.database.fetchval("select due_at > clock_timestamp() + interval '20 s' from due")
    await due_again(stage)
    await stage.database.execute("update due set first_check_at = clock_timestamp() - interval '31 min'")
    await checker(stage, session).step()
    assert await stage.status(message) == "unknown"
    assert (
        await stage.database.fetchval("select reason from messages")
        == "not looked up: the account could not be reached"
    )


async def test_an_attempt_without_a_verdict_is_found(stage: Stage, session: aiohttp.ClientSession) -> None:
    message = await stage.message(on_unknown="hold")
    await begin(stage, message, seconds=0)
    await asyncio.gather(checker(stage, session).step(), checker(stage, session).step())
    await checker(stage, session).step()
    assert await stage.status(message) == "unknown"
    assert await stage.database.fetchval("select count(*) from attempts where verdict = 'unknown'") == 1
    assert await stage.database.fetchval("select count(*) from open_attempts") == 0


async def test_an_attempt_within_its_time_is_left(stage: Stage, session: aiohttp.ClientSession) -> None:
    message = await stage.message()
    await begin(stage, message)
    await checker(stage, session).step()
    assert await stage.status(message) == "sending"
    assert await stage.database.fetchval("select count(*) from open_attempts") == 1


async def test_a_check_that_was_left_behind_is_removed(stage: Stage, session: aiohttp.ClientSession) -> None:
    message = await stage.message()
    await lose_answer(stage, message)
    await stage.database.execute("update messages set status = 'failed'")
    await checker(stage, session).step()
    assert await stage.status(message) == "failed"
    assert await stage.database.fetchval("select count(*) from due") == 0
