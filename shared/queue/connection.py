"""The one way to Redis: a client with the choices that matter made once, and the scripts.

Nothing is repeated by the client itself: one XADD whose answer was lost would become three. Callers repeat what may be
repeated. Every failure to reach Redis is QueueUnavailable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import QueueUnavailable, RebuildNeeded
from shared.queue.keys import Keys
from shared.settings import RedisSettings, seconds

_SCRIPTS = Path(__file__).parent / "lua"
# Redis that is loading its file, fails over or is short of memory answers with an error; it is away for us.
_AWAY = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "NOREPLICAS", "UNBLOCKED", "MISCONF")


class QueueConnection:
    """A pool of connections, the names of the keys, and the scripts by name. Close it with ``close``."""

    def __init__(self, settings: RedisSettings, pool_size: int | None = None) -> None:
        self.keys = Keys(settings.redis_queue_name)
        self.group = settings.redis_consumer_group
        self.pool = BlockingConnectionPool(
            host=settings.redis_host,
            port=settings.redis_port,
            username=settings.redis_username or None,
            password=settings.redis_password.get_secret_value() or None,
            db=settings.redis_database,
            max_connections=pool_size or settings.redis_pool_size,
            timeout=seconds(settings.redis_read_timeout),
            socket_connect_timeout=seconds(settings.redis_dial_timeout),
            socket_timeout=seconds(settings.redis_read_timeout),
            decode_responses=True,
            legacy_responses=False,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=30,
        )
        self.redis: Redis = Redis(connection_pool=self.pool)
        self._scripts: dict[str, AsyncScript] = {
            file.stem: self.redis.register_script(file.read_text(encoding="utf-8"))
            for file in sorted(_SCRIPTS.glob("*.lua"))
        }

    async def run(self, script: str, *arguments: str | bytes | int) -> Any:
        """Runs a script of ``lua/``. Raises QueueUnavailable, RebuildNeeded when it answers REBUILD."""
        try:
            answer = await self._scripts[script](keys=[self.keys.epoch], args=list(arguments))
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise QueueUnavailable(f"Redis: {error}") from error
        except ResponseError as error:
            if str(error).startswith(_AWAY):
                raise QueueUnavailable(f"Redis: {error}") from error
            raise
        if isinstance(answer, list) and answer and answer[0] == "REBUILD":
            raise RebuildNeeded("Redis does not hold the current epoch")
        return answer

    async def ask(self, command: str, *arguments: str | int | float) -> Any:
        """Runs one command. Raises QueueUnavailable."""
        try:
            return await self.redis.execute_command(command, *arguments)  # type: ignore[no-untyped-call]
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise QueueUnavailable(f"Redis: {error}") from error
        except ResponseError as error:
            if str(error).startswith(_AWAY):
                raise QueueUnavailable(f"Redis: {error}") from error
            raise

    async def problem(self) -> str:
        """Empty. Raises QueueUnavailable when this Redis is away or may evict keys at will; its text says what to mend."""
        try:
            problem = await self.policy_problem()
        except QueueUnavailable as error:
            raise QueueUnavailable("Redis cannot be reached") from error
        if problem:
            raise QueueUnavailable(problem)
        return ""

    async def policy_problem(self) -> str:
        """Empty, or that this Redis may evict keys at will. Raises QueueUnavailable."""
        try:
            answer = await self.redis.config_get("maxmemory-policy")
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise QueueUnavailable(f"Redis: {error}") from error
        except RedisError:
            # Hosted servers hide CONFIG; INFO says the same.
            answer = {"maxmemory-policy": (await self.ask("INFO", "memory")).get("maxmemory_policy", "")}
        policy = str(answer.get("maxmemory-policy", ""))
        if policy and policy != "noeviction":
            return f"maxmemory-policy of Redis is {policy}; set it to noeviction"
        return ""

    async def close(self) -> None:
        await self.redis.aclose()
        await self.pool.disconnect()
