"""take_back: what a take gave whose answer was lost comes back; what is in hand stays."""

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from tests.integration.queue.rota import (
    NOW,
    build,
    busy,
    dispatcher,
    done,
    entries_in,
    entry,
    pending,
    put,
    rota,
    take_one,
)

SUFFIXES = (":transactional", ":bulk")


async def test_only_what_it_does_not_know_comes_back(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "b/0", "c/0"])
    texts = [entry(), entry(), entry()]
    await put(queue, *texts)
    taking, other = dispatcher(queue, "a", "b", "c"), dispatcher(queue, "a", "b", "c", name="dispatcher-2")
    in_hand = await take_one(taking)
    lost = await take_one(dispatcher(queue, "a", "b", "c"))  # the same dispatcher by name, which never hears of it
    foreign = await take_one(other)
    assert await taking.take_back(SUFFIXES, NOW) == (1, 1)
    assert set(await busy(queue)) == {in_hand.slot, foreign.slot}
    assert lost.slot in await rota(queue)
    assert await pending(queue, ":transactional") == 2
    (back,) = [one for one in await entries_in(queue, ":transactional") if one.message == lost.entry.message]
    assert back.crashes == 0, "nobody has died"
    assert await taking.take_back(SUFFIXES, NOW) == (0, 0)
    await taking.settle([done(in_hand)], NOW)
    assert set(await busy(queue)) == {foreign.slot}


async def test_the_campaigns_pause_is_kept(queue: QueueConnection) -> None:
    await build(queue, {"a/0": (NOW - 1, NOW + 200_000)})
    await put(queue, entry(Lane.TRANSACTIONAL))
    await take_one(dispatcher(queue, "a"))
    assert await dispatcher(queue, "a").take_back(SUFFIXES, NOW) == (1, 1)
    assert await rota(queue) == {"a/0": (NOW, NOW + 200_000)}
