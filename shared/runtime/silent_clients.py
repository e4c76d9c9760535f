"""Ends connections whose first request does not come: nobody else does, and thousands of them cost a process its sockets.

aiohttp ends a connection that asks for nothing after a request, and the gateway a body that comes too slowly; what is left
is a client that sends no request at all, or its headers byte by byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

log = structlog.get_logger()


class SilentClients:
    """``asked`` is a middleware that notes who has asked; ``sweep`` ends those who have not in time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: set[RequestHandler] = set()
        self._seen: dict[RequestHandler, float] = {}

        @web.middleware
        async def asked(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._asked.add(request.protocol)
            return await handler(request)

        self.asked = asked

    def sweep(self, server: web.Server, limit: float) -> int:
        """Ends those whose first request did not come in ``limit`` seconds; how many."""
        now, connections = self._clock(), set(server.connections)
        self._asked &= connections
        waiting = connections - self._asked
        self._seen = {connection: self._seen.get(connection, now) for connection in waiting}
        silent = [connection for connection, since in self._seen.items() if now - since >= limit]
        for connection in silent:
            connection.force_close()
        if silent:
            log.info("connections without a request ended", connections=len(silent))
        return len(silent)
