"""What Redis is rebuilt from: the epoch, what is in flight, and what the accounts did lately.

Times are answered as ages, since the clocks of Postgres and Redis need not agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.database.connection import Database, load_statements

_SQL = load_statements("rebuilding")
REBUILD_LEASE = 30
"""Seconds after which a rebuild that was begun and not ended is another scheduler's to begin."""


@dataclass(frozen=True, slots=True)
class Control:
    """``rate_profile``: what an operator changed of the settings' profile. ``rebuilding``: a scheduler is at it.
    ``unfinished``: one has begun, and is at it or has died."""

    epoch: int
    rebuilding: bool
    unfinished: bool
    rate_profile: dict[str, Any]


async def read_control(database: Database) -> Control:
    """Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["control"], REBUILD_LEASE)
    if row is None:
        raise LookupError("the table control is empty; was the database migrated?")
    return Control(row["epoch"], row["rebuilding"], row["unfinished"], row["rate_profile"])


async def begin_rebuild(database: Database, seen_epoch: int) -> int | None:
    """Raises the epoch and voids all assignments; the new epoch. None: another scheduler does it or has done it. Raises
    DatabaseUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(_SQL["lock_gate"])
        epoch = await connection.fetchval(_SQL["begin_rebuild"], seen_epoch, REBUILD_LEASE)
    return None if epoch is None else int(epoch)


async def end_rebuild(database: Database, epoch: int) -> None:
    """Lets enqueueing go on, or the next scheduler try. Raises DatabaseUnavailable."""
    await database.execute(_SQL["end_rebuild"], epoch)


@dataclass(frozen=True, slots=True)
class SlotInUse:
    """``left_ms``: until nobody can be waiting for the answer any more. ``token``: of its assignment, hex."""

    left_ms: int
    token: str


async def slots_in_use(database: Database, endpoints: Sequence[str]) -> dict[str, dict[int, SlotInUse]]:
    """By endpoint and slot. Raises DatabaseUnavailable."""
    found: dict[str, dict[int, SlotInUse]] = {}
    for row in await database.fetch(_SQL["slots_in_use"], list(endpoints)):
        found.setdefault(row["endpoint"], {})[row["slot"]] = SlotInUse(row["left_ms"], row["token"].hex)
    return found


async def recent_attempts(database: Database, endpoints: Sequence[str], most: int) -> dict[str, list[int]]:
    """By endpoint: how many ms ago each of its last attempts ended, newest first. Raises DatabaseUnavailable."""
    found: dict[str, list[int]] = {}
    for row in await database.fetch(_SQL["recent_attempts"], list(endpoints), most):
        found.setdefault(row["endpoint"], []).append(row["age_ms"])
    return found


async def sends_of_last_day(database: Database, endpoints: Sequence[str]) -> dict[str, list[int]]:
    """By endpoint: how many ms ago each message ended that it sent, or may have sent, in the last day. Raises
    DatabaseUnavailable."""
    found: dict[str, list[int]] = {}
    for row in await database.fetch(_SQL["sends_of_last_day"], list(endpoints)):
        found[row["endpoint"]] = list(row["ages_ms"])
    return found


async def suspended_endpoints(database: Database) -> dict[str, str]:
    """The reason by endpoint. Raises DatabaseUnavailable."""
    return {row["id"]: row["reason"] for row in await database.fetch(_SQL["suspended"])}
