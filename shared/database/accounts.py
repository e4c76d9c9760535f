"""What Postgres remembers of an account beyond its attempts."""

from __future__ import annotations

from collections.abc import Sequence

from shared.database.connection import Database, load_statements

_SQL = load_statements("accounts")


async def account_ages(database: Database, endpoints: Sequence[str]) -> dict[str, float]:
    """Days since each endpoint was first seen; the warm-up counts from there. Raises DatabaseUnavailable."""
    return {row["id"]: row["days"] for row in await database.fetch(_SQL["ages"], sorted(endpoints))}
