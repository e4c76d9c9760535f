"""``python -m migrations``: bring the database to the schema of this version, or say that it is.

Safe to run by any number of pods at once, of two versions too: one holds the lock and applies, the others wait and find
nothing to do. Before an old schema is used by new services it must have been expanded, so run this first in every rollout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from migrations.applying import NewerDatabase, RefusedDatabase, WrongDefinition, migrate
from migrations.definitions import WrongNeeds
from shared.database.away import STORE_ERRORS, cause_of
from shared.database.connecting import Connector
from shared.errors import DatabaseUnavailable, SettingError
from shared.settings import DatabaseSettings, load


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
    except NewerDatabase as error:
        # A pod of before that is started once more beside new ones, or a rollback: its services can use what is there.
        print(error)
        return 0
    except (RefusedDatabase, WrongDefinition, WrongNeeds) as error:
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
