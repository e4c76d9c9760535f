"""The beat number: raised in Postgres first, then written to Redis, so Redis is ahead only when Postgres went back."""

from __future__ import annotations

from dataclasses import dataclass

from shared.database.connection import Database, load_statements

_SQL = load_statements("beat")
_NOT_DURABLE = ("off", "local")
"""With ``local`` no standby is waited for."""


@dataclass(frozen=True, slots=True, order=True)
class Beat:
    """``epoch`` and ``number`` as one of the stores has them; 0: it has none."""

    epoch: int
    number: int


async def raise_beat(database: Database, seen: Beat) -> int | None:
    """The next number; None: Redis, where ``seen`` was read before, is ahead. Raises DatabaseUnavailable; a number whose
    answer is lost is one that nobody gets."""
    number = await database.fetchval(_SQL["raise_beat"], seen.epoch, seen.number)
    return None if number is None else int(number)


async def beat_of_postgres(database: Database) -> Beat:
    """Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["present"])
    return Beat(row["epoch"], row["beat"]) if row is not None else Beat(0, 0)


async def stop_after_going_back(database: Database, ahead: Beat, reason: str) -> bool:
    """Stops everything, if ``ahead``, of Redis, is. Answers whether that is new. Raises DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["stop_after_going_back"], ahead.epoch, ahead.number, reason))


async def durability_problem(database: Database) -> str:
    """Empty, or that Postgres may forget what it has committed. Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["durability"])
    if row is None:
        return ""
    found = next((value for value in (row["setting"], row["reset_val"]) if value in _NOT_DURABLE), "")
    return f"synchronous_commit of Postgres is {found}; set it to on for the role or the database" if found else ""
