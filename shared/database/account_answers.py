"""Since when an account's sender answers without a gap, and which number the account was paired with: what makes "nothing
there" a proof. By Postgres' clock, since several schedulers ask and any of them may die."""

from __future__ import annotations

from collections.abc import Collection

from shared.database.connection import Database, load_statements

_SQL = load_statements("account_answers")
LONGEST_GAP = 15.0
"""Seconds between two answers; after a longer one nobody knows whether the sender stood still in between."""


async def whom_to_ask(
    database: Database, endpoints: Collection[str], seldom_seconds: float, often_seconds: float
) -> list[str]:
    """Those that are to be asked now: seldom, or often while an outcome of theirs is to be looked up. Of two callers one gets
    each. Raises DatabaseUnavailable."""
    # Sorted, since two that meet in opposite order deadlock.
    rows = await database.fetch(_SQL["whom_to_ask"], sorted(endpoints), seldom_seconds, often_seconds)
    return [row["endpoint"] for row in rows]


async def note_answer(database: Database, endpoint: str, number: str | None) -> float:
    """The sender answered: the account is ``number`` (a JID; '': logged out; None: the sender does not say). Answers for how
    many seconds it has answered without a gap. Raises DatabaseUnavailable."""
    return float(await database.fetchval(_SQL["note_answer"], endpoint, number, LONGEST_GAP))


async def note_silence(database: Database, endpoint: str) -> None:
    """The sender did not answer: whatever waits in it may still go out. Raises DatabaseUnavailable."""
    await database.execute(_SQL["note_silence"], endpoint)


async def paired_with(database: Database, number: str) -> list[str]:
    """The endpoints whose account is ``number`` (a JID without its device), as far as was last noticed. Raises
    DatabaseUnavailable."""
    return [row["endpoint"] for row in await database.fetch(_SQL["paired_with"], number)]
