"""promote.lua: what is due goes where it belongs, and nothing comes back early."""

from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.rota import readmit
from shared.queue.taking import BreakerChange
from tests.integration.queue.rota import (
    LEASE,
    NOW,
    OPEN_TIMEOUT,
    TRIAL,
    build,
    busy,
    dispatcher,
    done,
    entry,
    parked,
    put,
    rota,
    state,
    take,
    take_one,
)

PAUSE = 5000
RESTING = {"a/0": (NOW - 1, NOW + 200_000)}
"""A slot that may send a text, but no campaign's message for a while."""


async def test_promote_moves_no_more_than_its_limit(queue: QueueConnection) -> None:
    await enqueue(queue, [Placement(entry(), NOW + moment) for moment in range(5)])
    assert (await promote(queue, 3, PAUSE, OPEN_TIMEOUT, NOW + 100)).moved == 3
    assert await parked(queue) == [NOW + 3, NOW + 4]
    assert (await promote(queue, 3, PAUSE, OPEN_TIMEOUT, NOW + 100)).wait_ms is None


async def test_a_slot_whose_lease_ended_comes_back_after_a_pause(queue: QueueConnection) -> None:
    await build(queue, RESTING)
    await put(queue, entry())
    await take_one(dispatcher(queue, "a"))
    assert (await promote(queue, 10, PAUSE, OPEN_TIMEOUT, NOW + LEASE - 1)).leases_ended == 0
    assert (await promote(queue, 10, PAUSE, OPEN_TIMEOUT, NOW + LEASE)).leases_ended == 1
    assert await busy(queue) == {}
    # The campaign's pause, which was there before, is not cut short by it.
    assert await rota(queue) == {"a/0": (NOW + LEASE + PAUSE, NOW + 200_000)}


async def test_a_lease_of_an_open_endpoint_ends_without_a_turn(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW - 1), "a/1": RESTING["a/0"]})
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a", slots=2)
    first, _ = await take(taking)
    await taking.settle([done(first, outcome="critical", reason="logged out")], NOW)
    assert (await promote(queue, 10, PAUSE, OPEN_TIMEOUT, NOW + LEASE)).leases_ended == 1
    assert await rota(queue) == {}
    assert await readmit(queue, "a", 2, at_once=True, now_ms=NOW + LEASE)
    assert await rota(queue) == dict.fromkeys(["a/0", "a/1"], (NOW + LEASE + PAUSE, NOW + 200_000))


async def test_a_trial_without_an_answer_opens_the_breaker_again(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 2, NOW - 2), "a/1": (NOW - 1, NOW + 300_000)}, states={"a": {"breaker": "open"}})
    assert await readmit(queue, "a", 2, now_ms=NOW)
    taking = dispatcher(queue, "a", slots=2)
    assert (await promote(queue, 10, PAUSE, OPEN_TIMEOUT, NOW + 10 * TRIAL)).breakers == []
    await put(queue, entry())
    trial = await take_one(taking)
    assert (await promote(queue, 10, PAUSE, OPEN_TIMEOUT, NOW + TRIAL - 1)).breakers == []
    [change] = (await promote(queue, 10, PAUSE, OPEN_TIMEOUT, NOW + TRIAL)).breakers
    assert change == BreakerChange("a", "half_open", "open", "a trial had no answer in time")
    assert await rota(queue) == {}
    # Its late answer changes nothing.
    assert await taking.settle([done(trial)], NOW + TRIAL + 1) == []
    assert (await state(queue, "a"))["breaker"] == "open"
    assert await rota(queue) == {}
    assert not await readmit(queue, "a", 2, now_ms=NOW + TRIAL + OPEN_TIMEOUT - 1)
    assert await readmit(queue, "a", 2, now_ms=NOW + TRIAL + OPEN_TIMEOUT)
    assert {times[1] for times in (await rota(queue)).values()} == {NOW + 300_000}
