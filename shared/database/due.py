"""Messages that wait outside a chunk (table ``due``), as the scheduler looks for them: not in Redis, lost, or expired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.messages import Entry, Lane

_SQL = load_statements("due")


@dataclass(frozen=True, slots=True)
class Unqueued:
    """A message that was stamped as enqueued at ``stamp`` and now has to be, for ``epoch``."""

    entry: Entry
    stamp: datetime
    epoch: int


async def claim_unqueued(database: Database, lane: Lane, limit: int) -> list[Unqueued]:
    """Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["claim_unqueued"], lane.value, limit)
    return [
        Unqueued(
            Entry(
                message=row["message"],
                attempt=row["attempt"] + 1,
                lane=lane,
                endpoint=row["endpoint"],
                chosen=bool(row["endpoint"]),
                crashes=row["crashes"],
            ),
            row["enqueued_at"],
            row["epoch"],
        )
        for row in rows
    ]


async def release_unqueued(database: Database, claimed: Sequence[Unqueued]) -> None:
    """Takes the stamps back, unless somebody else has changed them. Raises DatabaseUnavailable."""
    await database.execute(
        _SQL["release_unqueued"], [item.entry.message for item in claimed], [item.stamp for item in claimed]
    )


async def mark_lost(database: Database, lane: Lane, endpoint: str, age_seconds: float, limit: int) -> int:
    """Marks messages as not enqueued whose entry is older than everything in its stream; how many. Raises
    DatabaseUnavailable."""
    status = await database.execute(_SQL["mark_lost"], lane.value, endpoint, age_seconds, limit)
    return int(status.split()[-1])


async def chosen_endpoints(database: Database, limit: int) -> list[tuple[Lane, str]]:
    """Lanes and endpoints that callers chose for what waits longest. Raises DatabaseUnavailable."""
    return [(Lane(row["lane"]), row["endpoint"]) for row in await database.fetch(_SQL["chosen_endpoints"], limit)]


async def mark_moved_on(database: Database, entries: Sequence[Entry]) -> None:
    """Has the messages enqueued again that are past these entries. Raises DatabaseUnavailable."""
    ordered = sorted(entries, key=lambda entry: (entry.message, entry.attempt))
    await database.execute(
        _SQL["mark_moved_on"], [entry.message for entry in ordered], [entry.attempt for entry in ordered]
    )


async def expired_after(database: Database, cursor: UUID, limit: int) -> tuple[list[UUID], UUID | None]:
    """The expired among the next ``limit`` waiting messages, and where to go on; None: that was the end. Raises
    DatabaseUnavailable."""
    rows = await database.fetch(_SQL["expired"], cursor, limit)
    following = rows[-1]["message"] if len(rows) == limit else None
    return [row["message"] for row in rows if row["expired"]], following
