"""promote, reclaim, unregister, rebind, readmit, beat and rebuild: nothing is lost on the way, nothing comes back early."""

from dataclasses import replace

import pytest
from msgspec import structs

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import beats, consumers, reclaim, unregister
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.rebuild import RebuiltState, epoch_is_current, rebuild
from shared.queue.rota import open_breaker, readmit
from shared.queue.streams import rebind, stream_length, stream_suffixes
from shared.queue.taking import BreakerChange, Settlement
from tests.integration.queue.rota import (
    LEASE,
    NOW,
    OPEN_TIMEOUT,
    TRIAL,
    build,
    busy,
    dispatcher,
    done,
    entries_in,
    entry,
    parked,
    pending,
    put,
    rota,
    state,
    take,
    take_one,
)

BULK, TEXT = Lane.BULK, Lane.TRANSACTIONAL
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


async def test_forget_waits_for_reclaim_then_leaves_nothing_behind(queue: QueueConnection) -> None:
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


async def test_rebind_moves_what_may_move(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    sticky = [entry(endpoint="a") for _ in range(3)]
    chosen = entry(endpoint="a", chosen=True)
    await put(queue, sticky[0], chosen, *sticky[1:])
    in_hand = await take_one(dispatcher(queue, "a"))
    assert in_hand.entry == sticky[0]
    assert await rebind(queue, "a", TEXT) == 2
    assert await entries_in(queue, ":endpoint:a:transactional") == [sticky[0], chosen]
    assert await entries_in(queue, ":transactional") == [replace(one, endpoint="") for one in sticky[1:]]
    assert await rebind(queue, "a", BULK) == 0


async def test_rebind_reaches_what_lies_behind_many_chosen_ones(queue: QueueConnection) -> None:
    await put(queue, *(entry(endpoint="a", chosen=True) for _ in range(30)), entry(endpoint="a"))
    assert await rebind(queue, "a", TEXT, limit=10) == 1


async def test_a_beat_adds_the_slots_that_nobody_has(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW + 700, NOW + 900)}, states={"c": {"breaker": "open"}}, busy={"b/0": NOW + LEASE})
    await dispatcher(queue, "a", "b", "c", "d", slots=2).beat(NOW)
    fresh = (NOW, NOW)
    assert await rota(queue) == {"a/0": (NOW + 700, NOW + 900), "a/1": fresh, "b/1": fresh, "d/0": fresh, "d/1": fresh}
    assert await beats(queue) == {"dispatcher-1": NOW}


class TestRebuild:
    """An empty or outdated Redis becomes the one of a new epoch."""

    async def test_old_work_is_dropped_and_the_new_state_stands(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0", "b/0"])
        await put(queue, entry(), entry(BULK), entry(endpoint="a"), entry(BULK, endpoint="b"))
        await enqueue(queue, [Placement(entry(), NOW)])
        await take(dispatcher(queue, "a", "b"))
        await build(
            queue,
            {"a/0": (NOW + 1, NOW + 2), "b/0": (NOW + 3, NOW + 9)},
            busy={"b/0": NOW + 5},
            states={"a": {"since_break": "4"}},
            epoch=2,
        )
        assert await rota(queue) == {"a/0": (NOW + 1, NOW + 2)}
        assert await busy(queue) == {"b/0": NOW + 5}
        assert await state(queue, "a") == {"since_break": "4", "slots": "1"}
        assert await parked(queue) == []
        for suffix in (":transactional", ":bulk", ":endpoint:a:transactional", ":endpoint:b:bulk"):
            assert await entries_in(queue, suffix) == []
        # A slot that was in use then keeps the campaign's pause when its lease ends.
        await promote(queue, 10, 0, OPEN_TIMEOUT, NOW + 5)
        assert (await rota(queue))["b/0"] == (NOW + 5, NOW + 9)

    async def test_a_later_rebuild_is_not_undone_by_an_earlier(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"], epoch=5)
        assert not await rebuild(queue, 5, RebuiltState({}, {}, {}))
        assert not await rebuild(queue, 4, RebuiltState({}, {}, {}))
        assert list(await rota(queue)) == ["a/0"]
        assert await epoch_is_current(queue, 5)
        assert not await epoch_is_current(queue, 4)

    async def test_a_copy_of_another_server_is_rebuilt_whatever_its_number(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"], epoch=5)
        await queue.redis.hset(queue.keys.epoch, "run_id", "0" * 40)
        assert not await epoch_is_current(queue, 5)
        assert await rebuild(queue, 5, RebuiltState({}, {}, {}))
        assert await epoch_is_current(queue, 5)

    async def test_assignments_from_before_give_no_slot_back(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        await put(queue, entry())
        taking = dispatcher(queue, "a")
        before = await take_one(taking)
        await build(queue, {"a/0": (0, 0)}, busy={"a/0": NOW + LEASE}, epoch=2)
        await taking.settle([done(before, outcome="fail", reason="500")], NOW)
        assert await busy(queue) == {"a/0": NOW + LEASE}
        assert await state(queue, "a") == {"slots": "1"}

    async def test_streams_that_are_there_already_do_not_hinder_it(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        await put(queue, entry(endpoint="a"))
        taking = dispatcher(queue, "a")
        await taking.settle([done(await take_one(taking))], NOW)
        await put(queue, entry())
        await take_one(taking)  # finds the own streams empty and looks at them no more
        streams = (":transactional", ":bulk", ":endpoint:a:transactional")
        assert await rebuild(queue, 2, RebuiltState({}, {}, {}, streams=streams))

    async def test_a_million_later_is_still_a_number_to_the_millisecond(self, queue: QueueConnection) -> None:
        moment = 1_834_567_891_237
        await build(queue, {"a/0": (moment, moment + 1)})
        assert await rota(queue) == {"a/0": (moment, moment + 1)}
        await put(queue, entry())
        taking = dispatcher(queue, "a")
        await taking.settle([Settlement(await take_one(taking, moment + 7))], moment + 9)
        assert await rota(queue) == {"a/0": (moment, moment + 1)}


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
