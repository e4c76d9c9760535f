"""readmit, open_breaker and beat: who is in the rota, and never before its pause is over."""

from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import beats
from shared.queue.rota import open_breaker, readmit
from tests.integration.queue.rota import (
    LEASE,
    NOW,
    build,
    dispatcher,
    done,
    entry,
    put,
    rota,
    state,
    take,
    take_one,
)


async def test_readmit_puts_on_trial_once_and_not_before_its_time(queue: QueueConnection) -> None:
    await build(queue, [], states={"a": {"breaker": "open", "generation": "3", "not_before": str(NOW + 500)}})
    assert not await readmit(queue, "a", 2, now_ms=NOW + 499)
    assert await readmit(queue, "a", 2, now_ms=NOW + 500)
    assert not await readmit(queue, "a", 2, now_ms=NOW + 500)
    trial = await state(queue, "a")
    assert (trial["breaker"], trial["generation"]) == ("half_open", "4")
    assert await rota(queue) == dict.fromkeys(["a/0", "a/1"], (NOW + 500, NOW + 500))
    assert await readmit(queue, "a", 2, to="closed", now_ms=NOW + 501)
    assert not await readmit(queue, "a", 2, to="closed", at_once=True, now_ms=NOW + 502)


async def test_readmit_leaves_a_slot_in_use_to_its_owner(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"])
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a", slots=2)
    first, second = await take(taking)
    await taking.settle([done(first, outcome="critical", reason="logged out")], NOW)
    assert await readmit(queue, "a", 2, to="closed", at_once=True, now_ms=NOW)
    assert list(await rota(queue)) == [first.slot]
    await taking.settle([done(second, 50, bulk_ready_ms=50)], NOW)
    assert sorted(await rota(queue)) == ["a/0", "a/1"]


async def test_a_beat_adds_the_slots_that_nobody_has(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW + 700, NOW + 900)}, states={"c": {"breaker": "open"}}, busy={"b/0": NOW + LEASE})
    await dispatcher(queue, "a", "b", "c", "d", slots=2).beat(NOW)
    fresh = (NOW, NOW)
    assert await rota(queue) == {"a/0": (NOW + 700, NOW + 900), "a/1": fresh, "b/1": fresh, "d/0": fresh, "d/1": fresh}
    assert await beats(queue) == {"dispatcher-1": NOW}


async def test_opening_keeps_the_pause_and_voids_the_answer_to_what_was_under_way(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW, NOW), "a/1": (NOW + 7000, NOW + 9000)})
    await put(queue, entry())
    taking = dispatcher(queue, "a", slots=2)
    assignment = await take_one(taking)
    assert await open_breaker(queue, "a", "the account is offline", 5000, NOW)
    assert not await open_breaker(queue, "a", "again", 5000, NOW), "it is open already"
    assert await rota(queue) == {}
    await taking.settle([done(assignment, 1000)], NOW)
    found = await state(queue, "a")
    assert (found["breaker"], found["reason"], found["not_before"]) == (
        "open",
        "the account is offline",
        str(NOW + 5000),
    )
    assert await rota(queue) == {}
    assert not await readmit(queue, "a", 2, now_ms=NOW + 4999)
    assert await readmit(queue, "a", 2, now_ms=NOW + 5000)
    assert await rota(queue) == dict.fromkeys(("a/0", "a/1"), (NOW + 7000, NOW + 9000))
