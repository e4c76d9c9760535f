"""What an operator has said about endpoints, and what WhatsApp has: suspended, held for new contacts, paced apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.database.connection import Database, load_statements
from shared.database.postponing import wake_held

_SQL = load_statements("endpoints")


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """``suspended_by``: operator or feedback. ``held_until``: it gets no new contacts until then. ``rate_changes``: what of its
    pace an operator changed; ``rate_in_force``: with what feedback did. ``feedback_…``: where it stands by feedback."""

    suspended_at: datetime | None = None
    suspend_reason: str | None = None
    suspended_by: str | None = None
    held_until: datetime | None = None
    rate_changes: dict[str, Any] = field(default_factory=dict)
    rate_in_force: dict[str, Any] = field(default_factory=dict)
    feedback_state: str = "normal"
    feedback_since: datetime | None = None
    feedback_until: datetime | None = None
    feedback_reason: str | None = None


async def endpoint_rows(database: Database, endpoints: Sequence[str]) -> dict[str, EndpointRow]:
    """By endpoint; one of which nothing is known is as new. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["endpoints"], list(endpoints))
    found = {
        row["id"]: EndpointRow(
            suspended_at=row["suspended_at"],
            suspend_reason=row["suspend_reason"],
            suspended_by=(row["suspended_by"] or "operator") if row["suspended_at"] else None,
            held_until=row["cold_held_until"],
            rate_changes=dict(row["rate_profile"]),
            rate_in_force=dict(row["rate_in_force"]),
            feedback_state=row["state"] or "normal",
            feedback_since=row["since"],
            feedback_until=row["until"],
            feedback_reason=row["reason"],
        )
        for row in rows
    }
    return {endpoint: found.get(endpoint, EndpointRow()) for endpoint in endpoints}


async def suspend_endpoint(database: Database, endpoint: str, reason: str) -> None:
    """By an operator; once it has returned, no attempt begins through the endpoint. Raises DatabaseUnavailable."""
    await database.execute(_SQL["suspend"], endpoint, reason)


async def resume_endpoint(database: Database, endpoint: str) -> None:
    """The scheduler puts it on trial as soon as its account says that it can send. Raises DatabaseUnavailable."""
    await database.execute(_SQL["resume"], endpoint)


async def release_hold(database: Database, endpoint: str) -> bool:
    """Lets the endpoint write to new contacts again, and has what waits for that looked at now; answers whether it was held.
    May be repeated. Raises DatabaseUnavailable."""
    held = bool(await database.fetchval(_SQL["release_hold"], endpoint))
    await wake_held(database)
    return held


async def account_ages(database: Database, endpoints: Sequence[str]) -> dict[str, float]:
    """Days since each endpoint was first seen; the warm-up counts from there. Raises DatabaseUnavailable."""
    return {row["id"]: row["days"] for row in await database.fetch(_SQL["ages"], sorted(endpoints))}
