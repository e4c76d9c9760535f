"""The statistics stream: one event a second, the same bytes for every client.

One loop encodes the event once and writes it to all, so a client costs a write. An event is a whole picture: a client
that has not read the last one yet is left out until it has, and one that leaves is forgotten at the next write. The
clients' handlers only wait for their end, which ``close`` brings about at a stop.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web
from aiohttp_sse import EventSourceResponse
from prometheus_client import Gauge

from shared.runtime.envelope import RETRY_AFTER, ApiError

_AT_A_TIME = 100  # clients written to before other requests get their turn
_SKIPPED_MOST = 30  # events in a row that a client may be too slow for before it is cut off
_SEND_BUFFER = 65536  # bytes the kernel may keep for a client, some seconds of events; by default it is megabytes

_streams = Gauge("paceline_statistics_streams", "Statistics streams that are open")


class StatisticsStream:
    def __init__(self, most: int) -> None:
        self._most = most
        # Clients, and how many events in a row each has been too slow for.
        self._clients: dict[EventSourceResponse, int] = {}
        self._latest = b""
        self._closed = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serves one client until it leaves or the stream is closed. Raises ApiError 503 when there are too many."""
        if self._closed or len(self._clients) >= self._most:
            raise ApiError(
                503,
                "SERVICE_UNAVAILABLE",
                "the monitor is stopping" if self._closed else "too many statistics streams are open",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        # Not the library's send(): it would build and time each client's event anew.
        response = EventSourceResponse(sep="\n", send_timeout=30)
        self._clients[response] = 0
        _streams.inc()
        try:
            _bound_send_buffer(request)
            await response.prepare(request)
            if self._latest:
                await response.write(self._latest)
            if self._closed:
                response.stop_streaming()
            await response.wait()
        except ConnectionResetError:
            pass
        finally:
            _streams.dec()
            self._clients.pop(response, None)
            if response.prepared:
                response.stop_streaming()
        return response

    async def publish(self, event: bytes) -> None:
        """Sends JSON without line breaks to every client and keeps it for those to come."""
        self._latest = b"data: " + event + b"\n\n"
        for number, response in enumerate(list(self._clients), start=1):
            if response in self._clients and response.prepared:
                await self._send(response)
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _send(self, response: EventSourceResponse) -> None:
        request = response._req
        transport = request.transport if request is not None else None
        if transport is None or transport.is_closing():
            self._forget(response)
            return
        if transport.get_write_buffer_size() > 0:
            self._clients[response] += 1
            if self._clients[response] > _SKIPPED_MOST:
                transport.abort()
                self._forget(response)
            return
        self._clients[response] = 0
        try:
            # The buffer is empty, so this never waits for the client.
            await response.write(self._latest)
        except (ConnectionResetError, RuntimeError):
            self._forget(response)

    def _forget(self, response: EventSourceResponse) -> None:
        self._clients.pop(response, None)
        response.stop_streaming()

    async def close(self) -> None:
        """Ends every client's handler."""
        self._closed = True
        for response in list(self._clients):
            if response.prepared:
                self._forget(response)


def _bound_send_buffer(request: web.Request) -> None:
    connection = request.transport.get_extra_info("socket") if request.transport is not None else None
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
