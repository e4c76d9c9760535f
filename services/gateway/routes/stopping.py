"""POST /api/stop and /api/start: no attempt begins any more, in one lane or in both, until it is started again.

What was stopped since Postgres went back in time is started the same way, which confirms that it did."""

from __future__ import annotations

import structlog
from aiohttp import web

from services.gateway.app_keys import DATABASE
from services.gateway.intake.bodies import read_json_object
from services.gateway.intake.fields import checked
from services.gateway.routes.parameters import written_time
from services.gateway.shapes import StartRequest, StopRequest
from shared.database.campaigns import start_lanes, stop_lanes
from shared.messages import Lane
from shared.runtime.envelope import success

log = structlog.get_logger()


def _lanes(lane: str | None) -> list[Lane]:
    return [Lane(lane)] if lane else list(Lane)


async def stop(request: web.Request) -> web.Response:
    wish = checked(StopRequest, await read_json_object(request))
    stopped = await stop_lanes(request.app[DATABASE], _lanes(wish.lane), wish.reason)
    log.warning("stopped", lanes=stopped, reason=wish.reason)
    return success("No attempt begins any more", {"stopped_lanes": stopped, "reason": wish.reason})


async def start(request: web.Request) -> web.Response:
    wish = checked(StartRequest, await read_json_object(request))
    started = await start_lanes(request.app[DATABASE], _lanes(wish.lane))
    stopped = started.stopped_lanes
    confirmed = None
    if started.went_back_at is not None:
        confirmed = (
            f"Postgres went back in time, noticed at {written_time(started.went_back_at)}: what it has as waiting is sent"
            " from now on, also what was sent in the time that it has lost"
        )
    log.warning("started", still_stopped=stopped, confirmed=confirmed)
    return success(
        "Sending goes on" if not stopped else "A lane is still stopped",
        {"stopped_lanes": stopped, "reason": started.reason, "confirmed": confirmed},
    )
