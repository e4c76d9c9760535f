"""Outcomes that nobody knows, looked up at a simulated account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from prometheus_client import REGISTRY

from services.scheduler.unknown_outcomes import UnknownOutcomes
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.endpoints.gowa import new_session
from shared.messages import Status, Verdict
from shared.queue.taking import Settlement
from tests.integration.scheduler.stage import PHONE, TEXT, Stage
from tests.servers import ServiceProcess, StartService


@pytest.fixture
async def simulator(start_service: StartService) -> ServiceProcess:
    return await start_service(
        "simulator",
        arguments=("--listen", "127.0.0.1:{port}", "--devices", "sales-1", "--latency", "0", "--storage-delay", "0"),
        ready_path="/simulator/devices",
    )


@pytest.fixture
async def stage(open_stage: Callable[..., Any], simulator: ServiceProcess) -> Stage:
    stage: Stage = await open_stage(whatsapp_endpoints=simulator.url, whatsapp_auths="user:password")
    await stage.rebuilder().step()
    return stage


@pytest.fixture
async def session(stage: Stage) -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session(stage.settings) as session:
        yield session


def checker(stage: Stage, session: aiohttp.ClientSession, **changes: Any) -> UnknownOutcomes:
    options: dict[str, Any] = {"check_limit": 1800.0, "resends": 3} | changes
    seconds = {"message": 0.0, "image": 0.0, "file": 0.0}
    return UnknownOutcomes(stage.database, session, stage.accounts, 0, seconds, **options)


async def begin(stage: Stage, message: UUID, seconds: int = 60) -> Any:
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    (assignment,) = (await stage.taking().take(1)).assignments
    assert assignment.entry.message == message
    assert await stage.begin(assignment, seconds)
    return assignment


async def lose_answer(stage: Stage, message: UUID) -> Any:
    """An attempt whose answer timed out; its check is due."""
    assignment = await begin(stage, message)
    await stage.record(assignment, Verdict.UNKNOWN, Status.SENDING, reason="no answer in 70 s")
    await stage.taking().settle([Settlement(assignment, ready_ms=0)])
    return assignment


async def send(session: aiohttp.ClientSession, simulator: ServiceProcess, text: str = TEXT["message"]) -> str:
    """What "WhatsApp" got after all."""
    async with session.post(f"{simulator.url}/send/message", json={"phone": PHONE, "message": text}) as response:
        return str((await response.json())["results"]["message_id"])


async def due_again(stage: Stage) -> None:
    await stage.database.execute("update due set due_at = clock_timestamp() where why = 'check'")


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
    assert "unchecked" in await stage.database.fetchval("select reason from messages")


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
