"""Answers kept under an Idempotency-Key, so that a repeated request is answered again and not done again.

An answer is written in the transaction of its work (``insert_messages``, ``insert_campaign``); whoever finds its key taken
there has done nothing and finds the other's answer here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.database.connection import Database, load_statements
from shared.errors import PacelineError

if TYPE_CHECKING:
    from shared.database.connection import Connection

_SQL = load_statements("idempotency")


@dataclass(frozen=True, slots=True)
class CallerKey:
    """A key of one caller; the same key of another is another."""

    caller: str
    key: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """``request``: SHA-256 of what was asked for. ``body``: the answer, byte for byte."""

    request: bytes
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Keyed:
    """What is to be kept together with the work: under which key, and what is answered."""

    key: CallerKey
    answer: KeptAnswer


class KeyTaken(PacelineError):
    """Another request with this key has been accepted or is under way; this one changed nothing."""


async def find_answers(database: Database, keys: Sequence[CallerKey]) -> list[KeptAnswer | None]:
    """In the order of the keys. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["find_answers"], [key.caller for key in keys], [key.key for key in keys])
    return [None if row["request"] is None else KeptAnswer(row["request"], row["status"], row["body"]) for row in rows]


async def reserve_key(connection: Connection, key: CallerKey) -> None:
    """Keeps others from beginning the same work until the transaction ends. Raises KeyTaken where others are at it."""
    if not await connection.fetchval(_SQL["try_key"], key.caller, key.key):
        raise KeyTaken("another request with this Idempotency-Key is under way")


async def keep_answer(connection: Connection, keyed: Keyed) -> None:
    """Raises KeyTaken; the transaction must be given up then."""
    key, answer = keyed.key, keyed.answer
    kept = await connection.fetchval(
        _SQL["keep_answer"], key.caller, key.key, answer.request, answer.status, answer.body
    )
    if not kept:
        raise KeyTaken("another request with this Idempotency-Key was accepted")


async def prune_answers(database: Database, keep_seconds: float, limit: int) -> int:
    """Deletes up to ``limit`` answers older than that; how many. Raises DatabaseUnavailable."""
    status = await database.execute(_SQL["prune"], keep_seconds, limit)
    return int(status.split()[-1])
