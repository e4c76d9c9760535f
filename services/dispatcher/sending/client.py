"""The HTTP calls to the sender: one POST a message, never repeated.

Until a connection is in hand nothing can have been sent; from then on a failure is an unknown outcome, because the sender
has no idempotency key and goes on sending after we have hung up.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from services.dispatcher.sending.deadline import StartDeadline, StartLimitPassed
from services.dispatcher.sending.payloads import Request
from services.dispatcher.sending.verdict import Answer, not_sent, read_answer, too_late, unknown
from shared.clock import boottime
from shared.endpoints.answer_body import read_body
from shared.endpoints.identity import Endpoint
from shared.messages import Kind
from shared.settings import EndpointSettings, seconds

_LARGEST_ANSWER = 1_000_000


def request_seconds(settings: EndpointSettings, kind: Kind) -> float:
    """How long an answer may take. The sender's own limit is 45 s, looking up and uploading not counted; to hang up
    earlier would turn certain outcomes into unknown ones."""
    return seconds(settings.whatsapp_text_timeout if kind is Kind.MESSAGE else settings.whatsapp_media_timeout)


class SenderClient:
    """Use as an async context manager."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._connect = seconds(settings.whatsapp_connect_timeout)
        self._timeouts = {
            kind: aiohttp.ClientTimeout(total=request_seconds(settings, kind), sock_connect=self._connect)
            for kind in Kind
        }

    async def __aenter__(self) -> SenderClient:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_has_connection)
        trace.on_connection_reuseconn.append(_has_connection)
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=30),
            trace_configs=[trace],
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

        try:
            deadline.check()
            async with self._session.post(
                endpoint.base_url + request.path,
                data=request.body,
                headers={**endpoint.headers(), **request.headers},
                timeout=self._timeouts[kind],
                allow_redirects=False,
                trace_request_ctx=deadline,
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
            return unknown(f"no answer: {_words(error)}", elapsed())
        finally:
            if isinstance(request.body, aiohttp.MultipartWriter):
                # The file of an upload that was never begun would stay open.
                await request.body.close()

    async def show_typing(self, endpoint: Endpoint, phone: str, action: str) -> None:
        """Shows (``start``) or ends (``stop``) "typing…". That it fails changes nothing for the message."""
        try:
            async with self._session.post(
                endpoint.base_url + "/send/chat-presence",
                json={"phone": phone, "action": action},
                headers=endpoint.headers(),
                timeout=aiohttp.ClientTimeout(total=10, sock_connect=self._connect),
                allow_redirects=False,
            ) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return


async def _has_connection(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
    deadline = context.trace_request_ctx
    if isinstance(deadline, StartDeadline):
        deadline.check()
        deadline.connected = True


def _words(error: BaseException) -> str:
    """What happened, without the address, which may hold a login."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return type(error.os_error).__name__
    return type(error).__name__
