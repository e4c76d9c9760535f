"""Which server is talked to, and connections that leave it for another one when it turns out to be no primary.

A connection stays open when its server becomes a replica, and a pool would lend it for ever. So each remembers the
generation of the way by which it came; ``leave`` begins a new one, and a connection of an older one is made anew before it
is used again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from shared.queue.refusals import NO_PRIMARY, text_of
from shared.settings import RedisSettings, seconds

_OTHERS_WAIT = 0.5
"""Seconds for other sentinels once one has answered: one that is cut off from them still names the old primary."""


class FixedWay:
    """To one address."""

    def __init__(self, settings: RedisSettings, host: str, port: int) -> None:
        self._settings = settings
        self._address = (host, port)
        self.generation = 0

    async def address(self) -> tuple[str, int]:
        """Host and port. Raises ConnectionError of redis where they are not known."""
        return self._address

    def tls(self) -> ssl.SSLContext | None:
        """Read anew for each connection, since certificates are renewed while we run."""
        return self._settings.redis_tls_context()

    def leave(self) -> None:
        """Makes every connection of before one that is to be made anew."""
        self.generation += 1

    async def close(self) -> None:
        """Ends what was needed to find it."""


class SentinelWay(FixedWay):
    """To the primary that the sentinels name, whichever that is when a connection is made."""

    def __init__(self, settings: RedisSettings) -> None:
        super().__init__(settings, "", 0)
        self._name = settings.redis_sentinel_master
        login = (settings.redis_sentinel_username, settings.redis_sentinel_password.get_secret_value())
        self._sentinels = [
            Redis(connection_pool=_pool(settings, FixedWay(settings, host, port), 2, login))
            for host, port in settings.redis_sentinel_addresses()
        ]

    async def address(self) -> tuple[str, int]:
        asked = [asyncio.create_task(self._ask(sentinel)) for sentinel in self._sentinels]
        try:
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(asked, timeout=_OTHERS_WAIT)
            if not _answers(asked):
                await asyncio.wait(asked)
        finally:
            for task in asked:
                task.cancel()
            said = await asyncio.gather(*asked, return_exceptions=True)
        if answers := _answers(asked):
            return max(answers)[1]
        reasons = {text_of(each) for each in said if isinstance(each, Exception)}
        raise RedisConnectionError(f"{NO_PRIMARY}: {'; '.join(sorted(reasons))}")

    async def _ask(self, sentinel: Redis) -> tuple[int, tuple[str, int]]:
        """(epoch of what it knows, address). Of two that disagree the higher epoch is the later failover."""
        answer = await sentinel.execute_command("SENTINEL MASTER", self._name)  # type: ignore[no-untyped-call]
        return int(answer["config-epoch"]), (str(answer["ip"]), int(answer["port"]))

    async def close(self) -> None:
        for sentinel in self._sentinels:
            await sentinel.aclose()
            await sentinel.connection_pool.disconnect()


def _answers(asked: Sequence[asyncio.Task[tuple[int, tuple[str, int]]]]) -> list[tuple[int, tuple[str, int]]]:
    return [task.result() for task in asked if task.done() and not task.cancelled() and task.exception() is None]


def way_of(settings: RedisSettings) -> FixedWay:
    """The way that the settings say."""
    if settings.redis_sentinels:
        return SentinelWay(settings)
    return FixedWay(settings, settings.redis_host, settings.redis_port)


class WayfindingConnection(Connection):
    """A connection to wherever the way leads now. Takes ``way`` beside what any connection takes."""

    def __init__(self, *, way: FixedWay, **options: Any) -> None:
        self._way = way
        self._generation = way.generation
        super().__init__(**options)

    async def connect(self) -> None:
        if self.is_connected and self._generation != self._way.generation:
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def _connect(self) -> None:
        self._generation = self._way.generation
        self.host, self.port = await self._way.address()
        await super()._connect()  # type: ignore[no-untyped-call]

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {"host": self.host, "port": self.port, "ssl": self._way.tls()}


def pool_to(way: FixedWay, settings: RedisSettings, size: int) -> BlockingConnectionPool:
    """A pool of at most ``size`` connections with the login and the database of the settings."""
    login = (settings.redis_username, settings.redis_password.get_secret_value())
    return _pool(settings, way, size, login, settings.redis_database)


def _pool(
    settings: RedisSettings, way: FixedWay, size: int, login: tuple[str, str], database: int = 0
) -> BlockingConnectionPool:
    return BlockingConnectionPool(
        connection_class=WayfindingConnection,
        way=way,
        username=login[0] or None,
        password=login[1] or None,
        db=database,
        max_connections=size,
        timeout=seconds(settings.redis_read_timeout),
        socket_connect_timeout=seconds(settings.redis_dial_timeout),
        socket_timeout=seconds(settings.redis_read_timeout),
        decode_responses=True,
        legacy_responses=False,
        # One XADD whose answer was lost would become three: callers repeat what may be repeated.
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
        # Without these a connection sends three commands more, which its user would have to be allowed.
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
