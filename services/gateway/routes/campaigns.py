"""GET /api/campaigns, /api/campaigns/{token} and its messages; POST …/pause, /resume, /cancel, /retry,
/resolve."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web

from services.gateway.app_keys import DATABASE, ENDPOINTS, FAILURE_REASONS, QUEUE, SHARD
from services.gateway.intake.bodies import read_json_object
from services.gateway.intake.fields import checked
from services.gateway.routes.messages import page_answer, what_prevents_resending
from services.gateway.routes.parameters import (
    campaign_cursor,
    limit_of,
    message_cursor,
    not_found,
    path_id,
    refuse_unknown,
    status_of,
    written_cursor,
    written_time,
)
from services.gateway.routes.rate_profile import profile_in_force
from services.gateway.shapes import ResolveCampaignRequest, RetryRequest
from shared.database.campaigns import (
    Progress,
    campaign_progress,
    campaign_range,
    cancel_campaign,
    message_counts,
    newest_campaigns,
    pause_campaign,
    resume_campaign,
    retry_campaign,
)
from shared.database.connection import Database
from shared.database.messages import Row, campaign_messages
from shared.database.unknown import Resolution
from shared.database.unknown import resolve_campaign as resolve_unknown_of
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.pacing import expected_bulk_gap_ms
from shared.errors import QueueUnavailable
from shared.messages import CampaignStatus, Lane
from shared.observability.metrics import possible_duplicates
from shared.queue.connection import clock_ms
from shared.queue.rota import endpoint_states
from shared.runtime.envelope import ApiError, success

log = structlog.get_logger()
_CHUNKS_SHOWN = 200


def _item(row: Row) -> dict[str, Any]:
    return {
        "campaign_token": str(row["token"]),
        "status": row["status"],
        "type": row["kind"],
        "lane": row["lane"],
        "reference": row["reference"],
        "total": row["total"],
        "accepted": row["total"],
        "rejected": row["rejected"],
        "duplicates": row["duplicates"],
        "counts": message_counts(row),
        "receipts": {"delivered": row["delivered"], "read": row["read"]},
        "possible_duplicates": row["possible_duplicates"],
        "created_at": written_time(row["created_at"]),
        "send_at": written_time(row["send_at"]),
        "expires_at": written_time(row["expires_at"]),
        "finished_at": written_time(row["finished_at"]),
    }


async def list_campaigns(request: web.Request) -> web.Response:
    refuse_unknown(request, "cursor", "limit")
    limit = limit_of(request)
    rows = await newest_campaigns(request.app[DATABASE], campaign_cursor(request), limit)
    cursor = written_cursor(rows[-1]["created_at"], rows[-1]["token"]) if len(rows) == limit else None
    return success(f"Campaigns: {len(rows)}", {"campaigns": [_item(row) for row in rows], "next_cursor": cursor})


async def show_campaign(request: web.Request) -> web.Response:
    database = request.app[DATABASE]
    known = request.app[ENDPOINTS]
    endpoints = list(known)
    progress = await campaign_progress(database, path_id(request, "token", "campaign"), endpoints, _CHUNKS_SHOWN)
    if progress is None:
        raise not_found("campaign")
    row = progress.row
    usable = _usable_endpoints(progress, endpoints)
    gap = expected_bulk_gap_ms(await profile_in_force(request.app))
    waiting = _waiting(progress, usable) or await _accounts_wait(request.app, progress, usable)
    results = {
        **_item(row),
        "rate": round(progress.rate, 1),
        "eta": None if waiting else estimated_seconds(progress, len(usable), gap),
        "waiting": waiting,
        "endpoint": row["endpoint"],
        "chunks": [dict(chunk) for chunk in progress.chunks],
        "chunk_totals": progress.chunk_totals,
        "reasons": [
            {"reason": reason, "messages": count} for reason, count in await request.app[FAILURE_REASONS].of(row)
        ],
    }
    return success(f"The campaign is {row['status']}", results)


def _usable_endpoints(progress: Progress, endpoints: list[str]) -> list[str]:
    chosen = progress.row["endpoint"]
    return [one for one in ([chosen] if chosen else endpoints) if one not in progress.suspended]


def _waiting(progress: Progress, usable: list[str]) -> str | None:
    """Why nothing of it is sent now; None: nothing is in its way, or it is over."""
    row = progress.row
    if row["status"] == CampaignStatus.PAUSED:
        return "it is paused"
    if row["status"] == CampaignStatus.SCHEDULED:
        return f"it starts at {written_time(row['send_at'])}"
    if row["status"] != CampaignStatus.RUNNING:
        return None
    if row["lane"] in row["stopped_lanes"]:
        return f"lane {row['lane']} is stopped: {row['stop_reason']}"
    if not usable:
        return "all accounts that it may use are suspended"
    return None


async def _accounts_wait(app: web.Application, progress: Progress, usable: list[str]) -> str | None:
    if progress.row["status"] != CampaignStatus.RUNNING:
        return None
    try:
        states = await endpoint_states(app[QUEUE], usable)
        return accounts_wait(states.values(), progress.row["lane"], await clock_ms(app[QUEUE]))
    except QueueUnavailable:
        # What is wrong with Redis is the monitor's to say.
        return None


def accounts_wait(states: Collection[Mapping[str, str]], lane: str, now_ms: int) -> str | None:
    """Why none of the accounts may send for this lane now, by what Redis holds of each; None: one may."""
    cap = "bulk_capped_until" if lane == Lane.BULK else "capped_until"
    capped = []
    for state in states:
        until = float(state.get(cap) or 0)
        if state.get("breaker") == BreakerState.OPEN:
            continue
        if until <= now_ms:
            return None
        capped.append(until)
    if not capped:
        return "all accounts that it may use are out of service"
    others = "" if len(capped) == len(states) else " or out of service"
    return f"all accounts capped until {written_time(datetime.fromtimestamp(min(capped) / 1000, UTC))}{others}"


def estimated_seconds(progress: Progress, usable: int, gap_ms: float) -> float | None:
    """Seconds until nothing of it waits any more; None: nothing is known, or it does not run.

    From the pacing, since it is known before the first message is sent: the accounts share their pace among the running
    campaigns. Without pacing, from the rate so far.
    """
    if progress.row["status"] != CampaignStatus.RUNNING:
        return None
    counts = message_counts(progress.row)
    left = counts["queued"] + counts["sending"] + counts["retrying"]
    if gap_ms > 0:
        return math.ceil(left * gap_ms * max(int(progress.row["running_campaigns"]), 1) / max(usable, 1) / 1000)
    return math.ceil(left * 60 / progress.rate) if progress.rate > 0 else None


async def list_campaign_messages(request: web.Request) -> web.Response:
    refuse_unknown(request, "status", "cursor", "limit")
    status, cursor, limit = status_of(request), message_cursor(request), limit_of(request)
    campaign = await campaign_range(request.app[DATABASE], path_id(request, "token", "campaign"))
    if campaign is None:
        raise not_found("campaign")
    return page_answer(await campaign_messages(request.app[DATABASE], campaign, status, cursor, limit))


def _moving(
    move: Callable[[Database, UUID], Awaitable[CampaignStatus | None]], verb: str, *wanted: CampaignStatus
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that moves a campaign into a status. Asking for the status that it has already is no error."""

    async def handler(request: web.Request) -> web.Response:
        token = path_id(request, "token", "campaign")
        status = await move(request.app[DATABASE], token)
        if status is None:
            raise not_found("campaign")
        if status not in wanted:
            raise ApiError(409, f"CAMPAIGN_{status.upper()}", f"the campaign is {status} and cannot be {verb}")
        log.info(f"campaign {verb}", campaign=str(token))
        return success(f"The campaign is {status}", {"campaign_token": str(token), "status": status})

    return handler


pause = _moving(pause_campaign, "paused", CampaignStatus.PAUSED)
# One whose time has not come yet goes on waiting for it.
resume = _moving(resume_campaign, "resumed", CampaignStatus.RUNNING, CampaignStatus.SCHEDULED)
cancel = _moving(cancel_campaign, "canceled", CampaignStatus.CANCELED)


async def retry(request: web.Request) -> web.Response:
    token = path_id(request, "token", "campaign")
    wish = checked(RetryRequest, await read_json_object(request))
    with what_prevents_resending():
        retried = await retry_campaign(request.app[DATABASE], token, wish.reason, wish.chunks, request.app[SHARD])
    if retried is None:
        raise not_found("campaign")
    log.info("campaign retried", campaign=str(token), messages=retried)
    return success(f"{retried} messages are queued again", {"campaign_token": str(token), "retried": retried})


async def resolve(request: web.Request) -> web.Response:
    token = path_id(request, "token", "campaign")
    wish = checked(ResolveCampaignRequest, await read_json_object(request))
    resolution = Resolution(wish.resolution)
    with what_prevents_resending():
        resolved = await resolve_unknown_of(request.app[DATABASE], token, resolution, wish.reason, request.app[SHARD])
    if resolved is None:
        raise not_found("campaign")
    if resolution is Resolution.RESEND:
        possible_duplicates.inc(resolved)
    log.info(
        "campaign resolved",
        campaign=str(token),
        messages=resolved,
        resolution=resolution.value,
    )
    return success(f"{resolved} messages are resolved", {"campaign_token": str(token), "resolved": resolved})
