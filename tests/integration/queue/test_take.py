"""take.lua: who gets what, and what is never given."""

import pytest

from shared.errors import RebuildNeeded
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.taking import Settlement
from tests.integration.queue.rota import (
    LEASE,
    NOW,
    TRIAL,
    build,
    busy,
    dispatcher,
    done,
    entries_in,
    entry,
    pending,
    put,
    rota,
    take,
    take_one,
)

BULK, TEXT = Lane.BULK, Lane.TRANSACTIONAL


async def test_an_assignment_moves_its_slot_from_the_rota_to_busy(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 5, NOW - 3)})
    one = entry()
    await put(queue, one)
    assignment = await take_one(dispatcher(queue, "a"))
    assert assignment.entry == one
    assert (assignment.endpoint, assignment.slot_number, assignment.epoch) == ("a", 0, 1)
    assert (float(assignment.ready_at), float(assignment.bulk_ready_at)) == (NOW - 5, NOW - 3)
    assert await rota(queue) == {}
    assert await busy(queue) == {"a/0": NOW + LEASE}
    assert await pending(queue, ":transactional") == 1


async def test_no_entry_leaves_the_rota_alone(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    assert await take(dispatcher(queue, "a")) == []
    assert list(await rota(queue)) == ["a/0"]


async def test_who_finds_nothing_is_told_when_to_look_again(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    assert (await dispatcher(queue, "a").take(5, NOW)).wait_ms is None, "each new entry wakes"
    await put(queue, entry(), entry())
    assert len(await take(dispatcher(queue, "a"))) == 1
    assert (await dispatcher(queue, "a", name="other").take(5, NOW)).wait_ms == 100, "nobody tells of a slot given back"


async def test_no_slot_leaves_the_entry_alone(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW + 700, NOW + 900)})
    await put(queue, entry())
    taken = await dispatcher(queue, "a").take(5, NOW)
    assert taken.assignments == []
    assert taken.wait_ms == 700
    assert await pending(queue, ":transactional") == 0
    assert len(await take(dispatcher(queue, "a"), now=NOW + 700)) == 1


async def test_an_endpoint_has_no_more_in_hand_than_slots(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"])
    await put(queue, *(entry() for _ in range(5)))
    first, second = dispatcher(queue, "a"), dispatcher(queue, "a", name="dispatcher-2")
    given = await take(first) + await take(second)
    assert sorted(one.slot for one in given) == ["a/0", "a/1"]
    assert len({one.token for one in given}) == 2


async def test_own_texts_come_before_shared_texts_before_campaigns(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    bulk, own_bulk, shared, own = entry(BULK), entry(BULK, endpoint="a"), entry(), entry(endpoint="a")
    await put(queue, bulk, own_bulk, shared, own)
    taking = dispatcher(queue, "a")
    order = []
    for _ in range(4):
        assignment = await take_one(taking)
        order.append(assignment.entry)
        await taking.settle([done(assignment)], NOW)
    assert order[:2] == [own, shared]
    assert {one.message for one in order[2:]} == {bulk.message, own_bulk.message}


async def test_own_and_shared_campaign_entries_take_turns(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, *(entry(BULK, endpoint="a") for _ in range(4)), *(entry(BULK) for _ in range(4)))
    taking = dispatcher(queue, "a")
    own = []
    for _ in range(8):
        assignment = await take_one(taking)
        own.append(bool(assignment.entry.endpoint))
        await taking.settle([done(assignment)], NOW)
    assert own == [True, False] * 4


async def test_an_entry_bound_to_one_endpoint_is_given_to_no_other(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "b/0"])
    await put(queue, entry(endpoint="b"), entry(BULK, endpoint="b"))
    assert await take(dispatcher(queue, "a")) == []
    [assignment] = await take(dispatcher(queue, "a", "b"))
    assert assignment.endpoint == "b"


@pytest.mark.parametrize("lane", list(Lane))
async def test_an_endpoint_that_the_dispatcher_does_not_know_is_never_given(queue: QueueConnection, lane: Lane) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry(lane))
    assert await take(dispatcher(queue, "b")) == []


@pytest.mark.parametrize("lane", list(Lane))
async def test_many_slots_that_nobody_knows_any_more_do_not_hide_a_known_one(
    queue: QueueConnection, lane: Lane
) -> None:
    old = {f"gone-{number}/0": (NOW - 5000, NOW - 5000) for number in range(200)}
    await build(queue, old | {"a/0": (NOW - 1, NOW - 1)})
    await put(queue, entry(lane))
    assert (await take_one(dispatcher(queue, "a"))).endpoint == "a"


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("bound", ["", "a"])
async def test_an_open_endpoint_is_never_given(queue: QueueConnection, lane: Lane, bound: str) -> None:
    await build(queue, ["a/0"], states={"a": {"breaker": "open", "generation": "1"}})
    await put(queue, entry(lane, endpoint=bound))
    assert await take(dispatcher(queue, "a")) == []


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("bound", ["", "a"])
async def test_a_half_open_endpoint_has_one_trial_at_a_time_however_many_slots(
    queue: QueueConnection, lane: Lane, bound: str
) -> None:
    await build(queue, [f"a/{number}" for number in range(5)], states={"a": {"breaker": "half_open"}})
    await put(queue, *(entry(lane, endpoint=bound) for _ in range(5)))
    taking = dispatcher(queue, "a")
    [trial] = await take(taking)
    assert trial.breaker == "half_open"
    assert await take(taking) == []
    await taking.settle([done(trial)], NOW)
    assert len(await take(taking)) == 1
    # A permit that is never given back expires.
    assert await take(taking, now=NOW + TRIAL - 1) == []
    assert len(await take(taking, now=NOW + TRIAL)) == 1


async def test_slots_of_a_half_open_endpoint_do_not_use_up_the_places_of_others(queue: QueueConnection) -> None:
    trial = {f"a/{number}": (NOW - 9000, NOW - 9000) for number in range(5)}
    await build(queue, trial | {"b/0": (NOW - 1, NOW - 1)}, states={"a": {"breaker": "half_open"}})
    await put(queue, *(entry() for _ in range(5)))
    assert sorted(one.endpoint for one in await take(dispatcher(queue, "a", "b"), 5)) == ["a", "b"]


async def test_a_put_back_trial_frees_the_permit(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"], states={"a": {"breaker": "half_open"}})
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a")
    [trial] = await take(taking)
    await taking.settle([Settlement(trial)], NOW)
    assert len(await take(taking)) == 1


async def test_texts_pass_while_campaigns_pause(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW + 200_000)})
    text = entry()
    await put(queue, entry(BULK), text)
    taking = dispatcher(queue, "a")
    [assignment] = await take(taking)
    assert assignment.entry == text
    await taking.settle([done(assignment, 3000, bulk_ready_ms=3000)], NOW)
    assert await rota(queue) == {"a/0": (NOW + 3000, NOW + 200_000)}
    assert await take(taking, now=NOW + 199_999) == []
    assert (await take_one(taking, now=NOW + 200_000)).lane is BULK


async def test_two_hundred_slots_in_a_campaign_pause_do_not_hide_a_ready_one(queue: QueueConnection) -> None:
    resting = {f"e{number}/0": (NOW - 5000, NOW + 200_000) for number in range(200)}
    await build(queue, resting | {"ready/0": (NOW - 1, NOW - 1)})
    await put(queue, entry(BULK))
    known = [name.partition("/")[0] for name in resting] + ["ready"]
    assert (await take_one(dispatcher(queue, *known))).endpoint == "ready"


async def test_the_slot_that_has_been_ready_longest_comes_first(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW - 1), "b/0": (NOW - 3, NOW - 3), "c/0": (NOW - 2, NOW - 2)})
    await put(queue, entry(), entry(), entry())
    given = await take(dispatcher(queue, "a", "b", "c"))
    assert [one.endpoint for one in given] == ["b", "c", "a"]


async def test_own_texts_find_any_free_slot_of_their_endpoint(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1", "a/2"], busy={"a/0": NOW + LEASE, "a/1": NOW + LEASE})
    await put(queue, entry(endpoint="a"))
    assert (await take_one(dispatcher(queue, "a"))).slot == "a/2"


async def test_nothing_is_taken_without_an_epoch(queue: QueueConnection) -> None:
    await put(queue, entry())
    with pytest.raises(RebuildNeeded):
        await dispatcher(queue, "a").take(1, NOW)


async def test_nothing_is_taken_from_a_copy_of_another_server(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry())
    await queue.redis.hset(queue.keys.epoch, "run_id", "0" * 40)
    with pytest.raises(RebuildNeeded):
        await dispatcher(queue, "a").take(1, NOW)
    with pytest.raises(RebuildNeeded):
        await dispatcher(queue, "a").beat(NOW)


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("bound", ["", "a"])
async def test_a_lost_consumer_group_is_made_again(queue: QueueConnection, lane: Lane, bound: str) -> None:
    await build(queue, ["a/0"])
    one = entry(lane, endpoint=bound)
    await put(queue, one)
    stream = queue.keys.lane(lane, bound)
    await queue.redis.xgroup_create(stream, "other")
    await queue.redis.xgroup_destroy(stream, queue.group)
    assert (await take_one(dispatcher(queue, "a"))).entry == one


async def test_an_entry_of_a_newer_version_is_left_to_a_newer_dispatcher(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await queue.redis.xadd(queue.keys.lane(TEXT), {"v": "2", "m": "?"})
    one = entry()
    await put(queue, one)
    taking = dispatcher(queue, "a")
    given = await take(taking) + await take(taking)
    assert [assignment.entry for assignment in given] == [one]
    assert (await queue.redis.xlen(queue.keys.lane(TEXT))) == 2


async def test_an_endpoint_whose_own_streams_are_empty_is_looked_at_no_more(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry(endpoint="a"), entry())
    taking = dispatcher(queue, "a")
    await taking.settle([done(await take_one(taking))], NOW)
    await taking.settle([done(await take_one(taking))], NOW)
    await put(queue, entry())
    await take(taking)
    assert await queue.redis.smembers(queue.keys.bound) == set()
    await put(queue, entry(endpoint="a"))
    assert await entries_in(queue, ":endpoint:a:transactional") != []
    assert await queue.redis.smembers(queue.keys.bound) == {"a"}


async def test_many_are_given_in_one_call_each_on_a_slot_of_its_own(queue: QueueConnection) -> None:
    slots = [f"e{number}/0" for number in range(60)]
    await build(queue, slots)
    await put(queue, *(entry() for _ in range(30)), *(entry(BULK) for _ in range(30)))
    given = await take(dispatcher(queue, *(name[:-2] for name in slots)), 50)
    assert len({one.slot for one in given}) == 50
    assert sum(one.lane is TEXT for one in given) == 30
