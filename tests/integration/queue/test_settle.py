"""settle.lua: entries leave, slots return with their pauses, breakers change; repeating it changes nothing."""

import re
from dataclasses import replace

import pytest

from shared.errors import QueueUnavailable
from shared.messages import Entry, Lane
from shared.queue.connection import QueueConnection
from shared.queue.promoting import promote
from shared.queue.rota import readmit
from shared.queue.scripts import FOLDER
from shared.queue.taking import Assignment, BreakerChange, FollowUp, Settlement, Taking
from shared.settings import BreakerSettings
from tests.integration.queue.rota import (
    BREAKER,
    LEASE,
    NOW,
    OPEN_TIMEOUT,
    build,
    busy,
    client,
    dispatcher,
    done,
    entries_in,
    entry,
    parked,
    put,
    rota,
    state,
    take,
    take_one,
)

BULK, TEXT = Lane.BULK, Lane.TRANSACTIONAL
BREAKER_OFF = BreakerSettings(circuit_breaker_enabled=False)


async def send(taking: Taking, queue: QueueConnection, now: int = NOW, **options: object) -> list[BreakerChange]:
    """One text taken and settled with `options`."""
    await put(queue, entry())
    return await taking.settle([done(await take_one(taking, now), **options)], now)  # type: ignore[arg-type]


async def statistics(queue: QueueConnection) -> dict[str, str]:
    return dict(await client(queue).hgetall(queue.keys.statistics))


async def test_the_entry_is_gone_and_the_slot_back_after_its_pause(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry(BULK))
    taking = dispatcher(queue, "a")
    assignment = await take_one(taking)
    await taking.settle([done(assignment, 3000, bulk_ready_ms=9000, since_break=7, answer_ms=250)], NOW)
    assert await entries_in(queue, ":bulk") == []
    assert await busy(queue) == {}
    assert await rota(queue) == {"a/0": (NOW + 3000, NOW + 9000)}
    assert (await state(queue, "a"))["since_break"] == "7"
    assert (await statistics(queue))["sent"] == "1"
    own = await queue.redis.hgetall(queue.keys.endpoint_statistics("a"))
    assert (own["answers"], own["answer_ms"], own["last_used"]) == ("1", "250", str(NOW))


async def test_a_slot_that_was_put_back_is_as_it_was(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 50, NOW - 20)})
    await put(queue, entry())
    taking = dispatcher(queue, "a")
    await taking.settle([Settlement(await take_one(taking))], NOW + 40)
    assert await rota(queue) == {"a/0": (NOW - 50, NOW - 20)}
    assert "sent" not in await statistics(queue)


async def test_only_the_owner_gives_a_slot_back(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry(), entry())
    first, second = dispatcher(queue, "a"), dispatcher(queue, "a", name="dispatcher-2")
    slow = await take_one(first)
    # Its lease ends, another dispatcher gets the slot, and only then the answer of the first comes.
    await promote(queue, 10, 0, OPEN_TIMEOUT, NOW + LEASE)
    await take_one(second, NOW + LEASE)
    await first.settle([done(slow, 0)], NOW + LEASE + 5)
    assert await rota(queue) == {}
    assert await busy(queue) == {"a/0": NOW + LEASE + LEASE}


async def test_a_repeated_settlement_changes_nothing(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a")
    failed = done(await take_one(taking), 2000, outcome="fail", verdict="transient", reason="500", bulk_ready_ms=2000)
    for moment in (0, 10, 900):
        await taking.settle([failed], NOW + moment)
    assert await rota(queue) == {"a/0": (NOW + 2000, NOW + 2000)}
    assert (await state(queue, "a"))["failures"] == "1"
    assert (await statistics(queue))["transient"] == "1"
    await take_one(taking, NOW + 2000)
    await taking.settle([failed], NOW + 2001)
    assert await rota(queue) == {}


async def test_failures_in_a_row_open_the_breaker(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    taking = dispatcher(queue, "a")
    assert await send(taking, queue, outcome="fail", reason="500") == []
    assert await send(taking, queue, outcome="fail", reason="500") == []
    assert await send(taking, queue) == []
    assert await send(taking, queue, outcome="fail", reason="500") == []
    assert await send(taking, queue, outcome="fail", reason="500") == []
    [change] = await send(taking, queue, outcome="fail", reason="500")
    assert change == BreakerChange("a", "closed", "open", "500")
    assert await rota(queue) == {}
    assert await busy(queue) == {}
    opened = await state(queue, "a")
    assert (opened["breaker"], opened["not_before"]) == ("open", str(NOW + OPEN_TIMEOUT))


async def test_what_says_nothing_about_the_account_neither_counts_nor_resets(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    taking = dispatcher(queue, "a")
    for _ in range(2):
        await send(taking, queue, outcome="fail", reason="500")
        await send(taking, queue, outcome="ignore")
    assert (await state(queue, "a"))["failures"] == "2"


@pytest.mark.parametrize("breaker", [BREAKER, BREAKER_OFF], ids=["on", "off"])
async def test_a_logged_out_account_is_out_at_once_also_with_the_breaker_off(
    queue: QueueConnection, breaker: BreakerSettings
) -> None:
    await build(queue, ["a/0"])
    taking = dispatcher(queue, "a", breaker=breaker)
    [change] = await send(taking, queue, outcome="critical", reason="logged out", verdict="logged_out")
    assert (change.before, change.after) == ("closed", "open")
    await put(queue, entry())
    assert await take(taking, now=NOW + 10 * OPEN_TIMEOUT) == []


async def test_with_the_breaker_off_failures_do_not_count(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    taking = dispatcher(queue, "a", breaker=BREAKER_OFF)
    for _ in range(10):
        assert await send(taking, queue, outcome="fail", reason="500") == []


async def test_an_answer_from_before_a_change_does_not_decide_after_it(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"])
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a", slots=2)
    first, second = await take(taking)
    await taking.settle([done(first, outcome="critical", reason="logged out")], NOW)
    assert await readmit(queue, "a", 2, at_once=True, now_ms=NOW)
    # Taken while closed, answered while half-open: neither closes it nor opens it again.
    assert await taking.settle([done(second, outcome="fail", reason="500")], NOW) == []
    assert (await state(queue, "a"))["breaker"] == "half_open"
    assert (await state(queue, "a"))["successes"] == "0"
    assert await busy(queue) == {}


async def test_two_successes_on_trial_close_the_breaker(queue: QueueConnection) -> None:
    await build(queue, ["a/0"], states={"a": {"breaker": "half_open", "generation": "4"}})
    taking = dispatcher(queue, "a")
    assert await send(taking, queue) == []
    [change] = await send(taking, queue)
    assert (change.before, change.after) == ("half_open", "closed")
    assert (await state(queue, "a"))["generation"] == "5"
    assert await rota(queue) == {"a/0": (NOW, NOW)}


async def test_one_failure_on_trial_opens_it_again(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"], states={"a": {"breaker": "half_open", "generation": "4"}})
    [change] = await send(dispatcher(queue, "a"), queue, outcome="fail", reason="502")
    assert (change.before, change.after, change.reason) == ("half_open", "open", "502")
    assert await rota(queue) == {}


async def test_a_slot_in_use_while_its_endpoint_opens_stays_out_of_the_rota(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1", "a/2"])
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a", slots=3)
    first, second = await take(taking, 2)
    await taking.settle([done(first, outcome="critical", reason="logged out")], NOW)
    assert await rota(queue) == {}
    await taking.settle([done(second)], NOW)
    assert await rota(queue) == {}
    await taking.beat(NOW)
    assert await rota(queue) == {}


async def test_no_pause_is_skipped_by_opening_and_a_trial(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW + 500_000), "a/1": (NOW - 1, NOW + 500_000)})
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a", slots=2)
    first, second = await take(taking)
    await taking.settle([done(first, 300_000, outcome="critical", reason="logged out", bulk_ready_ms=300_000)], NOW)
    # Nothing was sent on the second, so it has no pause of its own; that of the first holds all the same.
    await taking.settle([Settlement(second)], NOW + 1)
    assert await readmit(queue, "a", 2, now_ms=NOW + OPEN_TIMEOUT)
    assert await rota(queue) == dict.fromkeys(["a/0", "a/1"], (NOW + 300_000, NOW + 500_000))


async def test_the_pause_is_the_endpoints_and_moves_all_its_slots(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1", "a/2", "b/0"])
    await put(queue, entry(endpoint="a"))
    taking = dispatcher(queue, "a", "b")
    await taking.settle([done(await take_one(taking), 4000, bulk_ready_ms=6000)], NOW)
    after = await rota(queue)
    assert after == dict.fromkeys(["a/0", "a/1", "a/2"], (NOW + 4000, NOW + 6000)) | {"b/0": (NOW - 1000, NOW - 1000)}


async def test_a_shorter_pause_does_not_bring_another_slot_forward(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW - 1), "a/1": (NOW + 9000, NOW + 9000)})
    await put(queue, entry())
    taking = dispatcher(queue, "a")
    await taking.settle([done(await take_one(taking), 100, bulk_ready_ms=100)], NOW)
    assert (await rota(queue))["a/1"] == (NOW + 9000, NOW + 9000)


class TestFollowUps:
    """What comes after an attempt that did not end its message."""

    async def settle(
        self, queue: QueueConnection, follow_up: FollowUp, known: tuple[str, ...] = ("a", "b", "c")
    ) -> Assignment:
        await put(queue, entry(follow_up.entry.lane))
        taking = dispatcher(queue, *known)
        assignment = await take_one(taking)
        await taking.settle([done(assignment, 0, follow_up=follow_up, outcome="ignore", verdict="transient")], NOW)
        return assignment

    async def test_at_once_into_its_stream(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        following = entry(BULK, attempt=2)
        await self.settle(queue, FollowUp(following))
        assert await entries_in(queue, ":bulk") == [following]

    async def test_at_once_into_the_stream_of_a_chosen_endpoint(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        following = entry(endpoint="a", chosen=True, attempt=2)
        await self.settle(queue, FollowUp(following))
        assert await entries_in(queue, ":endpoint:a:transactional") == [following]
        assert await queue.redis.smembers(queue.keys.bound) == {"a"}

    async def test_later_parked_then_promoted(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0"])
        following = replace(entry(endpoint="a", attempt=2), excluded=("b", "c"), crashes=1)
        await self.settle(queue, FollowUp(following, due_ms=5000))
        assert await parked(queue) == [NOW + 5000]
        assert (await promote(queue, 10, 0, OPEN_TIMEOUT, NOW + 4999)).wait_ms == 1
        assert await entries_in(queue, ":endpoint:a:transactional") == []
        assert (await promote(queue, 10, 0, OPEN_TIMEOUT, NOW + 5000)).moved == 1
        assert await entries_in(queue, ":endpoint:a:transactional") == [following]
        assert await parked(queue) == []

    async def test_rebound_to_the_readiest_endpoint_that_was_not_tried(self, queue: QueueConnection) -> None:
        await build(
            queue,
            {"a/0": (NOW - 9, NOW - 9), "b/0": (NOW - 8, NOW - 8), "c/0": (NOW + 5, NOW + 5), "x/0": (NOW - 7, 0)},
            states={"b": {"breaker": "half_open"}},
        )
        following = replace(entry(attempt=2), excluded=("a",))
        # b is on trial and nobody here knows x.
        await self.settle(queue, FollowUp(following, rebind=True, otherwise_ms=7000))
        assert await entries_in(queue, ":endpoint:c:transactional") == [replace(following, endpoint="c")]

    async def test_parked_with_a_clean_record_when_all_were_tried(self, queue: QueueConnection) -> None:
        await build(queue, ["a/0", "b/0"])
        following = replace(entry(attempt=2), excluded=("a", "b"))
        await self.settle(queue, FollowUp(following, rebind=True, otherwise_ms=7000))
        assert await parked(queue) == [NOW + 7000]
        await promote(queue, 10, 0, OPEN_TIMEOUT, NOW + 7000)
        assert await entries_in(queue, ":transactional") == [replace(following, excluded=())]

    async def test_an_id_that_is_part_of_another_is_not_excluded_with_it(self, queue: QueueConnection) -> None:
        await build(queue, {"b/0": (NOW - 2, NOW - 2), "a/0": (NOW - 1, NOW - 1), "ab/0": (NOW - 9, NOW - 9)})
        following = replace(entry(attempt=2), excluded=("ab", "b"))
        await self.settle(queue, FollowUp(following, rebind=True, otherwise_ms=1), known=("a", "ab", "b"))
        assert await entries_in(queue, ":endpoint:a:transactional") == [replace(following, endpoint="a")]


async def test_many_settlements_in_one_call(queue: QueueConnection) -> None:
    names = [f"e{number}" for number in range(50)]
    await build(queue, [f"{name}/0" for name in names])
    await put(queue, *(entry() for _ in range(50)))
    taking = dispatcher(queue, *names)
    given = await take(taking, 50)
    following = [entry(BULK, attempt=2) for _ in given]
    await taking.settle(
        [done(one, 10, follow_up=FollowUp(next_one)) for one, next_one in zip(given, following, strict=True)], NOW
    )
    assert await entries_in(queue, ":transactional") == []
    assert await entries_in(queue, ":bulk") == following
    assert len(await rota(queue)) == 50


async def test_an_entry_is_never_gone_before_its_follow_up_is_there(queue: QueueConnection) -> None:
    """Redis that is full refuses the script as a whole."""
    await build(queue, ["a/0"])
    await put(queue, entry())
    taking = dispatcher(queue, "a")
    assignment = await take_one(taking)
    following = Entry(assignment.entry.message, 2, TEXT)
    await queue.redis.set(queue.keys.bound, "not a set")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await taking.settle([done(assignment, follow_up=FollowUp(replace(following, endpoint="a")))], NOW)
    assert [one.message for one in await entries_in(queue, ":transactional")] == [assignment.entry.message]


async def test_what_ends_a_script_is_told_by_the_line_of_its_file(queue: QueueConnection) -> None:
    await queue.redis.set(queue.keys.bound, "not a set")
    with pytest.raises(QueueUnavailable, match=r"[a-z]+\.lua:\d+") as refused:
        await put(queue, entry(endpoint="a"))
    file, line = re.findall(r"(\w+\.lua):(\d+)", str(refused.value))[-1]
    [path] = FOLDER.rglob(file)
    assert "SADD" in path.read_text(encoding="utf-8").splitlines()[int(line) - 1]
