"""Hearing at once that an entry was added, so that an idle dispatcher need not ask all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError

from shared.cancellation import end
from shared.queue.connection import QueueConnection

log = structlog.get_logger()
_PAUSE = 1.0


@asynccontextmanager
async def waking(queue: QueueConnection, woken: asyncio.Event) -> AsyncIterator[None]:
    """Sets ``woken`` whenever an entry is added, while the context is open, and each time that listening begins, for what
    was added before. A connection that is cut unnoticed loses wake-ups, so whoever waits also looks now and then."""

    async def listen() -> None:
        while True:
            try:
                async with queue.redis.pubsub() as channel:
                    await channel.subscribe(queue.keys.wake)
                    while True:
                        # Also what confirms the subscription, since nothing that comes after is lost.
                        if await channel.get_message(timeout=1.0) is not None:
                            woken.set()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_PAUSE)

    task = asyncio.create_task(listen(), name="waking")
    try:
        yield
    finally:
        await end(task)
