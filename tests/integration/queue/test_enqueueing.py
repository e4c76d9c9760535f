"""enqueue.lua: entries and what tells of them, all or none."""

import asyncio

import pytest

from shared.errors import RebuildNeeded
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.streams import OldestEntry, oldest_entries, parked_entries, stream_length
from tests.integration.queue.rota import NOW, build, entries_in, entry, parked, put


async def test_entries_go_where_they_belong_in_their_order(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    texts = [entry() for _ in range(3)]
    bound, bulk, later = entry(Lane.BULK, endpoint="a"), entry(Lane.BULK), entry()
    places = [Placement(one) for one in (*texts, bound, bulk)] + [Placement(later, NOW)]
    assert await enqueue(queue, places, epoch=1) == 6
    assert await entries_in(queue, ":transactional") == texts
    assert await entries_in(queue, ":endpoint:a:bulk") == [bound]
    assert await entries_in(queue, ":bulk") == [bulk]
    assert await parked(queue) == [NOW]
    assert await queue.redis.smembers(queue.keys.bound) == {"a"}
    assert await stream_length(queue, Lane.TRANSACTIONAL) == 3


async def test_another_epoch_adds_nothing(queue: QueueConnection) -> None:
    with pytest.raises(RebuildNeeded):
        await enqueue(queue, [Placement(entry())], epoch=1)
    await build(queue, [], epoch=2)
    with pytest.raises(RebuildNeeded):
        await enqueue(queue, [Placement(entry()), Placement(entry(), NOW)], epoch=1)
    assert await entries_in(queue, ":transactional") == []
    assert await parked(queue) == []
    assert await enqueue(queue, [Placement(entry())]) == 1


async def test_a_time_is_kept_to_the_millisecond(queue: QueueConnection) -> None:
    due = 1_834_567_891_237
    await enqueue(queue, [Placement(entry(), due)])
    assert await queue.redis.zcount(queue.keys.scheduled, due, due) == 1


async def test_idle_dispatchers_are_woken(queue: QueueConnection) -> None:
    async with queue.redis.pubsub() as listener:
        await listener.subscribe(queue.keys.wake)
        await put(queue, entry())
        async with asyncio.timeout(10):
            while True:
                told = await listener.get_message(ignore_subscribe_messages=True, timeout=1)
                if told:
                    break
    assert told["channel"] == queue.keys.wake


async def test_the_oldest_entry_of_each_stream_that_has_one(queue: QueueConnection) -> None:
    assert await oldest_entries(queue) == []
    for stamp in (NOW, NOW + 5):
        await queue.redis.xadd(queue.keys.lane(Lane.BULK), {"v": "1"}, id=f"{stamp}-0")
    await queue.redis.sadd(queue.keys.bound, "a", "empty")
    await queue.redis.xadd(queue.keys.lane(Lane.TRANSACTIONAL, "a"), {"v": "1", "chosen": "1"}, id=f"{NOW + 7}-3")
    assert await oldest_entries(queue) == [
        OldestEntry(Lane.BULK, "", NOW, False),
        OldestEntry(Lane.TRANSACTIONAL, "a", NOW + 7, True),
    ]


async def test_only_what_waits_for_its_time_is_parked(queue: QueueConnection) -> None:
    await enqueue(queue, [Placement(entry()), Placement(entry(), NOW), Placement(entry(Lane.BULK), NOW + 1)])
    assert await parked_entries(queue) == 2
