"""Who writes to which account, and which number is behind a hidden id, as the sender's events tell it.

An event may come twice, late or before an earlier one; what is kept is the same in the end. A hidden id (``<digits>@lid``) is
joined with its number by the first event that names both, and what was said under the id alone is the person's from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.database.connection import Database, load_statements

_SQL = load_statements("conversations")


@dataclass(frozen=True, slots=True)
class Person:
    """``phone`` as events give it, ``phone_key`` as it is compared."""

    phone: str
    phone_key: str


async def hear(
    database: Database,
    endpoint: str,
    person: Person | None,
    lid: str,
    whatsapp_id: str,
    said_at: datetime | None,
) -> Person | None:
    """Notes a message that an account has: its sender, if ``person`` or ``lid`` says who, is bound to the account from now on,
    and what waited to be let to write to them is looked at again. ``endpoint`` '': nobody knows which account it was. Answers
    who wrote; None: it is not known. Raises DatabaseUnavailable."""
    row = await database.fetchrow(
        _SQL["hear"],
        endpoint,
        person.phone_key if person else "",
        person.phone if person else "",
        lid,
        whatsapp_id,
        said_at,
    )
    return None if row is None else Person(row["phone"], row["phone_key"])


async def note_number(database: Database, lid: str, person: Person) -> bool:
    """Joins a hidden id with its number; answers whether an opt-out, or its end, took effect by that. Raises
    DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["note_number"], lid, person.phone_key, person.phone))


async def keep_unresolved(
    database: Database, lid: str, wish: Literal["out", "in"], said_at: datetime | None, endpoint: str
) -> Person | None:
    """Keeps the word of somebody whose number is hidden until it is known; answers the person, and keeps nothing, if it is by
    now. Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["keep_unresolved"], lid, wish, said_at, endpoint)
    return None if row is None else Person(row["phone"], row["phone_key"])


async def forget_heard(database: Database, keep_seconds: float, keep_numbers_seconds: float, limit: int) -> int:
    """Forgets messages and conversations that are older, and hidden numbers; ``limit`` of each at most. Answers the most that
    it was of one. Raises DatabaseUnavailable."""
    return int(await database.fetchval(_SQL["forget"], keep_seconds, keep_numbers_seconds, limit))
