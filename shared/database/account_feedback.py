"""Where accounts stand by feedback: kept in Postgres, since it must outlive Redis; what their sends came to; what changed.

No statement grows with the history: each looks at a bounded number of an account's newest attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.database.connection import Database, load_statements
from shared.endpoints.feedback import Cause, FeedbackState

_SQL = load_statements("account_feedback")
_ATTEMPTS = 500  # of an account that are looked at; 1 ms
_MESSAGES = 200  # the same; each is looked up for its receipt, 10 ms


@dataclass(frozen=True, slots=True)
class Standing:
    """``since`` None: it was never anything but normal. ``judged_from``: what it sent before is not held against it.
    ``until``: when a suspension by feedback ends by a trial. ``suspensions``: in a row. ``suspended_by``: operator or
    feedback, None while nobody has; ``now``: by the clock of Postgres, as all times here."""

    now: datetime
    state: FeedbackState = FeedbackState.NORMAL
    since: datetime | None = None
    judged_from: datetime | None = None
    until: datetime | None = None
    cause: Cause | None = None
    reason: str | None = None
    slow_factor: int = 1
    suspensions: int = 0
    suspended_by: str | None = None


async def standings(database: Database, endpoints: Sequence[str]) -> dict[str, Standing]:
    """By endpoint. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["standings"], list(endpoints))
    return {
        row["endpoint"]: Standing(
            now=row["now"],
            state=FeedbackState(row["state"]),
            since=row["since"],
            judged_from=row["judged_from"],
            until=row["until"],
            cause=Cause(row["cause"]) if row["cause"] else None,
            reason=row["reason"],
            slow_factor=row["slow_factor"],
            suspensions=row["suspensions"],
            suspended_by=row["suspended_by"],
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class Attempts:
    """``attempts`` that say something about the account, ``failed`` of them."""

    attempts: int = 0
    failed: int = 0


async def attempts_since(database: Database, begins: Mapping[str, datetime]) -> dict[str, Attempts]:
    """What the newest attempts of each endpoint came to that began after its time. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["errors"], list(begins), list(begins.values()), _ATTEMPTS)
    return {row["endpoint"]: Attempts(row["attempts"], row["failed"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Deliveries:
    """``sent`` messages, ``delivered`` of them. ``last_receipt``: when one came last from the account; None: never, then
    nothing is counted."""

    sent: int = 0
    delivered: int = 0
    last_receipt: datetime | None = None


async def deliveries_since(
    database: Database, begins: Mapping[str, datetime], after: timedelta, window: timedelta
) -> dict[str, Deliveries]:
    """What became of the newest messages of each endpoint that were sent after its time, longer than ``after`` ago and not
    longer than ``window`` before that. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["deliveries"], list(begins), list(begins.values()), after, window, _MESSAGES)
    return {row["endpoint"]: Deliveries(row["sent"], row["delivered"], row["last_at"]) for row in rows}


async def change_standing(
    database: Database,
    endpoint: str,
    before: Standing,
    after: FeedbackState,
    cause: Cause | None,
    reason: str,
    slow_factor: int,
    suspended_seconds: float,
    suspensions: int,
) -> bool:
    """Moves an endpoint on; with ``suspended`` no attempt begins through it once this has returned. False: it is not where
    ``before`` says any more, and nothing was changed. Raises DatabaseUnavailable."""
    return bool(
        await database.fetchval(
            _SQL["change"],
            endpoint,
            before.state.value,
            before.since,
            after.value,
            cause.value if cause else None,
            reason,
            slow_factor,
            suspended_seconds,
            suspensions,
        )
    )


async def judge_anew(database: Database, endpoint: str, standing: Standing) -> None:
    """Begins another window for an endpoint that stays where it is. Raises DatabaseUnavailable."""
    await database.execute(_SQL["judge_anew"], endpoint, standing.state.value, standing.since)


@dataclass(frozen=True, slots=True)
class StandingChange:
    changed_at: datetime
    before: FeedbackState
    after: FeedbackState
    reason: str


async def standing_changes(database: Database, endpoint: str, most: int) -> list[StandingChange]:
    """The latest changes of an endpoint, newest first. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["history"], endpoint, most)
    return [
        StandingChange(row["changed_at"], FeedbackState(row["before"]), FeedbackState(row["after"]), row["reason"])
        for row in rows
    ]
