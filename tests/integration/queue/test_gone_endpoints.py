"""Slots that nobody names any more leave the rota; whoever is named by anybody, is in use or has to wait stays."""

from __future__ import annotations

import pytest

from shared.errors import RebuildNeeded
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.rota import drop_gone
from tests.integration.queue.rota import (
    NOW,
    build,
    busy,
    client,
    dispatcher,
    done,
    entries_in,
    entry,
    put,
    rota,
    state,
    take,
    take_one,
)

AFTER = 600_000
LATER = NOW + AFTER


async def test_a_slot_that_nobody_names_goes_with_all_that_stood_for_it(queue: QueueConnection) -> None:
    await build(queue, ["gone/0", "stays/0"], states={"gone": {"breaker": "closed"}, "stays": {"breaker": "closed"}})
    await put(queue, entry(endpoint="gone"))
    old = dispatcher(queue, "gone")
    await old.settle([done(await take_one(old))], NOW)
    assert await drop_gone(queue, ["stays"], 1, AFTER, NOW) == []
    assert await drop_gone(queue, ["stays"], 1, AFTER, LATER - 1) == []
    assert await drop_gone(queue, ["stays"], 1, AFTER, LATER) == ["gone/0"]
    assert set(await rota(queue)) == {"stays/0"}
    left = {key.removeprefix(queue.keys.prefix) for key in await client(queue).keys(queue.keys.everything())}
    assert not [key for key in left if "gone" in key and ":endpoint:" not in key]
    assert await state(queue, "stays") != {}
    assert await drop_gone(queue, ["stays"], 1, AFTER, LATER) == []


async def test_of_two_versions_of_the_settings_each_keeps_its_own(queue: QueueConnection) -> None:
    await build(queue, ["old/0", "new/0", "both/0"])
    before, after = dispatcher(queue, "old", "both", name="before"), dispatcher(queue, "new", "both", name="after")
    for seconds in range(0, 1800, 300):
        now = NOW + seconds * 1000
        await before.beat(now)
        await after.beat(now)
        # The scheduler is of the new version already.
        assert await drop_gone(queue, ["new", "both"], 1, AFTER, now) == []
    last = NOW + 1500 * 1000
    # The last dispatcher that knew it is gone.
    await after.beat(last + AFTER)
    assert await drop_gone(queue, ["both"], 1, AFTER, last + AFTER) == ["old/0"]
    assert set(await rota(queue)) == {"new/0", "both/0"}


async def test_a_slot_in_use_stays_until_it_is_given_back(queue: QueueConnection) -> None:
    await build(queue, ["gone/0"])
    await put(queue, entry())
    taking = dispatcher(queue, "gone")
    assignment = await take_one(taking)
    await taking.beat(NOW)
    for _ in range(2):
        assert await drop_gone(queue, [], 1, AFTER, LATER) == []
    assert set(await busy(queue)) == {"gone/0"}
    await taking.settle([done(assignment)], LATER)
    assert await drop_gone(queue, [], 1, AFTER, LATER) == ["gone/0"]
    assert await busy(queue) == {}


@pytest.mark.parametrize(
    ("times", "held"),
    [
        ((LATER + 5, LATER + 5), {}),
        ((NOW, LATER + 5), {}),
        (None, {"breaker": "open", "ready_at": str(LATER + 5)}),
        (None, {"breaker": "open", "bulk_ready_at": str(LATER + 5)}),
    ],
    ids=["pause", "pause of campaigns", "pause of an open one", "pause of campaigns of an open one"],
)
async def test_a_pause_is_not_forgotten(
    queue: QueueConnection, times: tuple[int, int] | None, held: dict[str, str]
) -> None:
    await build(queue, {"gone/0": times} if times else {}, states={"gone": held} if held else {})
    await dispatcher(queue, "gone").beat(NOW)
    assert await drop_gone(queue, [], 1, AFTER, LATER) == []
    assert await drop_gone(queue, [], 1, AFTER, LATER + 5) == ["gone/0"]
    assert await rota(queue) == {}
    assert await state(queue, "gone") == {}


async def test_slots_beyond_the_concurrency_go_and_the_endpoint_stays(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1", "a/2"], states={"a": {"breaker": "closed"}})
    await dispatcher(queue, "a", slots=3).beat(NOW)
    await dispatcher(queue, "a", slots=1).beat(LATER)
    assert await drop_gone(queue, ["a"], 1, AFTER, LATER) == ["a/1", "a/2"]
    assert set(await rota(queue)) == {"a/0"}
    assert await state(queue, "a") != {}


async def test_thousands_of_them_do_not_starve_those_that_are_left(queue: QueueConnection) -> None:
    gone = {f"gone-{number}/0": (NOW - 5000, NOW - 5000) for number in range(2100)}
    await build(queue, gone | {"stays/0": (NOW - 1, NOW - 1)})
    await put(queue, entry(), entry(Lane.BULK))
    taking = dispatcher(queue, "stays")
    assert await take(taking) == [], "this is what it is for"
    await drop_gone(queue, ["stays"], 1, AFTER, NOW)
    dropped = 0
    while slots := await drop_gone(queue, ["stays"], 1, AFTER, LATER):
        assert len(slots) <= 256
        dropped += len(slots)
    assert dropped == 2100
    assert [one.slot for one in await take(taking, now=LATER)] == ["stays/0"]


async def test_one_that_comes_back_is_added_again(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await dispatcher(queue, "a").beat(NOW)
    assert await drop_gone(queue, [], 1, AFTER, LATER) == ["a/0"]
    await put(queue, entry(endpoint="a", chosen=True))
    await dispatcher(queue, "a").beat(LATER)
    assert len(await take(dispatcher(queue, "a"), now=LATER)) == 1
    assert len(await entries_in(queue, ":endpoint:a:transactional")) == 1


async def test_not_in_a_redis_that_is_to_be_rebuilt(queue: QueueConnection) -> None:
    with pytest.raises(RebuildNeeded):
        await drop_gone(queue, ["a"], 1, AFTER, NOW)
    assert await client(queue).keys(queue.keys.everything()) == []
