"""The HTTP calls to the sender: one POST a message, never repeated.

Until a connection is in hand nothing can have been sent; from then on a failure is an unknown outcome, because the sender
has no idempotency key and goes on sending after we have hung up.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from services.dispatcher.sending.deadline import StartDeadline, StartLimitPassed
from services.dispatcher.sending.payloads import Request
from services.dispatcher.sending.verdict import (
    Answer,
    broken_off,
    not_sent,
    read_answer,
    read_typing_trouble,
    too_late,
    unknown,
)
from shared.clock import boottime
from shared.endpoints.answer_body import read_body
from shared.endpoints.identity import Endpoint
from shared.messages import Kind, Verdict
from shared.settings import EndpointSettings, seconds

if TYPE_CHECKING:
    from aiohttp.tracing import Trace

_LARGEST_ANSWER = 1_000_000
_TYPING_SECONDS = 10.0
"""The sender gives its own lookup, all that typing waits for, as long."""
MOST_BYTES = 100_000_000
"""Of a request's body: over it the sender hangs up in the middle of it, without a word."""
_deadline: ContextVar[StartDeadline | None] = ContextVar("deadline", default=None)


class _DeadlineConnector(aiohttp.TCPConnector):
    """Looks at the send's deadline once more with the connection in hand, before anything is written. aiohttp's tracing can
    do the same, but at a tenth of the cost of a send: it announces every other step too."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        deadline = _deadline.get()
        if deadline is not None:
            try:
                deadline.check()
            except StartLimitPassed:
                connection.release()
                raise
            deadline.connected = True
        return connection


def forgetful_socket(unacknowledged: float) -> Callable[[aiohttp.connector.AddrInfoType], socket.socket]:
    """Makes sockets whose kernel gives up what the other side has not acknowledged for so many seconds. By itself it goes on
    sending for minutes after the client has hung up: a network that heals by then would hand the sender a request that
    everybody has given up and sent again."""

    def make(address: aiohttp.connector.AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        # Linux has it, other systems only serve for trying things out.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unacknowledged * 1000))
        return made

    return make


class SenderClient:
    """Use as an async context manager."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._connect = seconds(settings.whatsapp_connect_timeout)
        self._timeouts = {
            kind: aiohttp.ClientTimeout(total=settings.request_seconds(kind), sock_connect=self._connect)
            for kind in Kind
        }
        # A connection serves all kinds, so the shortest.
        self._patience = min(settings.request_seconds(kind) for kind in Kind)
        self._targets: dict[tuple[str, str], tuple[URL, dict[str, str]]] = {}

    async def __aenter__(self) -> SenderClient:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=_DeadlineConnector(
                limit=0, limit_per_host=0, keepalive_timeout=30, socket_factory=forgetful_socket(self._patience)
            ),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, endpoint: Endpoint, kind: Kind, request: Request, deadline: StartDeadline) -> Answer:
        """One attempt. Never raises but CancelledError."""
        begun = boottime()

        def elapsed() -> int:
            return round((boottime() - begun) * 1000)

        size = request.body.size
        if size is not None and size > MOST_BYTES:
            await request.body.close()
            return Answer(Verdict.REFUSED, f"the message is {size} bytes long; the sender takes at most {MOST_BYTES}")
        url, headers = self._target(endpoint, request.path)
        _deadline.set(deadline)
        try:
            deadline.check()
            async with self._session.post(
                url, data=request.body, headers=headers, timeout=self._timeouts[kind], allow_redirects=False
            ) as response:
                body = await read_body(response, _LARGEST_ANSWER)
                return read_answer(response.status, body, elapsed())
        except StartLimitPassed:
            return too_late(elapsed())
        except aiohttp.ClientConnectorError as error:
            return not_sent(f"no connection: {_words(error)}", elapsed())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if isinstance(error.__cause__, StartLimitPassed):
                return too_late(elapsed())
            if not deadline.connected:
                return not_sent(f"no connection: {_words(error)}", elapsed())
            if not request.is_read_whole():
                # The sender reads all of a request before it does anything with it.
                return broken_off(f"broken off while it was uploaded: {_words(error)}", error, elapsed())
            return unknown(f"no answer: {_words(error)}", elapsed())
        finally:
            _deadline.set(None)
            # The file of an upload that was never begun would stay open.
            await request.body.close()

    def _target(self, endpoint: Endpoint, path: str) -> tuple[URL, dict[str, str]]:
        """Address and headers, made once: they are the same for every message of an endpoint."""
        target = self._targets.get((endpoint.id, path))
        if target is None:
            target = self._targets[endpoint.id, path] = (URL(endpoint.base_url + path), endpoint.headers())
        return target

    async def show_typing(self, endpoint: Endpoint, phone: str, action: str) -> Answer | bool:
        """Shows (``start``) or ends (``stop``) "typing…"; whether it was shown. An Answer: the account cannot send either.
        Never raises but CancelledError."""
        url, headers = self._target(endpoint, "/send/chat-presence")
        try:
            async with self._session.post(
                url,
                json={"phone": phone, "action": action},
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_TYPING_SECONDS, sock_connect=self._connect),
                allow_redirects=False,
            ) as response:
                body = await read_body(response, _LARGEST_ANSWER)
                return response.status < 300 or (read_typing_trouble(response.status, body) or False)
        except aiohttp.ClientConnectorError as error:
            return not_sent(f"no connection: {_words(error)}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return not_sent(f"typing was not answered: {_words(error)}")


def _words(error: BaseException) -> str:
    """What happened, without the address, which may hold a login."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return type(error.os_error).__name__
    return type(error).__name__
