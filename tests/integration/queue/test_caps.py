"""Caps hold over every sliding hour and day, whatever the order of taking, settling, giving back, deaths and rebuilds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from shared.endpoints.caps import Caps
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import reclaim, unregister
from shared.queue.promoting import promote
from shared.queue.rebuild import RebuiltState, rebuild
from shared.queue.rota import set_caps
from shared.queue.streams import stream_suffixes
from shared.queue.taking import Assignment, Settlement, Taking
from tests.integration.queue.rota import LEASE, NOW, build, client, dispatcher, done, entry, put, rota, state, take

HOUR, DAY = 3_600_000, 86_400_000
SEEDS = range(int(os.environ.get("PACELINE_SEEDS", "5")))
STEPS = 250
ACCOUNT = "a"


def most_in(window: int, sends: Sequence[int]) -> int:
    """The most sends that any window of this many ms holds."""
    ordered = sorted(sends)
    return max((sum(first <= one < first + window for one in ordered) for first in ordered), default=0)


@dataclass
class Run:
    """One account, two dispatchers, and the times of all that was sent, as an observer at WhatsApp would note them."""

    queue: QueueConnection
    chance: Random
    caps: Caps
    slots: int
    now: int = NOW
    epoch: int = 1
    sends: list[int] = field(default_factory=list)
    bulk_sends: list[int] = field(default_factory=list)
    hand: list[Assignment] = field(default_factory=list)
    holders: dict[str, str] = field(default_factory=dict)
    """Token -> dispatcher."""
    dispatchers: list[Taking] = field(default_factory=list)
    names: list[str] = field(default_factory=lambda: ["", ""])
    serial: int = 0

    async def start(self) -> None:
        await self.rebuild()
        self.dispatchers = [self.new_dispatcher(which) for which in range(2)]
        await put(self.queue, *(entry(lane) for lane in Lane for _ in range(300)))

    def new_dispatcher(self, which: int) -> Taking:
        self.serial += 1
        self.names[which] = f"dispatcher-{self.serial}"
        return dispatcher(self.queue, ACCOUNT, name=self.names[which], slots=self.slots)

    async def rebuild(self) -> None:
        """As the scheduler does: what Postgres knows was sent, and what is under way counts from now."""
        self.epoch += 1
        names = {f"{ACCOUNT}/{number}" for number in range(self.slots)}
        under_way = {one.slot: one for one in self.hand}
        day = [one for one in self.sends if one > self.now - DAY]
        sends = {f"rebuilt-{index}": one for index, one in enumerate(day)} | {one.token: self.now for one in self.hand}
        settings = RebuiltState(
            slots=dict.fromkeys(names - under_way.keys(), (self.now, self.now)),
            busy=dict.fromkeys(under_way, self.now + LEASE),
            states={ACCOUNT: self.caps.fields()},
            owners={slot: one.token for slot, one in under_way.items()},
            sends={ACCOUNT: sends},
        )
        assert await rebuild(self.queue, self.epoch, settings)
        await put(self.queue, *(entry(lane) for lane in Lane for _ in range(300)))

    async def step(self) -> None:
        chance = self.chance
        await self.time_passes(chance.choice([0, 1, 1, 1000, 1000, 10_000, 600_000, HOUR // 2, HOUR - 1]))
        match chance.choices(("take", "settle", "back", "die", "flush", "caps"), (50, 40, 8, 5, 2, 3))[0]:
            case "take":
                which = chance.randrange(2)
                for one in await take(self.dispatchers[which], chance.randint(1, 5), self.now):
                    self.hand.append(one)
                    self.holders[one.token] = self.names[which]
            case "settle" if self.hand:
                await self.settle(chance.choice(("sent", "sent", "sent", "unknown", "transient")))
            case "back" if self.hand:
                one = self.hand.pop()
                for _ in range(chance.randint(1, 2)):
                    await self.dispatchers[0].settle([Settlement(one)], self.now)
            case "die":
                await self.die()
            case "flush":
                await client(self.queue).flushall()
                await self.rebuild()
            case "caps":
                # The same again changes nothing.
                assert not await set_caps(self.queue, ACCOUNT, self.caps, now_ms=self.now)

    async def settle(self, verdict: str) -> None:
        one = self.hand.pop(self.chance.randrange(len(self.hand)))
        if verdict != "transient":
            self.note(one, self.now)
        for _ in range(self.chance.randint(1, 2)):
            await self.dispatchers[0].settle([done(one, self.chance.choice([0, 5000]), verdict=verdict)], self.now)

    def note(self, one: Assignment, when: int) -> None:
        self.sends.append(when)
        if one.lane is Lane.BULK:
            self.bulk_sends.append(when)

    async def time_passes(self, ms: int) -> None:
        """No longer than a lease with something in hand: after it whoever held it is as good as dead."""
        if ms >= LEASE:
            self.dropped(list(self.hand))
        self.now += ms
        await promote(self.queue, 100, 1000, 1000, self.now)

    def dropped(self, assignments: Sequence[Assignment]) -> None:
        """Nobody will settle them; half of them were sent."""
        for one in assignments:
            self.hand.remove(one)
            if self.chance.random() < 0.5:
                self.note(one, self.now)

    async def die(self) -> None:
        which = self.chance.randrange(2)
        name, suffixes = self.names[which], await stream_suffixes(self.queue, [ACCOUNT])
        self.dropped([one for one in self.hand if self.holders[one.token] == name])
        self.dispatchers[which] = self.new_dispatcher(which)
        for suffix in suffixes:
            await reclaim(self.queue, suffix, name)
        assert await unregister(self.queue, name, None, 1000, suffixes, self.now) == "OK"

    def judge(self) -> None:
        assert most_in(HOUR, self.sends) <= self.caps.hour
        assert most_in(DAY, self.sends) <= self.caps.day


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_window_holds_more_than_the_cap(queue: QueueConnection, seed: int) -> None:
    chance = Random(seed)
    hour = chance.randint(2, 6)
    caps = Caps(hour, hour * chance.randint(2, 5), max(1, hour - 1), max(1, hour * 2 - 1))
    run = Run(queue, chance, caps, slots=chance.randint(1, 3))
    await run.start()
    for _ in range(STEPS):
        await run.step()
        run.judge()
    assert len(run.sends) > 2 * hour, "so little was sent that this says nothing"


@pytest.mark.parametrize("slots", [1, 3])
async def test_a_cap_is_used_up_and_comes_back_message_by_message(queue: QueueConnection, slots: int) -> None:
    await build(queue, [f"a/{number}" for number in range(slots)], states={"a": Caps(2, 0).fields()})
    await put(queue, *(entry() for _ in range(5)))
    one = dispatcher(queue, "a", slots=slots)
    sent = []
    for now in (NOW, NOW + 1000, NOW + 2000):
        for taken in await take(one, 1, now):
            await one.settle([done(taken)], now)
            sent.append(now)
    assert sent == [NOW, NOW + 1000]
    assert await take(one, 5, NOW + HOUR - 1) == []
    # One of the two has left the hour; with several slots still only one more may begin.
    assert len(await take(one, 5, NOW + HOUR)) == 1
    assert len(await take(one, 5, NOW + HOUR + 999)) == 0


@pytest.mark.parametrize("lane", Lane)
async def test_several_slots_share_what_is_left(queue: QueueConnection, lane: Lane) -> None:
    await build(queue, [f"a/{number}" for number in range(4)], states={"a": Caps(3, 0, 3, 0).fields()})
    await put(queue, *(entry(lane) for _ in range(2)), *(entry(lane, endpoint="a") for _ in range(4)))
    assert len(await take(dispatcher(queue, "a", slots=4), 10)) == 3


async def test_what_is_in_hand_counts_and_what_comes_back_does_not(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"], states={"a": Caps(1, 0).fields()})
    await put(queue, entry(), entry())
    one = dispatcher(queue, "a", slots=2)
    [taken] = await take(one, 2)
    assert await take(one, 2, NOW + 1000) == []
    await one.settle([Settlement(taken)], NOW + 2000)
    # The slot that was held back stands where the cap put it; the one that came back is ready.
    assert len(await take(one, 2, NOW + 2000)) == 1


async def test_campaigns_leave_the_reserve_to_texts(queue: QueueConnection) -> None:
    await build(queue, ["a/0"], states={"a": Caps(0, 5, 0, 3).fields()})
    await put(queue, *(entry(Lane.BULK) for _ in range(10)))
    one = dispatcher(queue, "a")
    for number in range(10):
        await one.settle([done(taken) for taken in await take(one, 5, NOW + number)], NOW + number)
    assert await client(queue).zcard(queue.keys.sends("a")) == 3
    await put(queue, *(entry() for _ in range(10)))
    for number in range(10, 20):
        await one.settle([done(taken) for taken in await take(one, 5, NOW + number)], NOW + number)
    assert await client(queue).zcard(queue.keys.sends("a")) == 5


async def test_a_raised_cap_lets_go_at_once_and_keeps_a_pause(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "b/0"], states={name: Caps(1, 0).fields() for name in "ab"})
    await put(queue, *(entry() for _ in range(9)))
    one = dispatcher(queue, "a", "b")
    await one.settle([done(taken, 0) for taken in await take(one, 2)], NOW)
    assert await take(one, 2, NOW + 1) == []
    assert {ready for ready, _ in (await rota(queue)).values()} == {NOW + HOUR}
    assert await set_caps(queue, "a", Caps(2, 0), now_ms=NOW + 2)
    assert [taken.endpoint for taken in await take(one, 2, NOW + 2)] == ["a"]
    # b stands in a pause that is longer than its cap; lifting the cap does not end it.
    await client(queue).zadd(queue.keys.rota, {"b/0": NOW + 2 * HOUR})
    assert await set_caps(queue, "b", Caps(), now_ms=NOW + 3)
    assert (await rota(queue))["b/0"][0] == NOW + 2 * HOUR


async def test_a_first_cap_counts_what_was_sent_before(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1"])
    await put(queue, *(entry() for _ in range(9)))
    one = dispatcher(queue, "a", slots=2)
    [in_hand] = await take(one, 1)
    assert await set_caps(queue, "a", Caps(0, 4), [HOUR, 2 * HOUR], NOW)
    [taken] = await take(one, 5, NOW)
    assert await take(one, 5, NOW) == []
    await one.settle([done(in_hand), done(taken)], NOW)
    assert await take(one, 5, NOW + DAY - 2 * HOUR - 1) == []
    assert len(await take(one, 5, NOW + DAY - 2 * HOUR)) == 1
    # Again without and with: nothing of before is counted twice.
    assert await set_caps(queue, "a", Caps(), now_ms=NOW)
    assert await set_caps(queue, "a", Caps(0, 4), [0], NOW)
    assert await client(queue).zcard(queue.keys.sends("a")) == 2


@pytest.mark.parametrize("ends", ["its lease", "its dispatcher"])
async def test_what_the_dead_may_have_sent_counts_from_their_end(queue: QueueConnection, ends: str) -> None:
    await build(queue, ["a/0"], states={"a": Caps(1, 0).fields()})
    await put(queue, entry(), entry())
    [taken] = await take(dispatcher(queue, "a"), 1)
    ended = NOW + LEASE
    if ends == "its lease":
        await promote(queue, 10, 0, 1000, ended)
    else:
        suffixes = await stream_suffixes(queue)
        assert len(await reclaim(queue, ":transactional", "dispatcher-1")) == 1
        assert await unregister(queue, "dispatcher-1", None, 0, suffixes, ended) == "OK"
    assert await client(queue).zscore(queue.keys.sends("a"), taken.token) == ended
    assert (await state(queue, "a")).get("cap_hour") == "1"
    other = dispatcher(queue, "a", name="dispatcher-2")
    assert await take(other, 1, NOW + HOUR + 1) == []
    assert len(await take(other, 1, ended + HOUR)) == 1
