"""Whatever opens a breaker does it alike: it counts once, voids what is under way, and keeps the pauses."""

from collections.abc import Awaitable, Callable

import pytest

from shared.queue.connection import QueueConnection
from shared.queue.promoting import promote
from shared.queue.rota import open_breaker, readmit, withdraw
from shared.queue.taking import Taking
from tests.integration.queue.rota import (
    NOW,
    OPEN_TIMEOUT,
    TRIAL,
    build,
    client,
    dispatcher,
    done,
    entry,
    put,
    rota,
    state,
    take_one,
)

Opening = Callable[[QueueConnection, Taking], Awaitable[object]]


async def answers(queue: QueueConnection, taking: Taking, outcome: str) -> object:
    await put(queue, entry())
    return await taking.settle([done(await take_one(taking), outcome=outcome, reason="502")], NOW)


async def critical_answer(queue: QueueConnection, taking: Taking) -> object:
    return await answers(queue, taking, "critical")


async def failures(queue: QueueConnection, taking: Taking) -> object:
    return [await answers(queue, taking, "fail") for _ in range(3)][-1]


async def failed_trial(queue: QueueConnection, taking: Taking) -> object:
    await client(queue).hset(queue.keys.state("a"), "breaker", "half_open")
    return await answers(queue, taking, "fail")


async def silent_trial(queue: QueueConnection, taking: Taking) -> object:
    await client(queue).hset(queue.keys.state("a"), "breaker", "half_open")
    await client(queue).hset(queue.keys.trials, "a", NOW)
    await put(queue, entry())
    await take_one(taking, NOW - TRIAL)
    opened = await promote(queue, 10, 0, OPEN_TIMEOUT, NOW)
    return opened.breakers


async def status_of_the_account(queue: QueueConnection, _: Taking) -> object:
    return await open_breaker(queue, "a", "offline", OPEN_TIMEOUT, NOW)


async def operator(queue: QueueConnection, _: Taking) -> object:
    return await withdraw(queue, "a", "suspended")


async def operator_during_a_trial(queue: QueueConnection, taking: Taking) -> object:
    await client(queue).hset(queue.keys.state("a"), "breaker", "half_open")
    await client(queue).hset(queue.keys.trials, "a", NOW)
    return await operator(queue, taking)


WAYS = (
    critical_answer,
    failures,
    failed_trial,
    silent_trial,
    status_of_the_account,
    operator,
    operator_during_a_trial,
)


async def opened(queue: QueueConnection) -> str | None:
    count: str | None = await client(queue).hget(queue.keys.statistics, "breaker_open")
    return count


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_every_way_counts_and_leaves_the_same(queue: QueueConnection, way: Opening) -> None:
    early = NOW - 2 * TRIAL
    await build(
        queue,
        {"a/0": (early, early), "a/1": (NOW + 7000, NOW + 9000)},
        states={"a": {"breaker": "closed", "generation": "4"}},
    )
    assert await way(queue, dispatcher(queue, "a", slots=2)), "nothing was opened"
    assert await opened(queue) == "1"
    found = await state(queue, "a")
    assert {name: found[name] for name in ("breaker", "generation", "failures", "successes", "trial_until")} == {
        "breaker": "open",
        "generation": "5",
        "failures": "0",
        "successes": "0",
        "trial_until": "0",
    }
    assert (found["ready_at"], found["bulk_ready_at"]) == (str(NOW + 7000), str(NOW + 9000))
    assert await rota(queue) == {}
    assert await client(queue).hgetall(queue.keys.trials) == {}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_withdrawing_what_is_open_counts_nothing_and_opens_for_longer(
    queue: QueueConnection, way: Opening
) -> None:
    await build(queue, ["a/0"], states={"a": {"breaker": "closed", "generation": "4"}})
    taking = dispatcher(queue, "a")
    await client(queue).zadd(queue.keys.rota, {"a/0": NOW - 2 * TRIAL})
    assert await way(queue, taking)
    await withdraw(queue, "a", "suspended")
    assert await opened(queue) == "1"
    assert not await readmit(queue, "a", 1, now_ms=NOW + 10 * OPEN_TIMEOUT), "no trial comes by itself"
    assert not await withdraw(queue, "a", "again")


async def test_a_text_waits_for_its_own_pause_after_a_suspension(queue: QueueConnection) -> None:
    """It used to wait for that of campaigns."""
    await build(queue, {"a/0": (NOW + 5, NOW + 500_000)})
    assert await withdraw(queue, "a", "suspended")
    assert await readmit(queue, "a", 1, "closed", at_once=True, now_ms=NOW)
    assert await rota(queue) == {"a/0": (NOW + 5, NOW + 500_000)}
