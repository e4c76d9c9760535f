"""Messages outside chunks that are not in Redis, or not any more."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.database.connection import load_statements
from shared.errors import RebuildNeeded
from shared.messages import Entry, Lane, Status, Verdict
from shared.queue.enqueueing import Placement, enqueue
from tests.integration.scheduler.stage import Clock, Stage


def sweep(stage: Stage, clock: Clock | None = None, high_water: int = 1000) -> UnqueuedMessages:
    return UnqueuedMessages(stage.queue, stage.database, high_water, *([clock] if clock else []))


async def test_a_failed_enqueue_is_repaired_once(stage: Stage) -> None:
    message = await stage.message()
    loops = [sweep(stage), sweep(stage)]
    await asyncio.gather(*(loop.step() for loop in loops))
    await loops[0].step()
    assert await stage.waiting(":transactional") == [message]


async def test_what_another_scheduler_is_claiming_is_left_to_it(stage: Stage) -> None:
    await stage.message()
    async with stage.database.transaction() as connection:
        claimed = await connection.fetch(load_statements("due")["claim_unqueued"], "transactional", 10)
        await sweep(stage).step()
        assert await stage.waiting(":transactional") == []
    assert len(claimed) == 1


async def test_a_chosen_endpoint_is_kept(stage: Stage) -> None:
    message = await stage.message(endpoint=stage.endpoints[1])
    await sweep(stage).step()
    (entry,) = await stage.entries(f":endpoint:{stage.endpoints[1]}:transactional")
    assert (entry.message, entry.chosen) == (message, True)


async def test_what_may_not_begin_is_left(stage: Stage) -> None:
    future = await stage.message(age=-3600)
    token, members = await stage.campaign(1, status="paused")
    await stage.database.execute(
        "insert into due (message, due_at, why, campaign, lane) values ($1, clock_timestamp(), 'retry', $2, 'bulk')",
        members[0],
        token,
    )
    await stage.database.execute("select set_stopped_lanes('{transactional}', 'a test')")
    now = await stage.message()
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == []
    assert await stage.waiting(":bulk") == []

    await stage.database.execute("select set_stopped_lanes('{}', null)")
    await stage.database.execute("select resume_campaign($1)", token)
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == [now]
    assert await stage.waiting(":bulk") == members
    assert future not in await stage.waiting(":transactional")


async def test_an_entry_that_vanished_is_put_back_and_a_waiting_one_is_not_doubled(stage: Stage) -> None:
    waiting = await stage.message(enqueued=True, age=200)
    await enqueue(stage.queue, [Placement(Entry(waiting, 1, Lane.TRANSACTIONAL))])
    await stage.age_stream(":transactional", 200)
    lost = await stage.message(enqueued=True, age=300)
    clock = Clock()
    loop = sweep(stage, clock)
    await loop.step()
    assert await stage.waiting(":transactional") == [waiting, lost]
    clock.now += 10
    await loop.step()
    assert await stage.waiting(":transactional") == [waiting, lost]


async def test_with_an_empty_stream_a_minute_must_have_passed(stage: Stage) -> None:
    await stage.message(enqueued=True, age=50)
    old = await stage.message(enqueued=True, age=70)
    await sweep(stage).step()
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == [old]


async def test_an_entry_bound_elsewhere_is_not_doubled(stage: Stage) -> None:
    message = await stage.message(enqueued=True, age=200)
    suffix = f":endpoint:{stage.endpoints[0]}:transactional"
    await enqueue(stage.queue, [Placement(Entry(message, 1, Lane.TRANSACTIONAL, endpoint=stage.endpoints[0]))])
    await stage.age_stream(suffix, 200)
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == []


async def test_a_chosen_account_that_is_down_hides_no_loss(stage: Stage) -> None:
    stuck = await stage.message(enqueued=True, age=900, endpoint=stage.endpoints[0])
    suffix = f":endpoint:{stage.endpoints[0]}:transactional"
    await enqueue(
        stage.queue, [Placement(Entry(stuck, 1, Lane.TRANSACTIONAL, endpoint=stage.endpoints[0], chosen=True))]
    )
    await stage.age_stream(suffix, 900)
    lost = await stage.message(enqueued=True, age=100)
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == [lost]
    assert await stage.waiting(suffix) == [stuck]


async def test_a_retry_that_was_settled_counts_as_parked(stage: Stage) -> None:
    message = await stage.message()
    await sweep(stage).step()
    (assignment,) = (await stage.taking().take(1)).assignments
    await stage.finish(assignment, Verdict.TRANSIENT, Status.RETRYING, due_seconds=0.0)
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == []
    await stage.database.execute(
        "update due set due_at = due_at - interval '70 s', enqueued_at = enqueued_at - interval '70 s'"
    )
    await sweep(stage).step()
    await sweep(stage).step()
    (entry,) = await stage.entries(":transactional")
    assert (entry.message, entry.attempt) == (message, 2)


async def test_nothing_is_lost_when_redis_is_of_another_epoch(stage: Stage) -> None:
    message = await stage.message()
    await stage.database.execute("update control set epoch = epoch + 1")
    with pytest.raises(RebuildNeeded):
        await sweep(stage).step()
    await stage.rebuilder().step()
    await sweep(stage).step()
    assert await stage.waiting(":transactional") == [message]


async def test_retries_of_campaigns_do_not_fill_redis(stage: Stage) -> None:
    token, members = await stage.campaign(50)
    await stage.database.execute(
        "insert into due (message, due_at, why, campaign, lane)"
        " select id, clock_timestamp(), 'retry', $2, 'bulk' from unnest($1::uuid[]) as m (id)",
        members,
        token,
    )
    loop = sweep(stage, high_water=10)
    for _ in range(3):
        await loop.step()
    assert len(await stage.waiting(":bulk")) == 20
