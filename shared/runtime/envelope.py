"""Answers in the sender's envelope, ``{"code", "message", "results"}``, for successes and for every error.

So a client of GOWA reads Paceline's answers as it is. An error says which field is wrong in ``results.errors``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from shared.errors import StoreUnavailable
from shared.runtime.response_headers import JsonResponse
from shared.runtime.strict_json import NotJson, parse_json

log = structlog.get_logger()

_CODES = {
    400: "BAD_REQUEST",
    401: "AUTHENTICATION_ERROR",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    417: "EXPECTATION_FAILED",
    429: "TOO_MANY_REQUESTS",
}
RETRY_AFTER = 5  # seconds; long enough for a failover to be noticed, short enough for a caller to wait


class ApiError(Exception):
    """An answer of 4xx or 5xx. ``errors`` are (field, reason) pairs, ``results`` what stands beside them."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
        results: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = list(errors)
        self.headers = headers or {}
        self.results = results or {}


class InvalidInput(ApiError):
    """400 VALIDATION_ERROR with the fields that are wrong."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        super().__init__(400, "VALIDATION_ERROR", "; ".join(f"{name}: {reason}" for name, reason in errors), errors)


def answer(
    status: int, code: str, message: str, results: Any = None, headers: dict[str, str] | None = None
) -> web.Response:
    body: dict[str, Any] = {"code": code, "message": message}
    if results is not None:
        body["results"] = results
    return JsonResponse(orjson.dumps(body), status, headers)


def success(
    message: str, results: Any = None, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return answer(status, "SUCCESS", message, results, headers)


def error_answer(error: ApiError) -> web.Response:
    results = dict(error.results)
    if error.errors:
        results["errors"] = [{"field": name, "reason": reason} for name, reason in error.errors]
    return answer(error.status, error.code, error.message, results or None, error.headers)


def http_error_answer(error: web.HTTPException) -> web.Response:
    """An error of aiohttp's own, without its text, which may quote the request."""
    headers = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
    return answer(error.status, _CODES.get(error.status, "ERROR"), error.reason, headers=headers)


@web.middleware
async def envelope_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what a handler raises into an answer; nothing of an unexpected error leaves but its status."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_answer(error)
    except StoreUnavailable as error:
        log.warning("store unavailable", route=_route_name(request), reason=str(error))
        return answer(
            503,
            "SERVICE_UNAVAILABLE",
            "Postgres or Redis cannot be reached; try again, with the same Idempotency-Key",
            headers={"Retry-After": str(RETRY_AFTER)},
        )
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return http_error_answer(error)
    except web.RequestPayloadError:
        # Not raised further: its text is a piece of the body.
        return error_answer(InvalidInput(("body", "its chunks or its length are not as HTTP wants them")))
    except ConnectionResetError:
        # Nobody is there to read this. Raised further it would be logged with a trace, as if it were an error of ours.
        return answer(400, "CONNECTION_LOST", "the connection was lost before the request was complete")
    except Exception:
        log.exception("request failed", method=request.method, route=_route_name(request))
        return answer(500, "INTERNAL_SERVER_ERROR", "something is wrong on our side; it was logged")


def _route_name(request: web.Request) -> str:
    """The route's pattern, since a path may hold a phone number."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def read_json(body: bytes) -> Any:
    """Parses JSON as ``strict_json`` says. Raises InvalidInput naming the body."""
    try:
        return parse_json(body)
    except NotJson as error:
        raise InvalidInput(("body", str(error)[:200])) from None
