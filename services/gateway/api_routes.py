"""The routes of the API with what each takes and answers: the application registers them, the OpenAPI document describes them.

A route can therefore not exist without being described. The monitor's routes, which clients see under the same address,
are described only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from services.gateway import shapes
from services.gateway.intake.account_choice import DEVICE_HEADER, DEVICE_QUERY
from services.gateway.intake.idempotency import HEADER, MAX_KEY
from services.gateway.routes import campaigns, endpoints, gowa_webhook, messages, optouts, rate_profile, stopping
from services.gateway.routes.sending import send
from services.gateway.send_requests import plain_body, upload_body
from shared.messages import KINDS, Kind, Status
from shared.runtime import request_identity

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, or a header where ``place`` says so."""

    name: str
    description: str
    kind: str = "string"
    choices: tuple[str, ...] = ()
    place: str = "query"
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """``bodies``: content type to model. ``answers``: status to models of ``results`` (several: one of them).
    ``errors``: statuses of errors beside 401 and 503."""

    method: str
    path: str
    summary: str
    group: str
    handler: Handler
    answers: dict[int, tuple[type[shapes.Answer], ...]]
    errors: tuple[int, ...] = ()
    bodies: dict[str, type[shapes.Request]] = field(default_factory=dict)
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    needs_login: bool = True


_PAGE = (
    Parameter("cursor", "The `next_cursor` of the page before"),
    Parameter("limit", "Entries of a page, 1 to 500 (50)", "integer"),
)
_STATUS = Parameter("status", "Only messages with this status; empty: all", choices=("", *Status))
_KEY = Parameter(
    HEADER,
    "A word of yours for this request, new for each: repeated with the same word it is answered again and not done again",
    place="header",
    longest=MAX_KEY,
)
_DEVICES = (
    Parameter(
        DEVICE_HEADER,
        "Send through this account only, as a client of the sender says it: its device id there, in URL encoding. Goes "
        "before `device_id`; the same as `endpoint` in the body. Another account there is refused",
        place="header",
    ),
    Parameter(DEVICE_QUERY, "The same as X-Device-Id"),
)
REQUEST_ID = Parameter(
    request_identity.HEADER,
    "An id of yours for this request, 1 to 128 of `A-Z a-z 0-9 . _ : / + = -`; where it is none, or could be a phone number, "
    "one is made",
    place="header",
)
_TRACE = Parameter(
    request_identity.TRACEPARENT,
    "Your trace, as W3C Trace Context has it; lines of the logs about the request and its message have its id. One that is "
    "not valid is ignored",
    place="header",
)
_ACCEPTED: tuple[type[shapes.Answer], ...] = (shapes.AcceptedMessage, shapes.AcceptedCampaign)


def _send(kind: Kind) -> ApiRoute:
    plain, traits = plain_body(kind), KINDS[kind]
    return ApiRoute(
        "POST",
        f"/api/send/{kind.value}",
        f"Send {traits.noun} to one or many",
        "Sending",
        send(kind),
        {202: _ACCEPTED},
        errors=(400, 403, 404, 409, 413, 415, 422, *((507,) if traits.file else ())),
        bodies={JSON: plain, MULTIPART: upload_body(kind) if traits.file else plain, FORM: plain},
        parameters=(_KEY, *_DEVICES, _TRACE),
    )


def _move(name: str, summary: str, handler: Handler) -> ApiRoute:
    return ApiRoute(
        "POST",
        f"/api/campaigns/{{token}}/{name}",
        summary,
        "Campaigns",
        handler,
        {200: (shapes.CampaignMoved,)},
        errors=(403, 404, 409),
    )


def _steer(method: str, name: str, summary: str, handler: Handler, body: type[shapes.Request] | None) -> ApiRoute:
    return ApiRoute(
        method,
        f"/api/endpoints/{{id}}/{name}",
        summary,
        "Steering",
        handler,
        {200: (shapes.EndpointItem,)},
        errors=(400, 403, 404, 413) if body else (403, 404, 409),
        bodies={JSON: body} if body else {},
    )


ROUTES = (
    *(_send(kind) for kind in KINDS),
    ApiRoute(
        "GET",
        "/api/messages",
        "Messages, newest first",
        "Messages",
        messages.list_messages,
        {200: (shapes.MessageList,)},
        errors=(400,),
        parameters=(_STATUS, *_PAGE),
    ),
    ApiRoute(
        "GET",
        "/api/messages/{id}",
        "A message with its attempts",
        "Messages",
        messages.show_message,
        {200: (shapes.Message,)},
        errors=(404,),
    ),
    ApiRoute(
        "POST",
        "/api/messages/{id}/cancel",
        "Cancel a message that waits",
        "Messages",
        messages.cancel,
        {200: (shapes.CanceledMessage,)},
        errors=(403, 404, 409),
    ),
    ApiRoute(
        "POST",
        "/api/messages/{id}/resolve",
        "Decide an outcome that nobody could find out: sent, failed, or to be sent again",
        "Messages",
        messages.resolve,
        {200: (shapes.ResolvedMessage,)},
        errors=(400, 403, 404, 409, 413),
        bodies={JSON: shapes.ResolveRequest},
    ),
    ApiRoute(
        "GET",
        "/api/campaigns",
        "Campaigns, newest first",
        "Campaigns",
        campaigns.list_campaigns,
        {200: (shapes.CampaignList,)},
        errors=(400,),
        parameters=_PAGE,
    ),
    ApiRoute(
        "GET",
        "/api/campaigns/{token}",
        "A campaign's progress",
        "Campaigns",
        campaigns.show_campaign,
        {200: (shapes.Campaign,)},
        errors=(404,),
    ),
    ApiRoute(
        "GET",
        "/api/campaigns/{token}/messages",
        "The messages of a campaign, in the order of its recipients",
        "Campaigns",
        campaigns.list_campaign_messages,
        {200: (shapes.MessageList,)},
        errors=(400, 404),
        parameters=(_STATUS, *_PAGE),
    ),
    _move("pause", "Pause: once it is answered, no message of it begins", campaigns.pause),
    _move("resume", "Resume: exactly the rest is sent", campaigns.resume),
    _move("cancel", "Cancel: what has not begun will not be sent", campaigns.cancel),
    ApiRoute(
        "POST",
        "/api/campaigns/{token}/retry",
        "Send failed messages again: all, those with one reason, or those of some chunks",
        "Campaigns",
        campaigns.retry,
        {200: (shapes.CampaignRetried,)},
        errors=(400, 403, 404, 409, 413),
        bodies={JSON: shapes.RetryRequest},
        body_required=False,
    ),
    ApiRoute(
        "POST",
        "/api/campaigns/{token}/resolve",
        "Decide all unknown outcomes of a campaign, or those with one reason",
        "Campaigns",
        campaigns.resolve,
        {200: (shapes.CampaignResolved,)},
        errors=(400, 403, 404, 409, 413),
        bodies={JSON: shapes.ResolveCampaignRequest},
    ),
    ApiRoute(
        "GET",
        "/api/rate-profile",
        "How fast accounts send",
        "Steering",
        rate_profile.show_rate_profile,
        {200: (shapes.RateProfileAnswer,)},
    ),
    ApiRoute(
        "PUT",
        "/api/rate-profile",
        "Change how fast accounts send, at once and without a restart",
        "Steering",
        rate_profile.change_rate_profile,
        {200: (shapes.RateProfileAnswer,)},
        errors=(400, 403, 413),
        bodies={JSON: shapes.RateProfileChange},
    ),
    ApiRoute(
        "GET",
        "/api/endpoints",
        "The accounts: suspended or not, breaker, caps, pace",
        "Steering",
        endpoints.list_endpoints,
        {200: (shapes.EndpointList,)},
    ),
    _steer(
        "POST",
        "suspend",
        "Suspend an account: once it is answered, no message begins through it",
        endpoints.suspend,
        shapes.SuspendRequest,
    ),
    _steer("POST", "resume", "Resume it: it is put on trial when it can send", endpoints.resume, None),
    _steer("POST", "reset-breaker", "Close its breaker without a trial", endpoints.reset_breaker, None),
    _steer(
        "POST",
        "release-hold",
        "Let it write to new contacts again, which WhatsApp had refused it",
        endpoints.release_hold,
        shapes.ReleaseRequest,
    ),
    _steer(
        "PUT",
        "rate-profile",
        "Change how fast this account sends, on top of the common rate profile",
        endpoints.change_rate_profile,
        shapes.RateProfileChange,
    ),
    ApiRoute(
        "POST",
        "/api/stop",
        "Stop: once it is answered, no message begins",
        "Steering",
        stopping.stop,
        {200: (shapes.Stopped,)},
        errors=(400, 403, 413),
        bodies={JSON: shapes.StopRequest},
    ),
    ApiRoute(
        "POST",
        "/api/start",
        "Start again what was stopped",
        "Steering",
        stopping.start,
        {200: (shapes.Started,)},
        errors=(400, 403, 413),
        bodies={JSON: shapes.StartRequest},
        body_required=False,
    ),
    ApiRoute(
        "GET",
        "/api/optouts",
        "Who has opted out, by number",
        "Opt-outs",
        optouts.list_optouts,
        {200: (shapes.OptOutList,)},
        errors=(400,),
        parameters=_PAGE,
    ),
    ApiRoute(
        "GET",
        "/api/optouts/{phone}",
        "Whether a phone has opted out, in any spelling",
        "Opt-outs",
        optouts.show_optout,
        {200: (shapes.OptOut,)},
        errors=(400, 404),
    ),
    ApiRoute(
        "PUT",
        "/api/optouts/{phone}",
        "Opt a phone out: once it is answered, no message of the scope begins to it",
        "Opt-outs",
        optouts.add_optout,
        {200: (shapes.OptOut,)},
        errors=(400, 403, 413),
        bodies={JSON: shapes.OptOutRequest},
        body_required=False,
    ),
    ApiRoute(
        "DELETE",
        "/api/optouts/{phone}",
        "Allow sending to a phone again",
        "Opt-outs",
        optouts.remove_optout,
        {200: (shapes.OptedIn,)},
        errors=(400, 403, 404),
    ),
    ApiRoute(
        "POST",
        gowa_webhook.PATH,
        "What the sender posts: receipts, and texts with words such as STOP. No login, but its signature",
        "Webhooks",
        gowa_webhook.receive,
        {200: (shapes.Heard,)},
        errors=(400, 403, 404, 413),
        bodies={JSON: shapes.GowaEvent},
        parameters=(
            Parameter(
                gowa_webhook.SIGNATURE,
                "`sha256=` and the HMAC-SHA256 of the body with WHATSAPP_WEBHOOK_SECRET, in hexadecimal",
                place="header",
            ),
        ),
        needs_login=False,
    ),
)


@dataclass(frozen=True, slots=True)
class ForeignRoute:
    """A route that somebody else serves under the same address, or that serves no JSON of ours."""

    path: str
    summary: str
    group: str
    content_type: str
    statuses: tuple[int, ...] = (200,)
    needs_login: bool = True
    method: str = "GET"


FOREIGN_ROUTES = (
    ForeignRoute(
        "/health",
        "Health of the whole: Redis, Postgres, queue, dispatchers, accounts",
        "Monitor",
        JSON,
        (200, 503),
        False,
    ),
    ForeignRoute("/api/statistics", "Figures of queue, messages and accounts", "Monitor", JSON),
    ForeignRoute(
        "/api/statistics/stream", "The same as server-sent events, one a second", "Monitor", "text/event-stream"
    ),
    ForeignRoute("/api/statistics/alerts", "The alerts that are on", "Monitor", JSON),
    ForeignRoute(
        "/api/alerts/test",
        "Post a test alert to ALERT_WEBHOOK_URL, and see what is answered there",
        "Monitor",
        JSON,
        (200, 409, 502),
        method="POST",
    ),
    ForeignRoute("/api/endpoints/stats", "The accounts: sends, failures, breaker", "Monitor", JSON),
    ForeignRoute("/docs", "This document to try out", "Documentation", "text/html"),
    ForeignRoute("/docs/openapi.yml", "This document", "Documentation", "application/yaml"),
)
