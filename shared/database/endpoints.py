"""What an operator has said about endpoints, and what WhatsApp has: suspended, held for new contacts, paced apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.database.connection import Database, load_statements

_SQL = load_statements("endpoints")


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """``held_until``: it gets no new contacts until then. ``rate_changes``: what of its pace differs from the others'."""

    suspended_at: datetime | None = None
    suspend_reason: str | None = None
    held_until: datetime | None = None
    rate_changes: dict[str, Any] = field(default_factory=dict)


async def endpoint_rows(database: Database, endpoints: Sequence[str]) -> dict[str, EndpointRow]:
    """By endpoint; one of which nothing is known is as new. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["endpoints"], list(endpoints))
    found = {
        row["id"]: EndpointRow(
            row["suspended_at"], row["suspend_reason"], row["cold_held_until"], dict(row["rate_profile"])
        )
        for row in rows
    }
    return {endpoint: found.get(endpoint, EndpointRow()) for endpoint in endpoints}


async def suspend_endpoint(database: Database, endpoint: str, reason: str) -> None:
    """Once it has returned, no attempt begins through the endpoint. Raises DatabaseUnavailable."""
    await database.execute(_SQL["suspend"], endpoint, reason)


async def resume_endpoint(database: Database, endpoint: str) -> None:
    """The scheduler puts it on trial as soon as its account says that it can send. Raises DatabaseUnavailable."""
    await database.execute(_SQL["resume"], endpoint)
