"""What stands in Postgres, in numbers, for whoever watches. No statement grows with the number of messages: none looks for
a status in ``messages``, which has no index for it, and what may become long is counted up to a bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.endpoints.feedback import FeedbackState

_SQL = load_statements("figures")
COUNT_BOUND = 20_000
"""Waiting messages, and attempts of one endpoint, are counted no further; a figure that reaches it means "or more"."""
_CAMPAIGNS_BOUND = 1_000


@dataclass(frozen=True, slots=True)
class CampaignFigures:
    """``counts``: messages by terminal status; what is missing to ``total`` waits or is being sent."""

    token: UUID
    status: str
    kind: str
    lane: str
    reference: str
    total: int
    created_at: datetime
    counts: dict[str, int]
    delivered: int
    read: int
    possible_duplicates: int

    @property
    def waiting(self) -> int:
        return max(0, self.total - sum(self.counts.values()))


@dataclass(frozen=True, slots=True)
class SuspendedEndpoint:
    """``by``: operator or feedback."""

    since: datetime
    reason: str
    by: str = "operator"


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """Where an account stands by feedback; ``until``: when its suspension ends by a trial."""

    state: FeedbackState
    since: datetime
    reason: str
    slow_factor: int
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """``under_way``: attempts begun and without a verdict, ``overdue`` of them past their deadline. ``sends``, ``retries``
    and ``checks``: messages that wait outside a campaign's chunk, up to COUNT_BOUND together. ``latency_ms``: of one small
    statement. ``went_back_at``: since when Postgres is known to have gone back in time, and nobody has confirmed it.
    ``feedback``: where accounts stand that are, or once were, anything but normal. ``held``: accounts that get no new contacts,
    until when. ``unresolved_optouts``: people who opted out under a hidden id whose number is not known, up to COUNT_BOUND."""

    epoch: int
    rebuilding: bool
    stopped_lanes: list[str]
    stop_reason: str
    under_way: int
    overdue: int
    overdue_seconds: float
    sends: int
    retries: int
    checks: int
    suspended: dict[str, SuspendedEndpoint]
    campaigns: list[CampaignFigures]
    open_campaigns: dict[str, int]
    latency_ms: float
    went_back_at: datetime | None = None
    feedback: dict[str, AccountStanding] = field(default_factory=dict)
    held: dict[str, datetime] = field(default_factory=dict)
    unresolved_optouts: int = 0
    unresolved_since: datetime | None = None

    @property
    def bounded(self) -> bool:
        """Whether more waits than was counted."""
        return self.sends + self.retries + self.checks >= COUNT_BOUND


_OUTCOMES = ("sent", "failed", "unknown", "canceled", "expired", "suppressed")


async def database_figures(database: Database, campaigns: int) -> DatabaseFigures:
    """The figures of now, with the newest ``campaigns`` open ones. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        begun = time.perf_counter()
        control = await connection.fetchrow(_SQL["control"], COUNT_BOUND)
        latency = time.perf_counter() - begun
        suspended = await connection.fetch(_SQL["suspended_endpoints"])
        held = await connection.fetch(_SQL["held_endpoints"])
        unresolved = await connection.fetchrow(_SQL["unresolved_optouts"], COUNT_BOUND)
        standings = await connection.fetch(_SQL["account_standings"])
        rows = await connection.fetch(_SQL["open_campaigns"], campaigns)
        statuses = await connection.fetch(_SQL["campaigns_by_status"], _CAMPAIGNS_BOUND)
    if control is None:
        raise LookupError("the table control is empty; was the database migrated?")
    return DatabaseFigures(
        epoch=control["epoch"],
        rebuilding=control["rebuilding"],
        stopped_lanes=list(control["stopped_lanes"]),
        stop_reason=control["stop_reason"] or "",
        under_way=control["under_way"],
        overdue=control["overdue"],
        overdue_seconds=max(0.0, float(control["overdue_seconds"])),
        sends=control["sends"],
        retries=control["retries"],
        checks=control["checks"],
        suspended={row["id"]: SuspendedEndpoint(row["suspended_at"], row["reason"], row["by"]) for row in suspended},
        campaigns=[_campaign(row) for row in rows],
        open_campaigns={row["status"]: row["campaigns"] for row in statuses},
        latency_ms=round(latency * 1000, 2),
        went_back_at=control["went_back_at"],
        feedback={
            row["endpoint"]: AccountStanding(
                FeedbackState(row["state"]), row["since"], row["reason"], row["slow_factor"], row["until"]
            )
            for row in standings
        },
        held={row["id"]: row["cold_held_until"] for row in held},
        unresolved_optouts=unresolved["people"] if unresolved else 0,
        unresolved_since=unresolved["since"] if unresolved else None,
    )


def _campaign(row: Any) -> CampaignFigures:
    return CampaignFigures(
        token=row["token"],
        status=row["status"],
        kind=row["kind"],
        lane=row["lane"],
        reference=row["reference"] or "",
        total=row["total"],
        created_at=row["created_at"],
        counts={name: int(row[name]) for name in _OUTCOMES},
        delivered=int(row["delivered"]),
        read=int(row["read"]),
        possible_duplicates=int(row["possible_duplicates"]),
    )


@dataclass(frozen=True, slots=True)
class AttemptFigures:
    """``attempts`` that ended; ``sent`` of them were; ``failed`` and ``unknown`` are messages for which one was the last;
    ``retried`` were followed by another try. ``bounded``: there were more than were looked at."""

    attempts: int
    sent: int
    failed: int
    unknown: int
    retried: int
    bounded: bool


@dataclass(frozen=True, slots=True)
class HistoryFigures:
    """Slower figures: attempts by endpoint in a longer and a shorter time, and sizes. ``messages_about`` is the planner's."""

    long: dict[str, AttemptFigures]
    short: dict[str, AttemptFigures]
    database_bytes: int
    messages_about: int
    connections: int
    media_files: int
    media_bytes: int


async def history_figures(
    database: Database, endpoints: Sequence[str], long: timedelta, short: timedelta
) -> HistoryFigures:
    """Looks at up to COUNT_BOUND attempts an endpoint, newest first. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        rows = await connection.fetch(_SQL["recent_attempts"], list(endpoints), long, COUNT_BOUND, short)
        sizes = await connection.fetchrow(_SQL["sizes"])
    assert sizes is not None
    return HistoryFigures(
        long={row["endpoint"]: _attempts(row, "") for row in rows},
        short={row["endpoint"]: _attempts(row, "late_") for row in rows},
        database_bytes=sizes["database_bytes"],
        messages_about=sizes["messages_about"],
        connections=sizes["connections"],
        media_files=sizes["media_files"],
        media_bytes=sizes["media_bytes"],
    )


def _attempts(row: Any, prefix: str) -> AttemptFigures:
    return AttemptFigures(
        attempts=row[f"{prefix}attempts"],
        sent=row[f"{prefix}sent"],
        failed=row[f"{prefix}failed"],
        unknown=row[f"{prefix}unknown"],
        retried=row[f"{prefix}retried"],
        # The newest come first, so a long day cannot crowd out the hour.
        bounded=row[f"{prefix}attempts"] >= COUNT_BOUND,
    )
