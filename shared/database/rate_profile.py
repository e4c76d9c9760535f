"""The rate profile as changed at run time: kept in Postgres, copied to Redis, which may lose it.

Only what differs from the settings is kept, so a new default in the settings still counts for the rest. The version is
made of the changes themselves, so whoever publishes the copy (gateway, or a scheduler after a rebuild) gives it the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson

from shared.database.connection import Database, load_statements

_SQL = load_statements("rate_profile")


async def read_changes(database: Database) -> dict[str, Any]:
    """The fields of the profile that were changed. Raises DatabaseUnavailable."""
    return dict(await database.fetchval(_SQL["changes"]))


async def read_published(database: Database) -> dict[str, Any]:
    """The changes for all with, under the key ``endpoints``, those of single endpoints. Raises DatabaseUnavailable."""
    return dict(await database.fetchval(_SQL["published"]))


async def update_changes(
    database: Database, change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Replaces the changes for all by what ``change`` makes of them, given all that is published as well, one caller after
    the other; what it raises changes nothing. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        before = dict(await connection.fetchval(_SQL["lock_changes"]))
        changes = change(before, dict(await connection.fetchval(_SQL["published"])))
        await connection.execute(_SQL["store_changes"], changes)
        return changes


async def update_endpoint(
    database: Database, endpoint: str, change: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """The same for one endpoint; ``change`` is given its changes and those for all. Raises DatabaseUnavailable."""
    async with database.transaction() as connection:
        for_all = dict(await connection.fetchval(_SQL["lock_changes"]))
        changes = change(dict(await connection.fetchval(_SQL["lock_endpoint"], endpoint)), for_all)
        await connection.execute(_SQL["store_endpoint"], endpoint, changes)
        return changes


def published_form(changes: dict[str, Any]) -> tuple[str, str]:
    """(JSON of the changes, their version) as ``shared.queue.profile_copy.publish_profile`` takes them; nothing changed is
    version 0, which is also what an empty Redis says."""
    text = orjson.dumps(changes, option=orjson.OPT_SORT_KEYS).decode()
    return text, hashlib.sha256(text.encode()).hexdigest()[:16] if changes else "0"
