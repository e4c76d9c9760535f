"""An endpoint's slots are walked as far as it has any: more or fewer of them, with gaps, and beside an older version."""

import pytest

from shared.endpoints.caps import Caps
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.figures import queue_figures
from shared.queue.rota import drop_gone, open_breaker, readmit, set_caps
from tests.integration.queue.rota import (
    NOW,
    OPEN_TIMEOUT,
    build,
    busy,
    client,
    dispatcher,
    done,
    entry,
    put,
    rota,
    state,
    take,
)

AFTER = 600_000
LATER = NOW + AFTER


async def registered(queue: QueueConnection) -> str:
    return (await state(queue, "a"))["slots"]


async def older_version_adds(queue: QueueConnection, *slots: str) -> None:
    """As a beat before slots were registered: nothing of it in the endpoint's state."""
    for key in (queue.keys.rota, queue.keys.rota_bulk):
        await client(queue).zadd(key, dict.fromkeys(slots, NOW - 1))


async def test_more_slots_are_all_found(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    assert await registered(queue) == "1"
    await dispatcher(queue, "a", slots=3).beat(NOW)
    assert await registered(queue) == "3"
    await dispatcher(queue, "a", slots=1).beat(NOW)
    assert await registered(queue) == "3", "somebody still uses them"
    assert await open_breaker(queue, "a", "offline", 0, NOW)
    assert await rota(queue) == {}
    assert await readmit(queue, "a", 5, now_ms=NOW)
    assert await registered(queue) == "5"
    await put(queue, *(entry(endpoint="a") for _ in range(5)))
    await client(queue).hset(queue.keys.state("a"), "breaker", "closed")
    assert len(await take(dispatcher(queue, "a", slots=5), 5)) == 5


async def test_fewer_slots_are_no_longer_walked_and_may_grow_again(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1", "a/2"], states={"a": {"breaker": "closed"}})
    await dispatcher(queue, "a", slots=3).beat(NOW)
    await dispatcher(queue, "a", slots=1).beat(LATER)
    assert await drop_gone(queue, ["a"], 1, AFTER, LATER) == ["a/1", "a/2"]
    assert await registered(queue) == "1"
    await dispatcher(queue, "a", slots=2).beat(LATER)
    assert await registered(queue) == "2"
    assert set(await rota(queue)) == {"a/0", "a/1"}


async def test_what_stays_above_a_dropped_slot_is_still_found(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW - 1), "a/1": (NOW - 1, NOW - 1), "a/2": (LATER + 5, LATER + 5)})
    await dispatcher(queue, "a", slots=3).beat(NOW)
    await dispatcher(queue, "a", slots=1).beat(LATER)
    assert await drop_gone(queue, ["a"], 1, AFTER, LATER) == ["a/1"]
    assert await registered(queue) == "3"
    figures = (await queue_figures(queue, ["a"], now_ms=LATER)).endpoints["a"]
    assert (figures.slots_free, figures.slots_used) == (2, 0)
    assert await open_breaker(queue, "a", "offline", 0, LATER)
    assert await rota(queue) == {}
    assert (await state(queue, "a"))["ready_at"] == str(LATER + 5)


async def test_the_state_stays_until_the_last_slot_is_gone(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW - 1), "a/1": (NOW - 1, NOW - 1), "a/2": (LATER + 5, LATER + 5)})
    await dispatcher(queue, "a", slots=3).beat(NOW)
    assert await drop_gone(queue, [], 1, AFTER, LATER) == ["a/0", "a/1"]
    assert await registered(queue) == "3"
    assert await drop_gone(queue, [], 1, AFTER, LATER + 5) == ["a/2"]
    assert await state(queue, "a") == {}


async def test_a_message_in_hand_of_an_open_endpoint_counts_for_its_first_cap(queue: QueueConnection) -> None:
    """Its lower slots are nowhere while it is open."""
    await build(queue, ["a/0", "a/1", "a/2"])
    await put(queue, entry(), entry(), entry())
    taking = dispatcher(queue, "a", slots=3)
    first, second, third = await take(taking)
    await taking.settle([done(first, outcome="critical", reason="logged out"), done(second)], NOW)
    assert set(await busy(queue)) == {third.slot}
    assert third.slot == "a/2"
    assert await set_caps(queue, "a", Caps(hour=5), [], NOW)
    assert await client(queue).zrange(queue.keys.sends("a"), 0, -1) == [third.token]


@pytest.mark.parametrize("known", [0, 1, 2])
async def test_slots_of_an_older_version_are_followed(queue: QueueConnection, known: int) -> None:
    await build(queue, [f"a/{number}" for number in range(known)])
    await older_version_adds(queue, *(f"a/{number}" for number in range(known, 4)))
    await put(queue, entry(Lane.TRANSACTIONAL, endpoint="a"))
    taking = dispatcher(queue, "a", slots=4)
    [taken] = await take(taking, 1)
    await taking.settle([done(taken, 5000, bulk_ready_ms=7000)], NOW)
    assert await rota(queue) == {f"a/{number}": (NOW + 5000, NOW + 7000) for number in range(4)}
    figures = (await queue_figures(queue, ["a"], now_ms=NOW)).endpoints["a"]
    assert figures.slots_free == 4
    assert await open_breaker(queue, "a", "offline", OPEN_TIMEOUT, NOW)
    assert await rota(queue) == {}
