"""Connects to that one of DATABASE_HOST which may be written to, as several hosts of a cluster are listed until one is the
primary.

Where none may be written to, a connection to one that may only be read is better than none for who answers questions of people;
what is written is told that Postgres is read-only. Who acts by what it reads takes none: a standby may be some moments behind,
and a dispatcher would take a message that is not there yet for one that has moved on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from shared.database.away import STORE_ERRORS, cause_of, words_of
from shared.database.statements import load_statements
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

log = structlog.get_logger()
_SQL = load_statements("connecting")
CONNECT_TIMEOUT = 5.0
"""Seconds for all hosts together."""

_OTHERWISE_PERHAPS = (ConnectionError, ssl.SSLError, asyncpg.InvalidAuthorizationSpecificationError)
"""What a server says that wants TLS, or has none."""

Prepare = Callable[[asyncpg.Connection], Awaitable[None]]
Host = tuple[str, int]


class Connector:
    """Makes connections. ``prepare`` is called with each; what it raises counts as not having connected. ``may_only_read``: a
    server that is read-only will do where there is no other."""

    def __init__(self, settings: DatabaseSettings, prepare: Prepare | None = None, may_only_read: bool = False) -> None:
        self._settings = settings
        self._may_only_read = may_only_read
        self._prepare = prepare
        self._hosts = settings.database_hosts()
        self.statement_cache_size = settings.database_statement_cache_size
        self._may_be_pooled = self.statement_cache_size > 0 and (
            "database_statement_cache_size" not in settings.model_fields_set
        )
        """Nobody has said that statements may be cached, and nobody has looked whether they may."""
        self.remark = ""

    def where(self) -> str:
        """The hosts, for operators."""
        return ", ".join(map(_told, self._settings.database_hosts()))

    async def connect(self, *_: Any, **options: Any) -> asyncpg.Connection:
        """A connection to the first host that may be written to, the last good one first; else perhaps to one that may be read.
        ``options`` are asyncpg's. Raises DatabaseUnavailable, which names what was wrong with each."""
        wrong: list[tuple[Host, BaseException]] = []
        readable: asyncpg.Connection | None = None
        patience = CONNECT_TIMEOUT / len(self._hosts)
        try:
            for host in list(self._hosts):
                try:
                    async with asyncio.timeout(patience):
                        connection, is_read_only = await self._connect_to(host, options)
                except (*STORE_ERRORS, ValueError) as error:
                    # A ValueError is about a host's name, or a certificate's file that has gone since the start.
                    wrong.append((host, error))
                    continue
                if not is_read_only:
                    self._prefer(host)
                    return connection
                if self._may_only_read and readable is None:
                    readable = connection
                else:
                    connection.terminate()
                    wrong.append((host, asyncpg.ReadOnlySQLTransactionError("it may not be written to")))
            if readable is not None:
                found, readable = readable, None
                return found
        finally:
            if readable is not None:
                readable.terminate()
        raise self._unavailable(wrong)

    def forget_statements(self) -> None:
        """A prepared statement was not where it was prepared: none are kept from now on."""
        if self.statement_cache_size:
            self.remark = (
                "a pooler lends connections of Postgres: no statements are kept; set DATABASE_STATEMENT_CACHE_SIZE=0"
            )
            log.warning("keeps no prepared statements", reason=self.remark)
        self.statement_cache_size = 0
        self._may_be_pooled = False

    async def _connect_to(self, host: Host, options: dict[str, Any]) -> tuple[asyncpg.Connection, bool]:
        """A connection, and whether its server is read-only."""
        if self._may_be_pooled:
            await self._look_for_pooler(host)
        connection = await self._open(host, self.statement_cache_size, options)
        try:
            if self._prepare is not None:
                await self._prepare(connection)
            return connection, await _is_read_only(connection, ask=len(self._hosts) > 1)
        except BaseException:
            connection.terminate()
            raise

    async def _look_for_pooler(self, host: Host) -> None:
        """A pooler has no process of its own for us at the server, so it gives another number than the process has. Behind
        one, two services whose statements have the same name might even get each other's executed. Where statements are
        wanted explicitly they are kept: a pooler may lend whole sessions."""
        connection = await self._open(host, 0, {})
        try:
            process = await connection.fetchval(_SQL["process"])
            is_pooled = process != connection.get_server_pid()
        finally:
            connection.terminate()
        if is_pooled:
            self.forget_statements()
        self._may_be_pooled = False

    async def _open(self, host: Host, cache_size: int, options: dict[str, Any]) -> asyncpg.Connection:
        # Asyncpg would look into PGTARGETSESSIONATTRS.
        said = {"statement_cache_size": cache_size, "target_session_attrs": "any"}
        arguments = self._settings.login_arguments() | options | said | {"host": host[0], "port": host[1]}
        *first_ways, last_way = self._settings.database_tls()
        for way in first_ways:
            try:
                return await asyncpg.connect(**arguments | {"ssl": way})
            except _OTHERWISE_PERHAPS as error:
                if isinstance(error, ConnectionRefusedError | asyncpg.InvalidPasswordError):
                    raise
        return await asyncpg.connect(**arguments | {"ssl": last_way})

    def _prefer(self, host: Host) -> None:
        if self._hosts[0] != host:
            log.info("another host of Postgres may be written to", host=_told(host))
            self._hosts.remove(host)
            self._hosts.insert(0, host)

    def _unavailable(self, wrong: list[tuple[Host, BaseException]]) -> DatabaseUnavailable:
        causes = dict.fromkeys(cause_of(error, connecting=True) for _, error in wrong)
        where = "; ".join(f"{_told(host)}: {words_of(error)}" for host, error in wrong)
        unavailable = DatabaseUnavailable("; or else: ".join(causes), where)
        unavailable.__cause__ = wrong[0][1]
        return unavailable


async def _is_read_only(connection: asyncpg.Connection, ask: bool) -> bool:
    """Whether the server says that it is. Before version 14, and behind a pooler, it says so only when asked."""
    if (reported := reported_read_only(connection)) is not None or not ask:
        return bool(reported)
    return bool(await connection.fetchval(_SQL["read_only"]))


def reported_read_only(connection: asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]) -> bool | None:
    """As the server has reported of itself with its last answers; None: it does not. Costs nothing."""
    settings = connection.get_settings()
    standby = getattr(settings, "in_hot_standby", None)
    return None if standby is None else standby == "on" or settings.default_transaction_read_only == "on"


def _told(host: Host) -> str:
    name, port = host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
