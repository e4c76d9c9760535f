"""Hearing at once that an entry was added, so that an idle dispatcher need not ask all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from shared.cancellation import end
from shared.queue.connection import QueueConnection
from shared.queue.refusals import unavailable

log = structlog.get_logger()
_PAUSE = 1.0


@asynccontextmanager
async def waking(queue: QueueConnection, woken: asyncio.Event) -> AsyncIterator[None]:
    """Sets ``woken`` whenever an entry is added, while the context is open, and each time that listening begins, for what
    was added before. A connection that is cut unnoticed loses wake-ups, so whoever waits also looks now and then."""

    async def hear_until_it_is_left() -> None:
        generation = queue.way.generation
        async with queue.redis.pubsub() as channel:
            await channel.subscribe(queue.keys.wake)
            # A server that is no primary any more may never say so to who only listens.
            while generation == queue.way.generation:
                message = await channel.get_message(timeout=1.0)
                # Also what confirms the subscription, since nothing that comes after is lost. `probe.lua` says nothing.
                if message is not None and message["data"] != "":
                    woken.set()

    async def listen() -> None:
        reason = ""
        while True:
            try:
                await hear_until_it_is_left()
            except Exception as error:
                # Whatever it is: a dispatcher that does not hear any more would be slow for ever, and look well.
                before, reason = reason, unavailable(error).reason
                if reason != before:
                    log.warning("hears of no new entries", reason=reason)
                await asyncio.sleep(_PAUSE)

    task = asyncio.create_task(listen(), name="waking")
    try:
        yield
    finally:
        await end(task)
