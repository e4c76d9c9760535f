"""``python -m migrations``: bring the database to the newest schema, or say that it is.

Safe to run by any number of pods at once: one holds the lock and applies, the others wait and find nothing to do. Each
file is one transaction; a file that was applied and has changed since is refused. Before an old schema is used by new
services it must have been expanded, so run this first in every rollout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import sys
from pathlib import Path

import asyncpg

from shared.database.away import STORE_ERRORS, cause_of
from shared.database.connecting import Connector
from shared.errors import DatabaseUnavailable, SettingError
from shared.settings import DatabaseSettings, load

_LOCK = 7205759403792792
_FOLDER = Path(__file__).parent


class ChangedMigration(Exception):
    """A file that is applied already differs from what was applied."""


async def migrate(connection: asyncpg.Connection) -> list[str]:
    """Applies what is missing and returns the names of the files applied.

    Raises ChangedMigration, or asyncpg.PostgresError where a file fails; that file then left nothing behind.
    """
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(
            "create table if not exists applied_migrations"
            " (name text primary key, sha256 text not null, applied_at timestamptz not null default now())"
        )
        rows = await connection.fetch("select name, sha256 from applied_migrations")
        applied = {row["name"]: row["sha256"] for row in rows}
        done = []
        for file in sorted(_FOLDER.glob("*.sql")):
            text = file.read_text(encoding="utf-8")
            digest = hashlib.sha256(text.encode()).hexdigest()
            if file.name in applied:
                if applied[file.name] != digest:
                    raise ChangedMigration(
                        f"{file.name} was changed after it was applied; put a new file beside it instead"
                    )
                continue
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(
                    "insert into applied_migrations (name, sha256) values ($1, $2)", file.name, digest
                )
            done.append(file.name)
        return done
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def main() -> int:
    argparse.ArgumentParser(prog="python -m migrations", description=__doc__.split("\n\n")[0]).parse_args()
    try:
        settings = load(DatabaseSettings)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        connection = await Connector(settings).connect()
    except DatabaseUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    try:
        done = await migrate(connection)
    except ChangedMigration as error:
        print(f"migration failed: {error}", file=sys.stderr)
        return 1
    except STORE_ERRORS as error:
        print(f"migration failed: {cause_of(error)} ({error})", file=sys.stderr)
        return 1
    finally:
        with contextlib.suppress(*STORE_ERRORS):
            await connection.close()
    print("\n".join(f"applied {name}" for name in done) if done else "the schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
