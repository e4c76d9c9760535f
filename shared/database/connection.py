"""The one way to Postgres: a pool, its limits, and errors sorted into "repeat it" and "a value is wrong".

Postgres may be away, or be read-only, when a service starts or at any time later. Every failure that is not about a value is
DatabaseUnavailable, within a bounded time, and says what mends it. The pool recovers by itself: where one connection finds
that its server is gone or may not be written to, all are replaced, so that a service follows a failover with its next
statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import orjson
import structlog

from shared.database.away import (
    STORE_ERRORS,
    blames_value,
    cause_of,
    condemns_neighbours,
    is_unwritable,
    lost_its_statement,
    may_be_about_one_row,
    words_of,
)
from shared.database.away import BadValue as BadValue
from shared.database.connecting import CONNECT_TIMEOUT, Connector, reported_read_only
from shared.database.statements import load_statements as load_statements
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")
log = structlog.get_logger()
_SQL = load_statements("connecting")
SCHEMA = "0011_alerts.sql"
"""The newest numbered migration, which the services need; their images do not hold the migrations themselves."""
_STATEMENT_TIMEOUT = 15.0
_RELEASE_TIMEOUT = 5.0
"""Seconds for a statement that was given up to be cancelled at the server, before its connection is cut."""
_CHECK_TIMEOUT = 2.5
"""Seconds; shorter than whoever asks for readiness waits, so that the answer names Postgres."""


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
    """A pool of at most ``size`` connections. ``open`` it before use, ``close`` it after. ``may_only_read`` as of Connector."""

    def __init__(self, settings: DatabaseSettings, size: int, application: str, may_only_read: bool = False) -> None:
        self._connector = Connector(settings, _prepare, may_only_read)
        self._size = size
        self._application = application
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> Database:
        """Makes the pool; connects only when first used, so this works while Postgres is away."""
        self._pool = await asyncpg.create_pool(
            connect=self._connector.connect,
            min_size=0,
            max_size=self._size,
            connection_class=_KeepingConnection,
            command_timeout=_STATEMENT_TIMEOUT + 1,
            max_inactive_connection_lifetime=60,
        )
        return self

    async def problem(self) -> str:
        """Empty, or that the schema is older than this code. Raises DatabaseUnavailable, whose text says what to mend: Postgres
        is away, or may not be written to, or its role lacks a right."""
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                return await self._problem()
        except TimeoutError as error:
            raise DatabaseUnavailable(cause_of(error), self._connector.where()) from error

    def remark(self) -> str:
        """Empty, or what might be set otherwise, though all is well."""
        return self._connector.remark

    async def _problem(self) -> str:
        try:
            row = await self.fetchrow(_SQL["usable"], SCHEMA)
        except DatabaseUnavailable as error:
            if not isinstance(error.__cause__, asyncpg.UndefinedTableError):
                raise
            row = None
        if row is None or not row["fits"]:
            newest = None if row is None else row["newest"]
            return f"the schema of Postgres is {newest or 'empty'}, {SCHEMA} is needed; run the migrations first"
        if row["read_only"]:
            raise DatabaseUnavailable(cause_of(asyncpg.ReadOnlySQLTransactionError()), self._connector.where())
        if lacking := await self.fetch(_SQL["lacking"]):
            raise DatabaseUnavailable(
                cause_of(asyncpg.InsufficientPrivilegeError()), ", ".join(row["lacks"] for row in lacking)
            )
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
        """A connection. Raises DatabaseUnavailable, also out of the body when Postgres goes away in it; of the body's errors
        those that blame a value stay as they are."""
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailable("the pool is closed")
        connection = await self._acquire(pool)
        try:
            yield connection
        except STORE_ERRORS as error:
            if isinstance(error, BadValue) and blames_value(error):
                _leave_out_values(error)
                raise
            raise await self._unavailable(pool, error) from error
        finally:
            await self._give_back(pool, connection)

    async def _acquire(self, pool: asyncpg.Pool[asyncpg.Record]) -> Connection:
        try:
            return await pool.acquire(timeout=CONNECT_TIMEOUT + 1)
        except TimeoutError as error:
            raise DatabaseUnavailable(
                f"Postgres is too slow: all {self._size} connections are in use", self._connector.where()
            ) from error
        except STORE_ERRORS as error:
            raise DatabaseUnavailable(cause_of(error), words_of(error)) from error

    async def _unavailable(self, pool: asyncpg.Pool[asyncpg.Record], error: BaseException) -> DatabaseUnavailable:
        if lost_its_statement(error):
            self._connector.forget_statements()
        if condemns_neighbours(error):
            await pool.expire_connections()
        return DatabaseUnavailable(
            cause_of(error),
            words_of(error),
            done_nothing=is_unwritable(error) or lost_its_statement(error),
            perhaps_one_row=may_be_about_one_row(error),
        )

    async def _give_back(self, pool: asyncpg.Pool[asyncpg.Record], connection: Connection) -> None:
        """The work is done or given up by now: that the connection cannot be kept is nobody's error."""
        # One that broke has been released already.
        with suppress(asyncpg.InterfaceError):
            if reported_read_only(connection):
                # A standby, or a primary that was demoted. Who comes next looks for one that may be written to.
                await pool.expire_connections()
        try:
            await pool.release(connection, timeout=_RELEASE_TIMEOUT)
        except STORE_ERRORS as error:
            log.debug("connection cut", reason=words_of(error))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction. Raises DatabaseUnavailable."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._ask(lambda connection: connection.fetch(statement, *arguments))

    async def fetchrow(self, statement: str, *arguments: Any) -> asyncpg.Record | None:
        return await self._ask(lambda connection: connection.fetchrow(statement, *arguments))

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        return await self._ask(lambda connection: connection.fetchval(statement, *arguments))

    async def execute(self, statement: str, *arguments: Any) -> str:
        return await self._ask(lambda connection: connection.execute(statement, *arguments))

    async def _ask(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            async with self.connection() as connection:
                return await ask(connection)
        except DatabaseUnavailable as error:
            if not error.done_nothing:
                raise
        # By a new connection, which may be to another server.
        async with self.connection() as connection:
            return await ask(connection)
