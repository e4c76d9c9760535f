"""GET and PUT /api/rate-profile: how fast accounts send, changed at run time.

The changes stand in Postgres; Redis has a copy that dispatchers read. A loop compares the two, so a copy that could not be
written, or was lost, follows within seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import structlog
from aiohttp import web

from services.gateway.app_keys import DATABASE, DEFAULT_PROFILE, QUEUE, SETTINGS
from services.gateway.intake.bodies import read_json_object
from shared.database.rate_profile import published_form, read_changes, read_published, update_changes
from shared.endpoints.pacing import RateProfile, expected_bulk_gap_ms
from shared.endpoints.profiles import ENDPOINTS, profiles_of
from shared.errors import QueueUnavailable
from shared.queue.profile_copy import publish_profile, published_profile
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.envelope import InvalidInput, success

log = structlog.get_logger()
_FOLLOW_INTERVAL = 10.0


def with_changes(defaults: RateProfile, changes: dict[str, Any], slots: int = 1) -> RateProfile:
    """``slots``: messages that an account may have in hand. Raises InvalidInput, which names the field."""
    try:
        changed = defaults.with_changes(changes)
    except ValueError as error:
        field, _, reason = str(error).partition(": ")
        raise InvalidInput((field, reason)) from None
    _must_fit(changed, slots)
    return changed


def whole_quiet_hours(before: dict[str, Any], asked: dict[str, Any]) -> None:
    """Where it is never quiet yet, one end alone would count with midnight. Raises InvalidInput naming the other."""
    ends = ("quiet_from", "quiet_until")
    missing = [name for name in ends if asked.get(name) is None]
    if len(missing) == 1 and before[ends[0]] == before[ends[1]]:
        raise InvalidInput(
            (missing[0], f"it is wanted together with {next(end for end in ends if end not in missing)}")
        )


def _must_fit(profile: RateProfile, slots: int) -> None:
    """Two messages of one account at a time would keep no pause between them. Raises InvalidInput."""
    if slots > 1 and profile.paced:
        raise InvalidInput(("ENDPOINT_CONCURRENCY", f"only 1 goes with pacing, and {slots} is set"))


async def profile_in_force(app: web.Application) -> RateProfile:
    """The settings' profile with what was changed. Raises DatabaseUnavailable."""
    changes = await read_changes(app[DATABASE])
    try:
        return profiles_of(app[DEFAULT_PROFILE], changes).usual
    except ValueError:
        # As the dispatchers do.
        return app[DEFAULT_PROFILE]


def _answer(defaults: RateProfile, changes: dict[str, Any], message: str) -> web.Response:
    profile = profiles_of(defaults, changes).usual
    gap = expected_bulk_gap_ms(profile)
    return success(
        message,
        {
            "profile": asdict(profile),
            "changes": changes,
            "warnings": profile.warnings(),
            "messages_per_minute": round(60_000 / gap, 2) if gap else None,
        },
    )


async def show_rate_profile(request: web.Request) -> web.Response:
    changes = await read_changes(request.app[DATABASE])
    return _answer(request.app[DEFAULT_PROFILE], changes, "The rate profile in force")


async def change_rate_profile(request: web.Request) -> web.Response:
    asked = await read_json_object(request, required=True)
    defaults = request.app[DEFAULT_PROFILE]
    default_values = asdict(defaults)
    slots = request.app[SETTINGS].endpoint_concurrency

    def change(before: dict[str, Any], published: dict[str, Any]) -> dict[str, Any]:
        whole_quiet_hours(default_values | before, asked)
        after = before | {name: default_values.get(name) if value is None else value for name, value in asked.items()}
        usual = with_changes(defaults, after, slots)
        for endpoint, of_endpoint in published.get(ENDPOINTS, {}).items():
            try:
                own = usual.with_changes(of_endpoint)
            except ValueError as error:
                field, _, reason = str(error).partition(": ")
                raise InvalidInput((field, f"with what endpoint {endpoint} has of its own: {reason}")) from None
            _must_fit(own, slots)
        return {name: value for name, value in after.items() if value != default_values[name]}

    changes = await update_changes(request.app[DATABASE], change)
    log.info("rate profile changed", changes=changes)
    await publish(request.app)
    return _answer(defaults, changes, "The rate profile is changed")


async def publish(app: web.Application) -> None:
    """Tells the dispatchers of a change, if Redis can be reached; otherwise the loop does. Raises DatabaseUnavailable."""
    try:
        await _publish(app)
    except QueueUnavailable as error:
        log.warning("rate profile not published yet", reason=str(error))


async def _publish(app: web.Application) -> None:
    """Writes the copy in Redis if it is another one. Raises QueueUnavailable, DatabaseUnavailable."""
    text, version = published_form(await read_published(app[DATABASE]))
    published, _ = await published_profile(app[QUEUE])
    if published != version:
        await publish_profile(app[QUEUE], text, version)


def copy_loop(app: web.Application) -> BackgroundLoop:
    """The loop that keeps the copy in Redis true."""

    async def step() -> None:
        await _publish(app)

    return BackgroundLoop("rate_profile_copy", _FOLLOW_INTERVAL, step)
