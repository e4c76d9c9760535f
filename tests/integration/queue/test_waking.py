"""An idle dispatcher is told of what it could send, and asks by itself where the telling may have been lost."""

from __future__ import annotations

import asyncio

from shared.queue.connection import QueueConnection
from shared.queue.waking import waking
from tests.integration.queue.rota import NOW, build, dispatcher, entry, put, take


async def _woken(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()
    event.clear()


async def test_who_listens_is_woken_by_each_entry_and_once_for_what_was_before(queue: QueueConnection) -> None:
    woken = asyncio.Event()
    async with waking(queue, woken):
        await _woken(woken)
        for _ in range(2):
            await put(queue, entry())
            await _woken(woken)


async def test_a_connection_that_was_cut_wakes_when_it_is_there_again(queue: QueueConnection) -> None:
    woken = asyncio.Event()
    async with waking(queue, woken):
        await _woken(woken)
        assert await queue.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await _woken(woken)
        await put(queue, entry())
        await _woken(woken)


async def test_a_slot_that_was_missing_wakes(queue: QueueConnection) -> None:
    await build(queue, [])
    await put(queue, entry())
    woken = asyncio.Event()
    async with waking(queue, woken):
        await _woken(woken)
        await dispatcher(queue, "a").beat(NOW)
        await _woken(woken)
        assert len(await take(dispatcher(queue, "a"))) == 1
