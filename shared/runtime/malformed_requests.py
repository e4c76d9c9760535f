"""Answers to what is no request: in the envelope, with a reason of ours and without a byte of what came.

aiohttp finds such things before any route or middleware does. By itself it answers them as plain text that quotes where it
failed, and logs the same: the beginning of a cookie too long for it, or a login in a header that is not quite one.
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from shared.runtime.envelope import answer, http_error_answer
from shared.runtime.request_identity import HEADER as REQUEST_ID
from shared.runtime.request_identity import identity_of

log = structlog.get_logger()

LONGEST_LINE = 16 * 1024
"""Bytes of the first line of a request, so of an address with its query."""
LONGEST_HEADER = 32 * 1024
"""Bytes of one header. Browsers send the cookies of a whole domain in one, and its other sites may have set many."""
LIMITS = {"max_line_size": LONGEST_LINE, "max_field_size": LONGEST_HEADER}
"""For aiohttp, whose own are 8,190 bytes each."""


class Connection(RequestHandler):
    """aiohttp's, except for its words about errors."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Also tells a request whose body breaks while it is read; it would wait for the rest of it otherwise."""
        super().data_received(data)
        if self._messages and self._current_request is not None and isinstance(self._messages[-1][0], _ErrInfo):
            content = self._current_request.content
            if not content.is_eof():
                content.set_exception(web.RequestPayloadError())
                # Otherwise the rest is waited for after the answer.
                content.feed_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        identity = identity_of(request)
        if status == HTTPStatus.BAD_REQUEST:
            log.info("malformed request", kind=type(exc).__name__)
            response = _malformed(exc)
        else:
            log.error("request failed outside its route", status=status, exc_info=exc)
            response = answer(status, "INTERNAL_SERVER_ERROR", "something is wrong on our side; it was logged")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        response.headers[REQUEST_ID] = identity.id
        response.force_close()
        return response


def _malformed(error: BaseException | None) -> web.Response:
    if isinstance(error, LineTooLong):
        # The limits differ, so the one that was passed tells what was too long.
        if error.args[1] == LONGEST_LINE:
            return _refusal(414, "URI_TOO_LONG", "address", f"it is longer than {LONGEST_LINE} bytes")
        return _refusal(
            431, _TOO_LARGE, "headers", f"one of them, a cookie maybe, has more than {LONGEST_HEADER} bytes"
        )
    if isinstance(error, BadHttpMethod):
        return _refusal(
            400, "BAD_REQUEST", "request", "it does not begin with a method; HTTPS maybe, where HTTP is spoken"
        )
    if isinstance(error, InvalidURLError):
        return _refusal(400, "BAD_REQUEST", "address", "it is not valid")
    if isinstance(error, HttpProcessingError) and error.message.startswith("Too many headers"):
        return _refusal(431, _TOO_LARGE, "headers", "there are too many of them")
    return _refusal(
        400, "BAD_REQUEST", "request", "it is not valid HTTP: its first line, a header or its length is wrong"
    )


_TOO_LARGE = "REQUEST_HEADER_FIELDS_TOO_LARGE"


def _refusal(status: int, code: str, field: str, reason: str) -> web.Response:
    return answer(status, code, f"{field}: {reason}", {"errors": [{"field": field, "reason": reason}]})


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Serves an application by connections that answer what is no request."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        handle = made.request_handler

        async def enveloped(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await handle(request)
            except web.HTTPException as error:
                # From before the middlewares, such as an Expect that nobody knows.
                return http_error_answer(error)

        return _Server(enveloped, request_factory=made.request_factory, **made._kwargs)
