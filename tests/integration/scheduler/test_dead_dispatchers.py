"""A dispatcher dies; what it had in hand goes to others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.scheduler.dead_dispatchers import DeadDispatchers
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.messages import Status, Verdict
from shared.queue.dispatchers import beats, consumers
from shared.queue.taking import Assignment
from tests.integration.scheduler.stage import Clock, Stage


def watch(stage: Stage, clock: Clock, **changes: Any) -> DeadDispatchers:
    options: dict[str, Any] = {"dead_after": 15.0, "stuck_after": 300.0, "crash_limit": 3} | changes
    return DeadDispatchers(stage.queue, stage.database, stage.rate, stage.endpoints, 0, clock=clock, **options)


async def seconds_pass(clock: Clock, count: int, *loops: DeadDispatchers) -> None:
    for _ in range(count):
        clock.now += 1
        await asyncio.gather(*(loop.step() for loop in loops))


async def in_hand(stage: Stage, dispatcher: str = "dispatcher-1", count: int = 1) -> list[Assignment]:
    for _ in range(count):
        await stage.message()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    taking = stage.taking(dispatcher)
    await taking.beat()
    return (await taking.take(count)).assignments


async def test_entries_of_the_dead_come_back_on_an_idle_queue(stage: Stage) -> None:
    assignments = await in_hand(stage, count=2)
    clock = Clock()
    loop = watch(stage, clock)
    await seconds_pass(clock, 15, loop)
    assert (await stage.taking("dispatcher-2").take(2)).assignments == []
    await seconds_pass(clock, 2, loop)

    again = (await stage.taking("dispatcher-2").take(2)).assignments
    assert {item.entry.message for item in again} == {item.entry.message for item in assignments}
    assert {(item.entry.attempt, item.entry.crashes) for item in again} == {(1, 1)}
    assert await stage.database.fetchval("select array_agg(crashes) from messages") == [1, 1]
    assert await beats(stage.queue) == {}
    assert await consumers(stage.queue, ":transactional") == ["dispatcher-2"]


async def test_two_schedulers_count_one_death(stage: Stage) -> None:
    await in_hand(stage, count=2)
    clock = Clock()
    await seconds_pass(clock, 20, watch(stage, clock), watch(stage, clock))
    assert len(await stage.waiting(":transactional")) == 2
    assert await stage.database.fetchval("select array_agg(crashes) from messages") == [1, 1]


async def test_who_speaks_is_alive(stage: Stage) -> None:
    (assignment,) = await in_hand(stage)
    clock = Clock()
    loop = watch(stage, clock)
    for now_ms in range(1, 8):
        await stage.taking().beat(now_ms)
        await seconds_pass(clock, 5, loop)
    assert list(await beats(stage.queue)) == ["dispatcher-1"]
    assert await stage.begin(assignment)


async def test_a_scheduler_that_stood_still_accuses_nobody(stage: Stage) -> None:
    await in_hand(stage)
    clock = Clock()
    loop = watch(stage, clock)
    await seconds_pass(clock, 5, loop)
    clock.now += 3600
    await seconds_pass(clock, 5, loop)
    assert list(await beats(stage.queue)) == ["dispatcher-1"]


async def test_silence_is_not_counted_over_a_loss_of_redis(stage: Stage) -> None:
    await in_hand(stage)
    clock = Clock()
    loop = watch(stage, clock)
    await seconds_pass(clock, 14, loop)
    epoch = await stage.epoch()
    await stage.queue.ask("HSET", stage.queue.keys.epoch, "number", 0)
    await seconds_pass(clock, 1, loop)
    await stage.queue.ask("HSET", stage.queue.keys.epoch, "number", epoch)
    await seconds_pass(clock, 14, loop)
    assert list(await beats(stage.queue)) == ["dispatcher-1"]
    await seconds_pass(clock, 3, loop)
    assert await beats(stage.queue) == {}


async def test_a_consumer_that_nobody_speaks_for_is_dead_too(stage: Stage) -> None:
    await in_hand(stage)
    await stage.queue.ask("DEL", stage.queue.keys.dispatchers)
    clock = Clock()
    await seconds_pass(clock, 25, watch(stage, clock))
    assert len((await stage.taking("dispatcher-2").take(1)).assignments) == 1


async def test_an_attempt_under_way_is_not_begun_again(stage: Stage) -> None:
    (assignment,) = await in_hand(stage)
    assert await stage.begin(assignment)
    clock = Clock()
    await seconds_pass(clock, 20, watch(stage, clock))
    (again,) = (await stage.taking("dispatcher-2").take(1)).assignments
    assert not await stage.begin(again)
    assert await stage.database.fetchval("select crashes from messages") == 0


async def test_a_retry_that_was_not_parked_any_more_is_found(stage: Stage) -> None:
    (assignment,) = await in_hand(stage)
    assert await stage.begin(assignment)
    await stage.record(assignment, Verdict.TRANSIENT, Status.RETRYING, due_seconds=0.0)
    clock = Clock()
    await seconds_pass(clock, 20, watch(stage, clock))
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    assert 2 in [entry.attempt for entry in await stage.entries(":transactional")]


async def test_a_message_that_kills_is_quarantined_and_its_neighbour_is_not(stage: Stage) -> None:
    poison, neighbour = (item.entry.message for item in await in_hand(stage, "dispatcher-0", count=2))
    clock = Clock()
    loop = watch(stage, clock)
    await seconds_pass(clock, 20, loop)
    for number in range(1, 5):
        taking = stage.taking(f"dispatcher-{number}")
        await taking.beat()
        for assignment in (await taking.take(2)).assignments:
            if assignment.entry.message == neighbour:
                await stage.finish(assignment, Verdict.SENT, Status.SENT, whatsapp_id="3EB0")
        assert await stage.status(poison) == "queued"
        await seconds_pass(clock, 20, loop)
    assert await stage.status(poison) == "failed"
    assert "quarantined" in await stage.database.fetchval("select reason from messages where id = $1", poison)
    assert await stage.status(neighbour) == "sent"


@pytest.mark.parametrize("stuck_after", [0.0, 300.0])
async def test_a_dispatcher_that_hangs_loses_its_entries(stage: Stage, stuck_after: float) -> None:
    await in_hand(stage)
    clock = Clock()
    await watch(stage, clock, stuck_after=stuck_after).step()
    taken = (await stage.taking("dispatcher-2").take(1)).assignments
    assert len(taken) == (1 if stuck_after == 0 else 0)
