"""GOWA's envelope, and the errors that it answers with.

Success is ``{"code", "message", "results"}`` with no ``results`` when there is nothing to say and never a ``status``
key; errors have the same shape. What Fiber says itself (wrong Basic auth, body too large, no route) is plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

_JSON: Mapping[str, str] = {"Content-Type": "application/json; charset=utf-8"}
_TEXT: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client; a value, because one answer may be given many times and a response only once."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: _JSON)

    def response(self) -> web.Response:
        """A fresh response of it."""
        return web.Response(status=self.status, body=self.body, headers=self.headers)

    def raw(self) -> bytes:
        """It as it stands on the wire, the connection ending with it."""
        headers = {**self.headers, "Content-Length": str(len(self.body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def success(message: str, results: Any = None) -> Answer:
    """200 with the envelope."""
    if results is None:
        return Answer(200, orjson.dumps({"code": "SUCCESS", "message": message}))
    return Answer(200, orjson.dumps({"code": "SUCCESS", "message": message, "results": results}))


def error(status: int, code: str, message: str, results: Any = None) -> Answer:
    """An error in the envelope."""
    content: dict[str, Any] = {"code": code, "message": message}
    if results is not None:
        content["results"] = results
    return Answer(status, orjson.dumps(content))


def text(status: int, body: str, headers: Mapping[str, str] | None = None) -> Answer:
    """What Fiber answers before GOWA's own code runs."""
    return Answer(status, body.encode(), {**_TEXT, **(headers or {})})


def internal(message: str) -> Answer:
    """500: anything that GOWA panics with and has no code of its own for."""
    return error(500, "INTERNAL_SERVER_ERROR", message)


def invalid(message: str) -> Answer:
    """400: a rule on the fields is broken."""
    return error(400, "VALIDATION_ERROR", message)


def device_not_found(device: str) -> Answer:
    """404: an id was given that is not registered; the answer echoes it."""
    message = "device not found; create a device first from /api/devices or provide a valid X-Device-Id"
    return error(404, "DEVICE_NOT_FOUND", message, {"device_id": device})


def not_on_whatsapp(jid: str) -> Answer:
    """400: the lookup said no, or failed; GOWA reports both alike."""
    return error(400, "INVALID_JID", f"Phone {jid} is not on whatsapp")


UNAUTHORIZED = text(401, "Unauthorized", {"WWW-Authenticate": 'Basic realm="Restricted", charset="UTF-8"'})
BAD_AUTHORIZATION = text(400, "Bad Request")
TOO_LARGE = text(413, "Request Entity Too Large")
NO_ROUTE = text(404, "Not Found")
WRONG_METHOD = text(405, "Method Not Allowed")
DEVICE_ID_REQUIRED = error(400, "DEVICE_ID_REQUIRED", "device_id is required via X-Device-Id header or device_id query")
UNREADABLE_BODY = internal("Unprocessable Entity")
NO_CLIENT = error(500, "INVALID_WA_CLI", "your WhatsApp CLI is invalid or empty")
NOT_CONNECTED = error(401, "AUTHENTICATION_ERROR", "you are not connect to services server, please reconnect")
NOT_LOGGED_IN = error(401, "AUTHENTICATION_ERROR", "you are not logged in")
USYNC_FAILED = internal("failed to send usync query: info query timed out")
DROPPED_DURING_SEND = internal("websocket disconnected before message send returned response")
# As long as GOWA's, which is some 600 characters of advice.
TIMELOCK = error(
    429,
    "WA_REACHOUT_TIMELOCK",
    "WhatsApp rejected this send (error 463, reach-out timelock). The account may not open new chats for now: the "
    "recipient has not been in touch with it before, the number is new or has been quiet, Meta has limited it to the "
    "phone, or the tokens that prove an earlier contact are missing. Write to this person once from WhatsApp on the "
    "phone, ask them to write first, or go on with chats that already exist. Hours or days may pass before new chats "
    "are possible again, and every further try in the meantime can make that longer, so wait before anything is sent "
    "to people whom this account does not know yet.",
)
DEADLINE = error(504, "GATEWAY_TIMEOUT", "Request timed out waiting for WhatsApp server response")
GARBAGE = Answer(200, b"<html><body>welcome to the hotel network</body></html>", {"Content-Type": "text/html"})
