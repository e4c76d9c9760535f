"""rebind.lua: entries move from an account that cannot send, unless their caller chose it."""

from dataclasses import replace

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.streams import rebind
from tests.integration.queue.rota import (
    build,
    dispatcher,
    entries_in,
    entry,
    put,
    take_one,
)

BULK, TEXT = Lane.BULK, Lane.TRANSACTIONAL


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
