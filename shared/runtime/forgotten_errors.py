"""Errors of Postgres that nobody waits for any more: told in a line, not as a defect.

A request whose client has gone is cancelled while its statement is under way. Should the connection then die, as it does when
a server fails over, the driver's answer reaches nobody, and the loop tells of it with a trace and as an error: as if this
program had a fault. Whatever else nobody has foreseen keeps that trace.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import structlog

from shared.observability.log_context import about_nobody

log = structlog.get_logger()

_NEVER_RETRIEVED = "exception was never retrieved"
_CONNECTION_GONE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


def tell_forgotten(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For ``loop.set_exception_handler``. Its lines are about nobody: the loop tells of an error when the last that held it
    is gone, which may be while any other request is handled."""
    about_nobody().run(_tell, loop, context)


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, _CONNECTION_GONE) and str(context.get("message", "")).endswith(_NEVER_RETRIEVED):
        log.info("nobody waited for an answer of Postgres", error=type(error).__name__)
    else:
        loop.default_exception_handler(context)
