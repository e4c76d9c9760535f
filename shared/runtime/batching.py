"""Gathers what many callers do one by one into few calls, without making a lone caller wait.

A call goes out at once while fewer than ``lanes`` are under way; what arrives meanwhile leaves together when one returns.
So the batch grows with the load by itself and no timer is needed.

A batch is nobody's alone: it runs in a context of its own, and its lines of the log are about all that is in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

from shared.observability.log_context import Several, Subject, current_subject, now_about

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """``call`` takes up to ``limit`` items and answers as many results in the same order; an error is every item's."""

    def __init__(
        self, call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], limit: int = 100, lanes: int = 1
    ) -> None:
        self._call = call
        self._limit = limit
        self._lanes = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Result], Subject | None]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = copy_context()

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """The item's result, to be awaited. Cancelling the future does not take the item out of a call under way."""
        if self._loop is None:
            # To ask for it each time is a system call, 4 % of a dispatcher at full load.
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append((item, future, current_subject()))
        self._start(self._loop)
        return future

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and len(self._under_way) < self._lanes:
            task = loop.create_task(self._send(), context=self._context.copy())
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._start(task.get_loop())

    async def _send(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))]
        if not batch:
            return
        now_about(Several([subject for _, _, subject in batch]))
        try:
            results = await self._call([item for item, _, _ in batch])
            answered = list(zip(batch, results, strict=True))
        except BaseException as error:
            for _, future, _ in batch:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
            return
        for (_, future, _), result in answered:
            if not future.done():
                future.set_result(result)
