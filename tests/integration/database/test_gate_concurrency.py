"""The gate under real parallel connections: what an acknowledgement forbids has not begun, and nobody begins twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count, cycle, islice
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database.attempts import GateRequest, end_unsendable, gate, peek, settle
from shared.database.connection import Database
from shared.errors import DatabaseUnavailable
from shared.messages import Status
from tests.integration.accepting import Campaign, accept_campaign, accept_message
from tests.integration.conftest import settings_of_database
from tests.integration.database.beginning import ask, request, sent
from tests.servers import Database as DatabaseOfTest

Forbid = Callable[[Database, Campaign], Coroutine[Any, Any, datetime]]
GATES = 8
BATCH = 50


async def gate_until_done(store: Database, requests: Sequence[GateRequest]) -> dict[str, str]:
    """The gate's answer; repeated while it asks for that, as a dispatcher does."""
    while True:
        try:
            return await gate(store, 1, "dispatcher-1", requests)
        except DatabaseUnavailable:
            continue


class Gates:
    """Eight connections that begin attempts without a pause, each on slots of its own."""

    def __init__(self, store: Database, messages: Sequence[UUID]) -> None:
        self._store = store
        # What was refused for a while is asked for again.
        self._waiting = cycle(messages)
        self._slots = count()
        self._more = asyncio.Event()
        self.asked = 0
        self.passed = 0
        self.stopped = False

    async def _loop(self) -> None:
        while not self.stopped:
            batch = [request(message, slot=next(self._slots)) for message in islice(self._waiting, BATCH)]
            outcomes = await gate_until_done(self._store, batch)
            self.passed += Counter(outcomes.values())["passed"]
            self.asked += 1
            self._more.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for _ in range(GATES):
                group.create_task(self._loop())
            try:
                yield
            finally:
                self.stopped = True

    async def have_asked(self, number: int) -> None:
        """Wait until so many more calls have been answered."""
        goal = self.asked + number
        async with asyncio.timeout(60):
            while self.asked < goal:
                self._more.clear()
                await self._more.wait()

    async def have_passed(self, number: int) -> None:
        """Wait until so many more attempts have begun."""
        goal = self.passed + number
        async with asyncio.timeout(60):
            while self.passed < goal:
                self._more.clear()
                await self._more.wait()


async def pause(store: Database, campaign: Campaign) -> datetime:
    await store.execute("select pause_campaign($1)", campaign.token)
    return await database_time(store)


async def cancel(store: Database, campaign: Campaign) -> datetime:
    await store.execute("select cancel_campaign($1)", campaign.token)
    return await database_time(store)


async def stop(store: Database, campaign: Campaign) -> datetime:
    await store.execute("select set_stopped_lanes('{bulk}', 'test')")
    return await database_time(store)


async def opt_out(store: Database, campaign: Campaign) -> datetime:
    await store.execute(
        "select opt_out(phone_key, phone, 'bulk') from messages where campaign = $1 order by phone_key", campaign.token
    )
    return await database_time(store)


async def opt_out_by_message(store: Database, campaign: Campaign) -> datetime:
    await store.execute(
        "select opt_out_by_message(phone_key, phone, now()) from messages where campaign = $1 order by phone_key",
        campaign.token,
    )
    return await database_time(store)


async def suspend(store: Database, campaign: Campaign) -> datetime:
    await store.execute("select suspend_endpoint('a', 'test')")
    return await database_time(store)


async def suspend_by_feedback(store: Database, campaign: Campaign) -> datetime:
    assert await store.fetchval(
        "select change_account_feedback('a', 'normal', null, 'suspended', 'errors', 'test', 1, 3600, 1)"
    )
    return await database_time(store)


async def find_that_postgres_went_back(store: Database, campaign: Campaign) -> datetime:
    assert await store.fetchval("select stop_after_going_back(2, 0, 'test')")
    return await database_time(store)


async def begin_rebuild(store: Database, campaign: Campaign) -> datetime:
    assert await store.fetchval("select begin_rebuild()") == 2
    return await database_time(store)


async def database_time(store: Database) -> datetime:
    moment: datetime = await store.fetchval("select clock_timestamp()")
    return moment


FORBIDDING = [
    pause,
    cancel,
    stop,
    opt_out,
    opt_out_by_message,
    suspend,
    suspend_by_feedback,
    find_that_postgres_went_back,
    begin_rebuild,
]


@pytest.mark.parametrize("forbid", FORBIDDING)
async def test_who_forbids_waits_for_a_gate_under_way(store: Database, forbid: Forbid) -> None:
    """A gate has looked and not yet written: it waits for a row. Nothing may be acknowledged until it has ended."""
    campaign = await accept_campaign(store, 1)
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while True:
            async with store.transaction() as holder:
                await holder.execute("select from messages for update")
                beginning = asyncio.create_task(gate(store, 1, "dispatcher-1", [request(campaign.messages[0])]))
                while not beginning.done() and await holder.fetchval(waiting) < 1:
                    pass
                forbidding = asyncio.create_task(forbid(store, campaign))
                while not beginning.done() and not forbidding.done() and await holder.fetchval(waiting) < 2:
                    pass
                acknowledged = forbidding.done() and not beginning.done()
            try:
                outcomes = await beginning
            except DatabaseUnavailable:
                # The gate waits for 200 ms only. A slow machine needs another try.
                await forbidding
                await store.execute("update campaigns set status = 'running'")
                await store.execute(
                    "update control set stopped_lanes = '{}', epoch = 1, rebuild_started_at = null, went_back_at = null,"
                    " ahead_epoch = null, ahead_beat = null"
                )
                await store.execute("truncate optouts, endpoints, account_feedback")
                continue
            await forbidding
            break
    assert not acknowledged, "it was acknowledged while a gate that had not seen it could still begin attempts"
    assert list(outcomes.values()) == ["passed"]


@pytest.mark.parametrize("forbid", FORBIDDING)
async def test_nothing_begins_after_the_acknowledgement(store: Database, forbid: Forbid) -> None:
    campaign = await accept_campaign(store, 10_000)
    gates = Gates(store, campaign.messages)
    async with gates.running():
        await gates.have_passed(200)
        acknowledged = await forbid(store, campaign)
        before = await store.fetchval("select count(*) from open_attempts")
        # All that were under way when it was forbidden have been answered, and as many again.
        await gates.have_asked(3 * GATES)
    assert await store.fetchval("select count(*) from open_attempts where started_at > $1", acknowledged) == 0
    assert await store.fetchval("select count(*) from open_attempts") == before
    assert await store.fetchval("select count(*) from messages where status = 'sending'") == before


async def test_pausing_and_resuming_under_load_begins_each_message_once(store: Database) -> None:
    campaign = await accept_campaign(store, 10_000)
    gates = Gates(store, campaign.messages)
    rounds = 0
    async with gates.running():
        # A quick machine begins hundreds of attempts before a pause is acknowledged; the messages must not run out.
        while rounds < 15 and gates.passed < 8_000:
            rounds += 1
            await gates.have_passed(200)
            acknowledged = await pause(store, campaign)
            begun = await store.fetch("select started_at from open_attempts")
            await gates.have_asked(2 * GATES)
            assert await store.fetchval("select count(*) from open_attempts") == len(begun)
            assert max(row["started_at"] for row in begun) <= acknowledged
            await store.execute("select resume_campaign($1)", campaign.token)
    assert rounds >= 3
    numbers = await store.fetch("select message, number from open_attempts")
    assert len(numbers) == len({row["message"] for row in numbers}) == gates.passed
    assert {row["number"] for row in numbers} == {1}


async def test_of_many_assignments_of_one_message_one_passes(store: Database) -> None:
    for contest in range(1, 41):
        message = await accept_message(store)
        answers = await asyncio.gather(
            *(gate_until_done(store, [request(message, slot=100 * contest + slot)]) for slot in range(6)),
            *(gate_until_done(store, [request(message, endpoint="b", slot=contest)]) for _ in range(2)),
        )
        assert Counter(outcome for answer in answers for outcome in answer.values()) == {"passed": 1, "refused": 7}
        assert await store.fetchval("select count(*) from open_attempts") == contest


async def test_of_many_messages_for_one_slot_one_passes(store: Database) -> None:
    for contest in range(1, 41):
        messages = [await accept_message(store) for _ in range(8)]
        answers = await asyncio.gather(
            *(gate_until_done(store, [request(message, slot=contest)]) for message in messages)
        )
        assert Counter(outcome for answer in answers for outcome in answer.values()) == {"passed": 1, "put_back": 7}
        assert await store.fetchval("select count(*) from messages where status = 'sending'") == contest


@pytest.mark.parametrize("same_slots", [False, True], ids=["other slots", "same slots"])
async def test_batches_in_opposite_order_wait_for_each_other_without_a_deadlock(
    store: Database, same_slots: bool
) -> None:
    """Neither a deadlock nor the lock timeout that would cut one short: in 200 meetings no call had to be repeated."""
    size = 100
    campaign = await accept_campaign(store, 200 * size)
    chance = random.Random(7)
    for meeting in range(200):
        messages = campaign.messages[meeting * size : meeting * size + size]
        batches = []
        for number in range(2):
            first = 2 * size * meeting + (0 if same_slots else size * number)
            slots = [first + slot for slot in range(size)]
            chance.shuffle(slots)
            ordered = messages if number == 0 else messages[::-1]
            batches.append([request(message, slot=slot) for message, slot in zip(ordered, slots, strict=True)])
        answers = await asyncio.gather(*(gate(store, 1, "dispatcher-1", batch) for batch in batches))
        outcomes = Counter(outcome for answer in answers for outcome in answer.values())
        assert outcomes["passed"] <= size if same_slots else outcomes == {"passed": size, "refused": size}
    assert await store.fetchval("select count(*) from open_attempts") == await store.fetchval(
        "select count(*) from messages where status = 'sending'"
    )


async def test_a_repeated_gate_beside_its_first_call_passes_once(store: Database) -> None:
    """A reply is lost while the call is still being worked on."""
    messages = [await accept_message(store) for _ in range(20)]
    requests = [request(message, slot=slot) for slot, message in enumerate(messages)]
    first, second = await asyncio.gather(*(gate_until_done(store, requests) for _ in range(2)))
    assert set(first.values()) == set(second.values()) == {"passed"}
    assert await store.fetchval("select count(*) from open_attempts") == 20


async def test_two_accounts_never_write_to_one_person_within_the_gap(store: Database) -> None:
    people = 200
    campaigns = [await accept_campaign(store, people) for _ in range(3)]
    passed: Counter[int] = Counter()

    async def through(endpoint: str, messages: Sequence[UUID]) -> None:
        for begin in range(0, people, 10):
            batch = [
                request(message, endpoint=endpoint, slot=begin + place, gap=3600)
                for place, message in enumerate(messages[begin : begin + 10])
            ]
            outcomes = await gate_until_done(store, batch)
            assert set(outcomes.values()) <= {"passed", "later"}
            passed.update(begin + place for place, one in enumerate(batch) if outcomes[one.token] == "passed")

    await asyncio.gather(
        *(through(endpoint, campaign.messages) for endpoint, campaign in zip("abc", campaigns, strict=True))
    )
    assert passed == Counter(range(people))


async def test_a_gate_planned_on_an_empty_table_is_fast_on_a_full_one(
    store: Database, database: DatabaseOfTest
) -> None:
    """A plan that reads all rows for each of the hundred takes minutes in place of milliseconds. No statistics are there."""
    # One connection, so that the statement stays prepared.
    single = await Database(settings_of_database(database), size=1, application="test").open()
    try:
        for _ in range(8):
            nobody = request(uuid4())
            assert await ask(single, nobody) == ["refused"]
            assert await peek(single, [nobody.message]) == {}
            assert await settle(single, 0, [sent(nobody)]) == {}
            assert await end_unsendable(single, 0, [nobody.message], Status.CANCELED, "test") == 0
        campaign = await accept_campaign(store, 100_000, chunk_size=5000)
        batch = [request(message, slot=slot) for slot, message in enumerate(campaign.messages[50_000:50_100])]
        results = [sent(one) for one in batch]
        async with asyncio.timeout(10):
            assert len(await peek(single, campaign.messages[50_000:50_100])) == 100
        async with asyncio.timeout(10):
            assert set(await ask(single, *batch)) == {"passed"}
        async with asyncio.timeout(10):
            assert len(await settle(single, 0, results)) == 100
        async with asyncio.timeout(10):
            assert await end_unsendable(single, 0, campaign.messages[60_000:60_100], Status.CANCELED, "test") == 100
    finally:
        await single.close()
