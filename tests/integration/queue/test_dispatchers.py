"""reclaim and unregister: nothing of a dispatcher that is gone is lost or left behind."""

from dataclasses import replace

import pytest
from msgspec import structs

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import beats, consumers, reclaim, unregister
from shared.queue.streams import stream_length, stream_suffixes
from shared.queue.taking import Settlement
from tests.integration.queue.rota import (
    NOW,
    build,
    busy,
    dispatcher,
    entries_in,
    entry,
    pending,
    put,
    rota,
    take_one,
)

BULK, TEXT = Lane.BULK, Lane.TRANSACTIONAL
PAUSE = 5000
RESTING = {"a/0": (NOW - 1, NOW + 200_000)}
"""A slot that may send a text, but no campaign's message for a while."""


@pytest.mark.parametrize("suffix", [":transactional", ":bulk", ":endpoint:a:transactional", ":endpoint:a:bulk"])
async def test_reclaim_puts_entries_of_the_dead_back_and_counts_the_crash(queue: QueueConnection, suffix: str) -> None:
    await build(queue, ["a/0", "b/0"])
    lane = BULK if suffix.endswith("bulk") else TEXT
    bound = "a" if "endpoint" in suffix else ""
    mine, others = entry(lane, endpoint=bound), entry(lane, endpoint=bound, attempt=3)
    dead, living = dispatcher(queue, "a", "b", name="dead"), dispatcher(queue, "a", "b", name="living")
    await put(queue, mine)
    assignment = await take_one(dead)
    await dead.settle([Settlement(structs.replace(assignment, entry_id=""))], NOW)
    await put(queue, others)
    await take_one(living)
    assert await reclaim(queue, suffix, "dead") == [replace(mine, crashes=1)]
    assert await reclaim(queue, suffix, "dead") == []
    assert await entries_in(queue, suffix) == [others, replace(mine, crashes=1)]
    assert await pending(queue, suffix) == 1
    # What is idle for so long comes back from anybody, here without blame.
    assert await reclaim(queue, suffix, idle_ms=3_600_000) == []
    assert await reclaim(queue, suffix, idle_ms=0, crashed=False) == [others]
    assert await pending(queue, suffix) == 0


async def test_crashes_add_up(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry())
    taking = dispatcher(queue, "a")
    for crashes in (1, 2, 3):
        assignment = await take_one(taking)
        [back] = await reclaim(queue, ":transactional", "dispatcher-1")
        assert back.crashes == crashes
        await taking.settle([Settlement(assignment)], NOW)


async def test_what_was_settled_meanwhile_does_not_come_back(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry())
    assignment = await take_one(dispatcher(queue, "a"))
    await queue.redis.xdel(queue.keys.lane(TEXT), assignment.entry_id)
    assert await reclaim(queue, ":transactional", "dispatcher-1") == []
    assert await pending(queue, ":transactional") == 0
    assert await entries_in(queue, ":transactional") == []


async def test_a_stream_that_is_not_there_has_nothing_to_reclaim(queue: QueueConnection) -> None:
    assert await reclaim(queue, ":endpoint:nobody:bulk") == []
    assert await consumers(queue, ":endpoint:nobody:bulk") == []


async def test_unregistering_waits_for_reclaim_then_leaves_nothing_behind(queue: QueueConnection) -> None:
    await build(queue, RESTING | {"b/0": (NOW - 1, NOW - 1)})
    await put(queue, entry(), entry())
    gone, other = dispatcher(queue, "a", name="gone"), dispatcher(queue, "b", name="other")
    await gone.beat(NOW)
    await take_one(gone)
    await take_one(other)
    suffixes = await stream_suffixes(queue)
    assert await unregister(queue, "gone", NOW, PAUSE, suffixes, now_ms=NOW + 20_000) == "PENDING"
    assert list(await consumers(queue, ":transactional")) == ["gone", "other"]
    await reclaim(queue, ":transactional", "gone")
    assert await unregister(queue, "gone", NOW, PAUSE, suffixes, now_ms=NOW + 20_000) == "OK"
    assert list(await consumers(queue, ":transactional")) == ["other"]
    assert list(await busy(queue)) == ["b/0"]
    assert await rota(queue) == {"a/0": (NOW + 20_000 + PAUSE, NOW + 200_000)}
    assert await beats(queue) == {}


async def test_who_leaves_hands_back_what_it_could_not_read(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"])
    leaving = dispatcher(queue, "a", name="leaving")
    await leaving.beat(NOW)
    newer = {"v": "999", "m": "0" * 32, "n": "1", "what": "is this"}
    await queue.ask(
        "XADD", queue.keys.lane(Lane.TRANSACTIONAL), "*", *(part for pair in newer.items() for part in pair)
    )
    assert (await leaving.take(1, NOW)).assignments == []
    assert await unregister(queue, "leaving", None, 0, [":transactional"]) == "OK"
    assert await consumers(queue, ":transactional") == []
    # As it was, no crash counted, and there for the next one.
    stream = queue.keys.lane(Lane.TRANSACTIONAL)
    [(_, fields)] = await queue.ask("XRANGE", stream, "-", "+")
    assert fields == newer
    reply = await queue.ask("XREADGROUP", "GROUP", queue.group, "next", "STREAMS", stream, ">")
    assert reply, "nobody can take it"


async def test_what_is_reclaimed_and_cannot_be_read_is_back_in_its_stream(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await queue.ask("XADD", queue.keys.lane(Lane.TRANSACTIONAL), "*", "v", "999", "what", "is this")
    assert (await dispatcher(queue, "a", name="dead").take(1, NOW)).assignments == []
    assert await reclaim(queue, ":transactional", "dead") == []
    assert await stream_length(queue, Lane.TRANSACTIONAL) == 1
    assert await unregister(queue, "dead", NOW, PAUSE, [":transactional"]) == "OK"


async def test_who_has_beaten_again_is_not_unregistered(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    taking = dispatcher(queue, "a", name="slow")
    await taking.beat(NOW)
    await put(queue, entry())
    await take_one(taking)
    await taking.beat(NOW + 20_000)
    assert await unregister(queue, "slow", NOW, PAUSE, [":transactional"]) == "ALIVE"
    assert list(await busy(queue)) == ["a/0"]
    assert await beats(queue) == {"slow": NOW + 20_000}
