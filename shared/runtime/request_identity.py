"""Who asks: an id for each request, its caller and its client, in every line that is written while it is handled.

The id is the caller's, from ``X-Request-Id``, or one that is made here, and every answer carries it: errors, streams and what
is no request too. What a caller gives is taken when it looks like an id; it reaches logs, so anything else is replaced. The
trace that a caller names in ``traceparent`` stands beside it, and goes with a message to whoever sends it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from shared.observability.log_context import current_subject, now_about
from shared.runtime.login_throttle import client_address
from shared.settings import ListenSettings
from shared.traceparent import read_traceparent, trace_id_of

HEADER = "X-Request-Id"
TRACEPARENT = "traceparent"
# Found without being folded for each request.
_HEADER, _TRACEPARENT = istr(HEADER), istr(TRACEPARENT)
# What ids are made of: UUIDs, hexadecimal, base64, a name before a slash. Neither 7 to 15 digits alone nor 8 behind a plus,
# which may be a phone number; the log would blot the second out.
_GIVEN = re.compile(r"(?!\d{7,15}\Z)(?!.*\+\d{8})[A-Za-z0-9._:/+=-]{1,128}", re.ASCII)


class RequestIdentity:
    """What lines about a request carry. ``client``: the address of whoever asked, as far as it can be known; ``caller``: the
    name of the login, '' until it was looked at and where none is asked for; ``traceparent``: '' for none."""

    __slots__ = ("caller", "client", "id", "traceparent")

    def __init__(self, identity: str, client: str, traceparent: str) -> None:
        self.id = identity
        self.client = client
        self.traceparent = traceparent
        self.caller = ""

    def log_fields(self) -> Mapping[str, object]:
        fields = {"request_id": self.id, "client": self.client}
        if self.caller:
            fields["caller"] = self.caller
        if self.traceparent:
            fields["trace_id"] = trace_id_of(self.traceparent)
        return fields

    def ids(self) -> Mapping[str, Sequence[str]]:
        return {"request_ids": [self.id]}


_IDENTITY = web.RequestKey("identity", RequestIdentity)


def who_asks(settings: ListenSettings) -> Middleware:
    """The outermost middleware: from here on lines are about the request."""
    trusted = [ipaddress.ip_network(network) for network in settings.trusted_proxies]

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        traceparent = read_traceparent(request.headers.get(_TRACEPARENT))
        _identify(request, _id_of(request), client_address(request, trusted), traceparent)
        return await handler(request)

    return middleware


def identity_of(request: web.BaseRequest) -> RequestIdentity:
    """Of any request; one that no middleware has seen, such as what is no HTTP, gets a new id."""
    known = request.get(_IDENTITY)
    return known or _identify(request, _new_id(), request.remote or "", "")


def caller_of(request: web.Request) -> str:
    """Who asks, as far as the login tells; '' where none is asked for."""
    return identity_of(request).caller


def traceparent_in_hand() -> str:
    """Of the request that is being handled; '' where it named none."""
    asked = current_subject()
    return asked.traceparent if isinstance(asked, RequestIdentity) else ""


async def answer_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``."""
    response.headers[_HEADER] = identity_of(request).id


def _identify(request: web.BaseRequest, identity: str, client: str, traceparent: str) -> RequestIdentity:
    request[_IDENTITY] = known = RequestIdentity(identity, client, traceparent)
    # Not taken back at its end: aiohttp handles each request in a task of its own.
    now_about(known)
    return known


def _id_of(request: web.Request) -> str:
    given = request.headers.get(_HEADER)
    return given if given and _GIVEN.fullmatch(given) else _new_id()


_made: list[str] = []
_MADE_AT_ONCE = 256
"""A call for chance of its own costs more than the rest of an id: 2.3 µs with one for each as a UUIDv7, 0.4 µs so."""


def _new_id() -> str:
    """32 hexadecimal digits of chance, as traces and nginx have them."""
    if not _made:
        chance = os.urandom(16 * _MADE_AT_ONCE).hex()
        _made.extend(chance[at : at + 32] for at in range(0, len(chance), 32))
    return _made.pop()
