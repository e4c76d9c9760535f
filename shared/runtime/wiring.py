"""The one way in which services are put together: a function starts what the application needs, in order, on a stack that ends
it in reverse order, each even where another failed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Protocol

from aiohttp import web

from shared.database.connection import Database
from shared.queue.connection import QueueConnection
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.service import READINESS, READY_CHECKS

Start = Callable[[web.Application, AsyncExitStack], Awaitable[None]]


class Role(Protocol):
    """Something that is done again and again: ``step`` does a piece of work and may answer the seconds to the next."""

    name: str
    interval: float

    def step(self) -> Awaitable[float | None]: ...


def started_by(app: web.Application, start: Start) -> web.Application:
    """The application, which calls ``start`` once it runs, and ends what that has put on the stack when it stops."""

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await start(app, stack)
            yield

    app.cleanup_ctx.append(context)
    return app


async def open_stores(stack: AsyncExitStack, queue: QueueConnection, database: Database) -> None:
    """Neither need answer."""
    stack.push_async_callback(queue.close)
    await database.open()
    stack.push_async_callback(database.close)


def ready_while_stores_answer(app: web.Application, queue: QueueConnection, database: Database) -> None:
    """Has GET /ready ask both, and tell what they remark."""
    app[READY_CHECKS] += [database.problem, queue.problem]
    app[READINESS].remarks += [database.remark, queue.remark]


async def run_beside(stack: AsyncExitStack, loops: Iterable[BackgroundLoop]) -> None:
    for loop in loops:
        await stack.enter_async_context(loop.running())


def loop_of(role: Role) -> BackgroundLoop:
    return BackgroundLoop(role.name, role.interval, role.step)
