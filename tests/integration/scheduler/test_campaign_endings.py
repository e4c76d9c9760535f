"""Campaigns finish, are cancelled, expire; chunks whose entries are gone."""

from __future__ import annotations

import asyncio

from services.scheduler.campaigns.completion import Completion
from services.scheduler.campaigns.ending import Ending
from services.scheduler.campaigns.feeding import Feeding
from services.scheduler.expired_messages import ExpiredMessages
from shared.messages import Entry, Lane, Status, Verdict
from shared.queue.enqueueing import Placement, enqueue
from tests.integration.scheduler.stage import Clock, Stage


async def send_all(stage: Stage) -> int:
    sent = 0
    while assignments := (await stage.taking().take(10)).assignments:
        for assignment in assignments:
            await stage.finish(assignment, Verdict.SENT, Status.SENT, whatsapp_id=assignment.token)
            sent += 1
    return sent


async def test_a_campaign_finishes_when_all_have_ended(stage: Stage) -> None:
    token, members = await stage.campaign(4, 2)
    completion = Completion(stage.queue, stage.database)
    await Feeding(stage.queue, stage.database, 1000).step()
    (first,) = (await stage.taking().take(1)).assignments
    await stage.finish(first, Verdict.SENT, Status.SENT, whatsapp_id="3EB0")
    await completion.step()
    assert await stage.campaign_status(token) == "running"
    assert await send_all(stage) == len(members) - 1
    await asyncio.gather(completion.step(), Completion(stage.queue, stage.database).step())
    assert await stage.campaign_status(token) == "finished"
    assert (await stage.chunk(token, 1))["closed_at"] is not None


async def test_a_cancelled_campaign_is_ended_in_full(stage: Stage) -> None:
    token, _ = await stage.campaign(1200, 500)
    await Feeding(stage.queue, stage.database, 1000).step()
    (under_way,) = (await stage.taking().take(1)).assignments
    assert await stage.begin(under_way)
    await stage.database.execute("select cancel_campaign($1)", token)
    await asyncio.gather(Ending(stage.database, 0).step(), Ending(stage.database, 1).step())
    await Ending(stage.database, 0).step()
    assert await stage.statuses(token) == {"canceled": 1199, "sending": 1}
    completion = Completion(stage.queue, stage.database)
    await completion.step()
    assert not await stage.database.fetchval("select finished_at is not null from campaigns")

    await stage.record(under_way, Verdict.TRANSIENT, Status.RETRYING, due_seconds=0.0)
    await Ending(stage.database, 0).step()
    await completion.step()
    assert await stage.statuses(token) == {"canceled": 1200}
    assert await stage.database.fetchval("select finished_at is not null from campaigns")
    assert await stage.database.fetchval("select sum(canceled) from campaign_counts") == 1200
    assert await Ending(stage.database, 0).step() is None


async def test_an_expired_campaign_ends_as_expired(stage: Stage) -> None:
    token, _ = await stage.campaign(7, 3)
    await stage.database.execute("select pause_campaign($1)", token)
    await stage.database.execute("update campaigns set expires_at = clock_timestamp()")
    assert await Ending(stage.database, 0).step() == 0.0
    await Completion(stage.queue, stage.database).step()
    assert await stage.statuses(token) == {"expired": 7}
    assert await stage.campaign_status(token) == "finished"


async def test_a_retry_that_came_first_keeps_its_messages(stage: Stage) -> None:
    token, _ = await stage.campaign(3)
    await stage.database.execute("update messages set status = 'failed'")
    await stage.database.execute("update campaigns set expires_at = clock_timestamp()")
    await Completion(stage.queue, stage.database).step()
    assert await stage.database.fetchval("select retry_campaign($1)", token) == 3
    await Ending(stage.database, 0).step()
    assert await stage.statuses(token) == {"queued": 3}


async def test_singles_expire_without_being_taken(stage: Stage) -> None:
    gone = await stage.message(enqueued=True, expires_in=-1)
    alive = await stage.message(enqueued=True)
    loop = ExpiredMessages(stage.database, 0)
    await loop.step()
    assert [await stage.status(message) for message in (gone, alive)] == ["expired", "queued"]
    assert await stage.database.fetchval("select count(*) from due") == 1
    late = await stage.message(enqueued=True, expires_in=-1)
    await loop.step()
    assert await stage.status(late) == "expired"


async def fed_ago(stage: Stage, seconds: int) -> None:
    await stage.database.execute("update chunks set fed_at = fed_at - make_interval(secs => $1)", seconds)


async def test_a_chunk_whose_entries_were_lost_is_fed_again(stage: Stage) -> None:
    token, members = await stage.campaign(3)
    feeding = Feeding(stage.queue, stage.database, 1000)
    await feeding.step()
    clock = Clock()
    completion = Completion(stage.queue, stage.database, clock)
    await stage.queue.ask("XTRIM", stage.queue.keys.prefix + ":bulk", "MAXLEN", 0)
    await completion.step()
    await fed_ago(stage, 70)
    clock.now += 10
    await completion.step()
    await feeding.step()
    assert await stage.waiting(":bulk") == members
    clock.now += 10
    await completion.step()
    assert (await stage.chunk(token))["fed_at"] is not None


async def test_a_chunk_whose_entries_wait_is_left(stage: Stage) -> None:
    token, members = await stage.campaign(3)
    await Feeding(stage.queue, stage.database, 1000).step()
    await stage.age_stream(":bulk", 200)
    await fed_ago(stage, 200)
    before = await stage.chunk(token)
    await Completion(stage.queue, stage.database).step()
    assert await stage.chunk(token) == before

    # An entry that was bound to an account meanwhile is still of that age.
    await stage.queue.ask("XTRIM", stage.queue.keys.prefix + ":bulk", "MAXLEN", 0)
    await enqueue(stage.queue, [Placement(Entry(members[2], 1, Lane.BULK, endpoint=stage.endpoints[0]))])
    await stage.age_stream(f":endpoint:{stage.endpoints[0]}:bulk", 200)
    await Completion(stage.queue, stage.database).step()
    assert await stage.chunk(token) == before


async def test_a_chunk_with_nothing_open_is_closed(stage: Stage) -> None:
    token, members = await stage.campaign(4, 2)
    await Feeding(stage.queue, stage.database, 1000).step()
    await stage.queue.ask("XTRIM", stage.queue.keys.prefix + ":bulk", "MAXLEN", 0)
    await stage.database.execute("update messages set status = 'sent' where id = any ($1)", members[:2])
    await stage.database.execute("update messages set status = 'retrying' where id = any ($1)", members[2:])
    await fed_ago(stage, 70)
    await Completion(stage.queue, stage.database).step()
    done, open_ = await stage.chunk(token, 0), await stage.chunk(token, 1)
    assert (done["closed_at"] is not None, open_["closed_at"]) == (True, None)
    # Retries have a due row of their own; feeding has nothing to add.
    assert open_["fed_at"] is not None
