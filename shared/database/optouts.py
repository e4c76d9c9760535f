"""Who wants no messages: asked for by a caller of the API, or by the person with a word such as STOP.

Compared by phone key, so any spelling of a number is the same person. What adds one takes the gate's lock: once it has
returned, no attempt that it forbids begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.database.connection import Database, load_statements
from shared.database.conversations import Person

_SQL = load_statements("optouts")


class Scope(StrEnum):
    """What the person gets no more: campaigns, or anything at all."""

    BULK = "bulk"
    ALL = "all"


class Source(StrEnum):
    API = "api"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class OptOut:
    """``phone`` as it was given, ``phone_key`` as it is compared."""

    phone_key: str
    phone: str
    scope: Scope
    source: Source
    created_at: datetime


def _opt_out(row: Any) -> OptOut:
    return OptOut(
        row["phone_key"],
        row["phone"] or row["phone_key"],
        Scope(row["scope"]),
        Source(row["source"]),
        row["created_at"],
    )


async def opt_out(database: Database, phone_key: str, phone: str, scope: Scope) -> OptOut:
    """Adds the person, or changes the scope. Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["opt_out"], phone_key, phone, scope.value)
    return _opt_out(row)


async def opt_in(database: Database, phone_key: str) -> bool:
    """Removes the person; False: was not there. Raises DatabaseUnavailable."""
    return await database.fetchval(_SQL["opt_in"], phone_key) is not None


async def opt_out_by_message(database: Database, phone_key: str, phone: str, said_at: datetime | None) -> bool:
    """Adds the person for campaigns; an opt-out that is there stays as it is. ``said_at``: by the account's clock, None: now.
    Answers whether it is new. Raises DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["opt_out_by_message"], phone_key, phone, said_at))


async def opt_in_by_message(database: Database, phone_key: str, said_at: datetime | None) -> bool:
    """Removes the person if it was a message, and an earlier one, that added it. Raises DatabaseUnavailable."""
    return await database.fetchval(_SQL["opt_in_by_message"], phone_key, said_at) is not None


async def opt_out_of(database: Database, phone_key: str) -> OptOut | None:
    """Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["one"], phone_key)
    return None if row is None else _opt_out(row)


async def opt_outs_after(database: Database, cursor: str, limit: int) -> list[OptOut]:
    """The next ones by phone key. Raises DatabaseUnavailable."""
    return [_opt_out(row) for row in await database.fetch(_SQL["page"], cursor, limit)]


async def recipient_of(database: Database, whatsapp_id: str, endpoint: str) -> Person | None:
    """The person that a message of ours went to; None: it is not ours, or went to a group. ``endpoint``
    '': any. Raises DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["recipient_of"], whatsapp_id, endpoint)
    return None if row is None else Person(row["phone"], row["phone_key"])


@dataclass(frozen=True, slots=True)
class UnresolvedOptOut:
    """Somebody opted out under a hidden id whose number is not known. ``endpoint`` '': nobody knows which account heard it."""

    lid: str
    endpoint: str
    said_at: datetime


async def unresolved_optouts(database: Database, limit: int) -> list[UnresolvedOptOut]:
    """The oldest ones. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["unresolved"], limit)
    return [UnresolvedOptOut(row["lid"], row["endpoint"], row["said_at"]) for row in rows]
