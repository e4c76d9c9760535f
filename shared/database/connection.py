"""The one way to Postgres: a pool, its limits, and errors sorted into "repeat it" and "it is wrong".

Postgres may be away when a service starts or at any time later; the pool recovers by itself and every failure to reach it
is DatabaseUnavailable within a bounded time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson

from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

_SQL = Path(__file__).parent / "sql"
SCHEMA = "0013_months_of_the_batch.sql"
"""The newest migration that the services need; the images do not hold the migrations themselves."""
_CONNECT_TIMEOUT = 5.0
_STATEMENT_TIMEOUT = 15.0

BadValue = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""SQLSTATE classes 22 and 23: a value is to blame, so repeating the same batch cannot help."""

_REPEATABLE = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,
)

_NOT_LET_IN = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""Also to be repeated: a password may be changed at the other side first, a database be made later."""


def load_statements(name: str) -> dict[str, str]:
    """The statements of ``sql/<name>.sql``, each after a line ``-- name: <name>``."""
    parts = re.split(r"^-- name: (\w+)\n", (_SQL / f"{name}.sql").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {key: text.strip() for key, text in zip(parts[1::2], parts[2::2], strict=True)}


class _KeepingConnection(asyncpg.Connection):
    """asyncpg says RESET ALL whenever a connection goes back to the pool, which would undo the limits set below, one round
    trip each time. Nothing here leaves a setting, a lock or a cursor behind."""

    def get_reset_query(self) -> str:
        return ""


async def _prepare(connection: asyncpg.Connection) -> None:
    # In binary form, which COPY needs; it is the text behind a version byte.
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        schema="pg_catalog",
        format="binary",
    )
    # By statement, since pgbouncer refuses them as startup parameters. A client that stops inside a transaction would
    # otherwise hold its rows, and every gate behind them, without end.
    await connection.execute(
        "set synchronous_commit = on; set idle_in_transaction_session_timeout = '5s';"
        " set lock_timeout = '2s'; set statement_timeout = '15s'"
    )


def _leave_out_values(error: asyncpg.PostgresError) -> None:
    """Postgres tells the whole row that it refuses as the detail, and a value behind a colon, as asyncpg does with one that it
    cannot encode. Whoever logs the error would log a phone number and a text."""
    error.detail = None
    error.args = tuple(str(told).partition(":")[0] for told in error.args[:1])


class Database:
    """A pool of at most ``size`` connections. ``open`` it before use, ``close`` it after."""

    def __init__(self, settings: DatabaseSettings, size: int, application: str) -> None:
        self._settings = settings
        self._size = size
        self._application = application
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> Database:
        """Makes the pool; connects only when first used, so this works while Postgres is away."""
        self._pool = await asyncpg.create_pool(
            **self._settings.connect_arguments(),
            min_size=0,
            max_size=self._size,
            init=_prepare,
            connection_class=_KeepingConnection,
            timeout=_CONNECT_TIMEOUT,
            command_timeout=_STATEMENT_TIMEOUT + 1,
            max_inactive_connection_lifetime=60,
        )
        return self

    async def problem(self) -> str:
        """Empty, or that the schema is older than this code. Raises DatabaseUnavailable, whose text says what to mend."""
        try:
            newest = await self.fetchval("select max(name) from applied_migrations")
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, _NOT_LET_IN):
                raise DatabaseUnavailable(
                    "Postgres refuses DATABASE_USER, DATABASE_PASSWORD or DATABASE_NAME"
                ) from error
            raise DatabaseUnavailable("Postgres cannot be reached") from error
        except asyncpg.UndefinedTableError:
            newest = None
        if newest is None or newest < SCHEMA:
            return f"the schema of Postgres is {newest or 'empty'}, {SCHEMA} is needed; run the migrations first"
        return ""

    async def close(self) -> None:
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), 5)
            except TimeoutError:
                self._pool.terminate()
            self._pool = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection. Raises DatabaseUnavailable, also out of the body when Postgres goes away in it."""
        if self._pool is None:
            raise DatabaseUnavailable("the pool is closed")
        try:
            async with self._pool.acquire(timeout=_CONNECT_TIMEOUT + 1) as connection:
                yield connection
        except BadValue as error:
            _leave_out_values(error)
            raise
        except _REPEATABLE as error:
            raise DatabaseUnavailable(f"Postgres: {type(error).__name__}, to be repeated") from error
        except asyncpg.InternalClientError as error:
            # Postgres has said on an idle connection that it ends it, and the end itself has not come yet. Taken for an error
            # of ours it lost verdicts that only had to be written again.
            if not str(error).startswith("cannot switch to state"):
                raise
            raise DatabaseUnavailable("Postgres: it is ending this connection") from error
        except (
            OSError,
            TimeoutError,
            asyncpg.InterfaceError,
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            *_NOT_LET_IN,
        ) as error:
            raise DatabaseUnavailable(f"Postgres: {type(error).__name__}: {error}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction. Raises DatabaseUnavailable."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> asyncpg.Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(statement, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> str:
        async with self.connection() as connection:
            return await connection.execute(statement, *arguments)
