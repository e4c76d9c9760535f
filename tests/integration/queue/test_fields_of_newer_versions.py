"""An entry keeps every field that it came with, read or not, on all ways that it can go."""

from __future__ import annotations

from dataclasses import replace

from shared.messages import Entry, Lane
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import reclaim, unregister
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.streams import rebind
from shared.queue.taking import FollowUp, Settlement
from tests.integration.queue.rota import (
    NOW,
    OPEN_TIMEOUT,
    build,
    client,
    dispatcher,
    done,
    entries_in,
    entry,
    put,
    take_one,
)

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NEWER = (("later", "with a newer version"), ("z", "1"))


def newer(endpoint: str = "") -> Entry:
    return replace(entry(endpoint=endpoint), trace=TRACE, others=NEWER)


async def due(queue: QueueConnection, now: int) -> None:
    assert (await promote(queue, 10, 0, OPEN_TIMEOUT, now)).moved == 1


async def test_from_one_attempt_to_the_next(queue: QueueConnection) -> None:
    """Put back, parked, handed to another account, tried again."""
    await build(queue, ["a/0", "b/0"])
    mine = newer()
    await put(queue, mine)
    ours, other = dispatcher(queue, "a"), dispatcher(queue, "b", name="dispatcher-2")
    taken = await take_one(ours)
    assert taken.entry == mine
    await ours.settle([Settlement(taken, follow_up=FollowUp(taken.entry))], NOW)

    taken = await take_one(ours)
    assert taken.entry == mine
    await ours.settle([Settlement(taken, follow_up=FollowUp(taken.entry, due_ms=500))], NOW)
    await due(queue, NOW + 500)

    taken = await take_one(ours, NOW + 500)
    assert taken.entry == mine
    elsewhere = replace(taken.entry, excluded=("a",))
    known = dispatcher(queue, "a", "b")
    await known.settle([Settlement(taken, follow_up=FollowUp(elsewhere, rebind=True, otherwise_ms=1))], NOW + 500)

    taken = await take_one(other, NOW + 501)
    assert taken.entry == replace(mine, endpoint="b", excluded=("a",))
    again = replace(taken.entry, attempt=2, endpoint="", excluded=())
    failed = done(taken, verdict="transient", outcome="ignore", follow_up=FollowUp(again, due_ms=700))
    await other.settle([failed], NOW + 501)
    await due(queue, NOW + 1201)
    assert (await take_one(other, NOW + 1201)).entry == replace(mine, attempt=2)


async def test_where_no_other_account_can_take_it(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, newer())
    ours = dispatcher(queue, "a")
    taken = await take_one(ours)
    elsewhere = replace(taken.entry, excluded=("a",))
    await ours.settle([Settlement(taken, follow_up=FollowUp(elsewhere, rebind=True, otherwise_ms=9))], NOW)
    await due(queue, NOW + 9)
    assert (await take_one(ours, NOW + 9)).entry == taken.entry


async def test_from_later_to_now(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    mine = newer("a")
    await enqueue(queue, [Placement(mine, NOW + 1000)])
    await due(queue, NOW + 1000)
    assert (await take_one(dispatcher(queue, "a"), NOW + 1000)).entry == mine


async def test_back_from_the_hand_of_who_died_left_or_never_heard(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    mine = newer()
    await put(queue, mine)
    suffixes = (":transactional", ":bulk")
    await take_one(dispatcher(queue, "a"))
    assert await dispatcher(queue, "a").take_back(suffixes, NOW) == (1, 1)
    await take_one(dispatcher(queue, "a", name="dead"))
    assert await reclaim(queue, ":transactional", "dead") == [replace(mine, crashes=1)]
    assert await unregister(queue, "dead", None, 0, suffixes, NOW) == "OK"
    await take_one(dispatcher(queue, "a", name="leaving"), NOW + 1)
    assert await unregister(queue, "leaving", None, 0, suffixes, NOW + 1) == "OK"
    assert await entries_in(queue, ":transactional") == [replace(mine, crashes=1)]


async def test_away_from_an_account_that_is_gone(queue: QueueConnection) -> None:
    await build(queue, ["b/0"])
    mine = newer("a")
    await put(queue, mine)
    assert await rebind(queue, "a", Lane.TRANSACTIONAL) == 1
    assert await entries_in(queue, ":transactional") == [replace(mine, endpoint="")]


async def test_what_is_written_is_what_the_names_say(queue: QueueConnection) -> None:
    """By hand, as a newer version would, and read by hand."""
    await build(queue, ["a/0"])
    fields = newer().fields()
    await client(queue).xadd(queue.keys.lane(Lane.TRANSACTIONAL), fields)
    taking = dispatcher(queue, "a")
    taken = await take_one(taking)
    await taking.settle([Settlement(taken, follow_up=FollowUp(taken.entry))], NOW)
    [(_, written)] = await client(queue).xrange(queue.keys.lane(Lane.TRANSACTIONAL))
    assert written == fields
    assert (written["t"], written["later"]) == (TRACE, "with a newer version")
