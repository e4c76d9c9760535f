"""/api/endpoints: the accounts as an operator steers them: suspended with a reason, put back, paced apart from the others.

What is said stands in Postgres, where the gate heeds it at once; Redis follows within a second.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web

from services.gateway.app_keys import DATABASE, DEFAULT_PROFILE, ENDPOINTS, QUEUE, SETTINGS
from services.gateway.intake.bodies import read_json_object
from services.gateway.intake.fields import checked
from services.gateway.routes.parameters import not_found, written_time
from services.gateway.routes.rate_profile import profile_in_force, publish, whole_quiet_hours, with_changes
from services.gateway.shapes import ReleaseRequest, SuspendRequest
from shared.database.endpoints import EndpointRow, endpoint_rows, resume_endpoint, suspend_endpoint
from shared.database.endpoints import release_hold as end_hold
from shared.database.rate_profile import update_endpoint
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.identity import Endpoint
from shared.endpoints.pacing import RateProfile
from shared.errors import QueueUnavailable
from shared.queue.rota import endpoint_states, readmit, withdraw
from shared.runtime.envelope import ApiError, success

log = structlog.get_logger()
_CAPS = ("cap_hour", "cap_day", "bulk_cap_hour", "bulk_cap_day")


async def list_endpoints(request: web.Request) -> web.Response:
    known = request.app[ENDPOINTS]
    return success("The endpoints", {"endpoints": await _items(request.app, list(known))})


async def suspend(request: web.Request) -> web.Response:
    endpoint = _named(request)
    wish = checked(SuspendRequest, await read_json_object(request))
    await suspend_endpoint(request.app[DATABASE], endpoint, wish.reason)
    with suppress(QueueUnavailable):
        # The scheduler does it as well, and again after a loss of Redis.
        await withdraw(request.app[QUEUE], endpoint, f"suspended: {wish.reason}")
    log.warning("endpoint suspended", endpoint=endpoint, reason=wish.reason)
    return await _answer(request, endpoint, "No attempt begins through it any more")


async def resume(request: web.Request) -> web.Response:
    endpoint = _named(request)
    await resume_endpoint(request.app[DATABASE], endpoint)
    log.warning("endpoint resumed", endpoint=endpoint)
    return await _answer(request, endpoint, "It is put on trial as soon as its account says that it can send")


async def reset_breaker(request: web.Request) -> web.Response:
    endpoint = _named(request)
    if (await endpoint_rows(request.app[DATABASE], [endpoint]))[endpoint].suspended_at is not None:
        raise ApiError(409, "ENDPOINT_SUSPENDED", "the endpoint is suspended; resume it first")
    slots = request.app[SETTINGS].endpoint_concurrency
    changed = await readmit(request.app[QUEUE], endpoint, slots, BreakerState.CLOSED, at_once=True)
    log.warning("breaker reset", endpoint=endpoint, changed=changed)
    return await _answer(request, endpoint, "The breaker is closed")


async def release_hold(request: web.Request) -> web.Response:
    endpoint = _named(request)
    wish = checked(ReleaseRequest, await read_json_object(request))
    held = await end_hold(request.app[DATABASE], endpoint)
    log.warning("hold for new contacts released", endpoint=endpoint, held=held, reason=wish.reason)
    return await _answer(request, endpoint, "It may write to new contacts again" if held else "It was not held")


async def change_rate_profile(request: web.Request) -> web.Response:
    endpoint = _named(request)
    asked = await read_json_object(request)
    defaults, slots = request.app[DEFAULT_PROFILE], request.app[SETTINGS].endpoint_concurrency

    def change(before: dict[str, Any], for_all: dict[str, Any]) -> dict[str, Any]:
        usual = with_changes(defaults, for_all)
        # A null gives the value back to the common profile; one that was never there is wrong all the same.
        with_changes(usual, {name: getattr(usual, name, value) for name, value in asked.items() if value is None})
        whole_quiet_hours(asdict(usual) | before, asked)
        after = {name: value for name, value in (before | asked).items() if value is not None}
        with_changes(usual, after, slots)
        return after

    changes = await update_endpoint(request.app[DATABASE], endpoint, change)
    log.info("rate profile of an endpoint changed", endpoint=endpoint, changes=changes)
    await publish(request.app)
    return await _answer(request, endpoint, "The endpoint's rate profile is changed")


def _named(request: web.Request) -> str:
    """The endpoint of the path. Raises ApiError 404."""
    endpoint = request.match_info["id"]
    if endpoint not in request.app[ENDPOINTS]:
        raise not_found("endpoint")
    return endpoint


async def _answer(request: web.Request, endpoint: str, message: str) -> web.Response:
    [item] = await _items(request.app, [endpoint])
    return success(message, item)


async def _items(app: web.Application, endpoints: list[str]) -> list[dict[str, Any]]:
    rows = await endpoint_rows(app[DATABASE], endpoints)
    usual = await profile_in_force(app)
    try:
        states = await endpoint_states(app[QUEUE], endpoints)
    except QueueUnavailable:
        states = {}
    return [
        _item(app[ENDPOINTS][endpoint], rows[endpoint], usual, states.get(endpoint), datetime.now(UTC))
        for endpoint in endpoints
    ]


def _item(
    endpoint: Endpoint, row: EndpointRow, usual: RateProfile, state: dict[str, str] | None, now: datetime
) -> dict[str, Any]:
    """``state``: as it stands in Redis; None: Redis cannot be reached."""
    profile = usual
    with suppress(ValueError):
        profile = usual.with_changes(row.rate_in_force)
    return {
        "id": endpoint.id,
        "label": endpoint.label,
        "suspended": row.suspended_at is not None,
        "suspend_reason": row.suspend_reason,
        "suspended_at": written_time(row.suspended_at),
        "suspended_by": row.suspended_by,
        "feedback": {
            "state": row.feedback_state,
            "since": written_time(row.feedback_since),
            "until": written_time(row.feedback_until),
            "reason": row.feedback_reason,
        },
        "held_until": written_time(row.held_until) if row.held_until and row.held_until > now else None,
        "breaker": None if state is None else _breaker(state),
        "caps": None if state is None else {name: int(state.get(name, "0")) for name in _CAPS},
        "capped_until": _later(state, "capped_until", now),
        "bulk_capped_until": _later(state, "bulk_capped_until", now),
        "profile": asdict(profile),
        "changes": row.rate_changes,
    }


def _breaker(state: dict[str, str]) -> dict[str, Any]:
    since = state.get("since")
    return {
        "state": state.get("breaker") or BreakerState.CLOSED,
        "reason": state.get("reason") or None,
        "since": written_time(datetime.fromtimestamp(int(since) / 1000, UTC)) if since else None,
    }


def _later(state: dict[str, str] | None, name: str, now: datetime) -> str | None:
    if not state or name not in state:
        return None
    moment = datetime.fromtimestamp(float(state[name]) / 1000, UTC)
    return written_time(moment) if moment > now else None
