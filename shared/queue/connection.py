"""The one way to Redis: a client with the choices that matter made once, and the scripts.

Nothing is repeated by the client itself: one XADD whose answer was lost would become three. Callers repeat what may be
repeated. Whatever is no answer to what was asked is QueueUnavailable: a server that cannot be reached, and every error that
it or a proxy before it sends, whatever its name. What we did wrong is no exception: once a message is committed in Postgres,
nothing of Redis is a reason to tell its caller that it was not accepted.
"""

from __future__ import annotations

from typing import Any

import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import DataError, ResponseError

from shared.errors import QueueUnavailable, RebuildNeeded
from shared.queue.keys import Keys
from shared.queue.refusals import code_of, is_of_another_server, is_of_keys, text_of, unavailable
from shared.queue.rights import missing_text, no_channel_text
from shared.queue.scripts import load_scripts
from shared.queue.way_to_redis import pool_to, way_of
from shared.settings import RedisSettings

log = structlog.get_logger()
_ABOUT_THE_REQUEST = ("ERR", "NOGROUP")
"""Errors that say nothing of the server, such as that there is no such key."""


class Probe(Struct, frozen=True):
    """What a Redis would do with our work. ``refusal``: '' or why it takes no writes now; ``evicting``: '' or that it may
    evict keys at will; ``remark``: '' or what goes slower than it could. Each for anybody, with its cure."""

    refusal: str = ""
    evicting: str = ""
    remark: str = ""


class QueueConnection:
    """A pool of connections, the names of the keys, and the scripts by name. Close it with ``close``."""

    def __init__(self, settings: RedisSettings, pool_size: int | None = None) -> None:
        self.keys = Keys(settings.redis_queue_name)
        self.group = settings.redis_consumer_group
        self.way = way_of(settings)
        self.pool = pool_to(self.way, settings, pool_size or settings.redis_pool_size)
        self.redis: Redis = Redis(connection_pool=self.pool)
        self._sources = load_scripts()
        self._scripts: dict[str, AsyncScript] = {
            name: self.redis.register_script(source.text) for name, source in self._sources.items()
        }
        self._probed: Probe | None = None

    async def run(self, script: str, *arguments: str | bytes | int) -> Any:
        """Runs a script of ``lua/``. Raises QueueUnavailable, RebuildNeeded when it answers REBUILD.

        None runs before the rights of our user were looked at, once and again after each refusal: a script that met a
        missing right in its middle would leave half of its work."""
        if self._probed is None:
            await self.probe()
        answer = await self._run(script, *arguments)
        if isinstance(answer, list) and answer and answer[0] == "REBUILD":
            raise RebuildNeeded("Redis does not hold the current epoch")
        return answer

    async def ask(self, command: str, *arguments: str | int | float) -> Any:
        """Runs one command. Raises QueueUnavailable."""
        try:
            return await self.redis.execute_command(command, *arguments)  # type: ignore[no-untyped-call]
        except DataError:
            raise
        except Exception as error:
            raise self._refused(error) from error

    async def probe(self) -> Probe:
        """Finds out what this Redis would refuse, without changing anything. Raises QueueUnavailable when it cannot be
        reached or our user lacks a right."""
        policy, refusal, commands, no_key, no_channel = await self._run(
            "probe", self.keys.prefix, *self.keys.of_each_kind("none")
        )
        if missing := missing_text(self.keys, commands, bool(no_key)):
            self._probed = None
            raise QueueUnavailable(missing)
        evicting = policy and policy != "noeviction"
        found = Probe(
            refusal=self._refused(ResponseError(refusal)).reason if refusal else "",
            evicting=f"maxmemory-policy of Redis is {policy}; set it to noeviction" if evicting else "",
            remark=no_channel_text(self.keys) if no_channel else "",
        )
        if found.remark and found.remark != self.remark():
            log.warning("a right is missing", reason=found.remark)
        self._probed = found
        return found

    async def problem(self) -> str:
        """Empty. Raises QueueUnavailable when this Redis is away, refuses or may evict keys; for READY_CHECKS."""
        found = await self.probe()
        if found.refusal or found.evicting:
            raise QueueUnavailable(found.refusal or found.evicting)
        return ""

    def remark(self) -> str:
        """What goes slower than it could, as last seen; '' if nothing does."""
        return self._probed.remark if self._probed else ""

    async def close(self) -> None:
        await self.redis.aclose()
        await self.pool.disconnect()
        await self.way.close()

    async def _run(self, script: str, *arguments: str | bytes | int) -> Any:
        try:
            return await self._scripts[script](keys=[self.keys.epoch], args=list(arguments))
        except DataError:
            raise
        except Exception as error:
            said = self._sources[script].traced(text_of(error))
            raise QueueUnavailable(self._refused(error).reason, said) from error

    def _refused(self, error: Exception) -> QueueUnavailable:
        """Another server may answer next time, with other rights: rights are no part of what is replicated."""
        if code_of(error) not in _ABOUT_THE_REQUEST:
            self._probed = None
        if is_of_another_server(error):
            self.way.leave()
        if is_of_keys(error):
            # Only we know their names.
            return QueueUnavailable(missing_text(self.keys, [], no_key=True), text_of(error))
        return unavailable(error)


async def clock_ms(queue: QueueConnection) -> int:
    """Now by the clock of Redis, ms since 1970."""
    second, micro = await queue.ask("TIME")
    return int(second) * 1000 + int(micro) // 1000
