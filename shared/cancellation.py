"""Ending a task for certain."""

from __future__ import annotations

import asyncio

_AGAIN = 0.1
"""Seconds after which a cancellation is taken for lost."""


async def end(task: asyncio.Task[None]) -> None:
    """Cancels a task until it has ended, whatever it came to. Once is not enough: the client of Redis waits for its writes with
    ``asyncio.wait_for``, which on Python 3.11 swallows a cancellation that comes as the write is done. Of tasks that called
    scripts again and again, half went on."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN)
    await asyncio.gather(task, return_exceptions=True)
