"""A message with which dispatchers have died twice is handled when nothing else is in hand, and nothing else meanwhile."""

from __future__ import annotations

from dataclasses import replace

from shared.messages import Entry, Lane
from shared.queue.enqueueing import Placement, enqueue
from tests.integration.dispatcher.stage import Stage, eventually


async def test_a_suspect_is_alone(stage: Stage) -> None:
    await stage.sender.mood("slow", latency_ms=300)
    await stage.build()
    messages = [await stage.accept(f"1555010000{number}") for number in range(6)]
    entries = [Entry(message, 1, Lane.TRANSACTIONAL) for message in messages]
    entries[1] = replace(entries[1], crashes=2)
    entries[2] = replace(entries[2], crashes=1)
    await enqueue(stage.queue, [Placement(entry) for entry in entries])
    await stage.dispatcher()

    async def all_answered() -> bool:
        sends = await stage.sender.sends()
        return len(sends) == 6 and all(send["finished_at"] for send in sends)

    await eventually(all_answered, "the end of all sends")
    sends = await stage.sender.sends()
    (suspect,) = (send for send in sends if send["phone"].startswith("15550100001@"))
    others = [send for send in sends if send is not suspect]
    beside = [
        send
        for send in others
        if send["arrived_at"] < suspect["finished_at"] and send["finished_at"] > suspect["arrived_at"]
    ]
    assert not beside, "another message was in flight beside it"
    overlapping = [
        (one["phone"], two["phone"])
        for one in others
        for two in others
        if one is not two and one["arrived_at"] < two["finished_at"] and two["arrived_at"] < one["finished_at"]
    ]
    assert overlapping, "the others went side by side, so being alone was not chance"
    assert any(phone.startswith("15550100002@") for pair in overlapping for phone in pair), "one death accuses nobody"


async def test_of_two_suspects_one_is_in_hand(stage: Stage) -> None:
    """A dispatcher that dies is counted against all that it has in hand, so what waits for its turn must not be there."""
    await stage.build()
    messages = [await stage.accept(f"1555010000{number}") for number in range(3)]
    await enqueue(stage.queue, [Placement(Entry(message, 1, Lane.TRANSACTIONAL, crashes=2)) for message in messages])
    await stage.dispatcher(TYPING_DELAY_MIN="1s", TYPING_DELAY_MAX="1s")
    for turn in range(1, 4):

        async def typing(count: int = turn) -> bool:
            return (await stage.sender.typing()).count("start") == count

        await eventually(typing, f"typing {turn}")
        assert await stage.in_hand() == {":transactional": 1, "slots": 1}
        assert await stage.waiting() == 4 - turn
    await stage.all_sent(messages)
    assert len(await stage.sender.sends()) == 3
    await stage.nothing_left()
