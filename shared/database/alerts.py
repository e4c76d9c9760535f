"""Which alerts are on and who tells of them, so that of several monitors one does, and another when that one dies.

A claim is a lease: whoever has it posts the alert and says so; if it cannot, the next one claims it when the lease is over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.database.connection import Database, load_statements

_SQL = load_statements("alerts")


@dataclass(frozen=True, slots=True)
class AlertRow:
    """``sent_at``: when somebody was told last, None: nobody was yet."""

    name: str
    endpoint: str
    severity: str
    text: str
    since: datetime
    sent_at: datetime | None


async def fire(
    database: Database, alert: AlertRow, claim: UUID, lease_seconds: float, repeat_seconds: float
) -> AlertRow | None:
    """Notes that an alert is on. A row, with the ``since`` that all monitors tell: it is claimed, to be told of now. None:
    nobody need be told. ``claim`` is new for each call. Raises DatabaseUnavailable."""
    row = await database.fetchrow(
        _SQL["fire"],
        alert.name,
        alert.endpoint,
        alert.severity,
        alert.text,
        claim,
        lease_seconds,
        repeat_seconds,
        alert.since,
    )
    if row is None:
        return None
    return AlertRow(alert.name, alert.endpoint, alert.severity, alert.text, row["since"], row["sent_at"])


async def keep(database: Database, keys: Collection[tuple[str, str]]) -> None:
    """These, by name and endpoint, are not over: a monitor finds them on, or sees what may become one. Raises
    DatabaseUnavailable."""
    if keys:
        ordered = sorted(keys)
        await database.execute(_SQL["keep"], [name for name, _ in ordered], [endpoint for _, endpoint in ordered])


async def told(database: Database, alert: AlertRow, claim: UUID) -> None:
    """Somebody was told. Raises DatabaseUnavailable."""
    await database.execute(_SQL["told"], alert.name, alert.endpoint, claim)


async def claim_over(database: Database, claim: UUID, quiet_seconds: float, lease_seconds: float) -> list[AlertRow]:
    """Claims the alerts that no monitor has found on for ``quiet_seconds`` and of which somebody was told; the others are
    forgotten. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        await connection.execute(_SQL["forget_untold"], quiet_seconds)
        rows = await connection.fetch(_SQL["claim_over"], quiet_seconds, claim, lease_seconds)
    return [AlertRow(*row.values()) for row in rows]


async def forget(database: Database, alert: AlertRow, claim: UUID) -> None:
    """Somebody was told that it is over. Raises DatabaseUnavailable."""
    await database.execute(_SQL["forget"], alert.name, alert.endpoint, claim)
