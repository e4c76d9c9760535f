"""GET /api/messages and /api/messages/{id}, POST /api/messages/{id}/cancel and /resolve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from aiohttp import web

from services.gateway.app_keys import DATABASE, SHARD
from services.gateway.intake.bodies import read_json_object
from services.gateway.intake.fields import checked
from services.gateway.routes.parameters import (
    limit_of,
    message_cursor,
    not_found,
    path_id,
    refuse_unknown,
    status_of,
    written_time,
)
from services.gateway.shapes import ResolveRequest
from shared.database.campaigns import CampaignCanceled, MediaGone
from shared.database.messages import MessagePage, Row, cancel_message, message_with_attempts, newest_messages
from shared.database.unknown import Resolution, resolve_message, unknown_messages
from shared.messages import Status
from shared.observability.metrics import possible_duplicates
from shared.runtime.envelope import ApiError, success

log = structlog.get_logger()


def message_item(row: Row) -> dict[str, Any]:
    """A message as lists show it."""
    return {
        "message_id": str(row["id"]),
        "status": row["status"],
        "receipt": row["receipt"],
        "phone": row["phone"],
        "type": row["kind"],
        "campaign_token": str(row["campaign"]) if row["campaign"] else None,
        "endpoint": row["endpoint"],
        "attempt": row["attempt"],
        "reason": row["reason"],
        "reference": row["reference"],
        "created_at": written_time(row["created_at"]),
    }


def page_answer(page: MessagePage) -> web.Response:
    return success(
        f"Messages: {len(page.rows)}",
        {
            "messages": [message_item(row) for row in page.rows],
            "next_cursor": str(page.next_cursor) if page.next_cursor else None,
        },
    )


async def list_messages(request: web.Request) -> web.Response:
    refuse_unknown(request, "status", "cursor", "limit")
    database, status, cursor, limit = (
        request.app[DATABASE],
        status_of(request),
        message_cursor(request),
        limit_of(request),
    )
    if status is Status.UNKNOWN:
        return page_answer(await unknown_messages(database, cursor, limit))
    return page_answer(await newest_messages(database, status, cursor, limit))


async def show_message(request: web.Request) -> web.Response:
    found = await message_with_attempts(request.app[DATABASE], path_id(request, "id", "message"))
    if found is None:
        raise not_found("message")
    row, attempts = found
    results = {
        **message_item(row),
        "lane": row["lane"],
        "on_unknown": row["on_unknown"],
        "chosen_endpoint": row["chosen_endpoint"],
        "possible_duplicate": row["possible_duplicate"],
        "changed_at": written_time(row["changed_at"]),
        "send_at": written_time(row["send_at"]),
        "expires_at": written_time(row["expires_at"]),
        "attempts": [
            {
                "number": attempt["number"],
                "endpoint": attempt["endpoint"],
                "verdict": attempt["verdict"],
                "http_status": attempt["http_status"],
                "reason": attempt["reason"],
                "started_at": written_time(attempt["started_at"]),
                "finished_at": written_time(attempt["finished_at"]),
            }
            for attempt in attempts
        ],
        "whatsapp_id": next((attempt["whatsapp_id"] for attempt in reversed(attempts) if attempt["whatsapp_id"]), None),
    }
    return success(f"The message is {row['status']}", results)


async def cancel(request: web.Request) -> web.Response:
    message = path_id(request, "id", "message")
    if await cancel_message(request.app[DATABASE], message, request.app[SHARD]):
        log.info("message canceled", message=str(message))
        return success("The message is canceled", {"message_id": str(message), "status": Status.CANCELED.value})
    found = await message_with_attempts(request.app[DATABASE], message)
    if found is None:
        raise not_found("message")
    status = found[0]["status"]
    if status == Status.CANCELED:
        return success("The message was canceled before", {"message_id": str(message), "status": status})
    raise ApiError(409, "NOT_WAITING", f"the message is {status}; only one that waits can be canceled")


@contextmanager
def what_prevents_resending() -> Iterator[None]:
    """Turns it into an answer."""
    try:
        yield
    except CampaignCanceled as error:
        raise ApiError(409, "CAMPAIGN_CANCELED", str(error)) from None
    except MediaGone as error:
        raise ApiError(409, "MEDIA_GONE", str(error)) from None


async def resolve(request: web.Request) -> web.Response:
    message = path_id(request, "id", "message")
    resolution = Resolution(checked(ResolveRequest, await read_json_object(request)).resolution)
    with what_prevents_resending():
        found = await resolve_message(request.app[DATABASE], message, resolution, request.app[SHARD])
    if found is None:
        raise not_found("message")
    status, changed = found
    if not changed and status != resolution.value:
        raise ApiError(409, "NOT_UNKNOWN", f"the message is {status}; only one that is unknown can be resolved")
    if changed:
        if resolution is Resolution.RESEND:
            possible_duplicates.inc()
        log.info("message resolved", message=str(message), resolution=resolution.value)
    return success(f"The message is {status}", {"message_id": str(message), "status": status.value})
