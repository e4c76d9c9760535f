"""A Redis that is there and refuses: a right is missing, its memory is full, it has become a replica, a script holds it up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import redis.asyncio
import redis.exceptions

Connect = Callable[[], redis.asyncio.Redis]
# Any write ends it; until then nobody else is answered but BUSY.
_ENDLESS = "while true do redis.call('PING') end"
_AWAY = (redis.exceptions.RedisError, OSError)


async def refusing(connect: Connect, refusal: str, seconds: float) -> None:
    """Refuses for so long, then takes everything again. A server that dies meanwhile has forgotten it by itself."""
    client = connect()
    try:
        with contextlib.suppress(*_AWAY):
            await _REFUSE[refusal](client)
        await asyncio.sleep(seconds)
    finally:
        await client.aclose()
        await heal_refusals(connect)


async def heal_refusals(connect: Connect) -> None:
    """Ends whatever a Redis refuses for, without asking what that is."""
    client = connect()
    try:
        with contextlib.suppress(*_AWAY):
            await client.script_kill()
        with contextlib.suppress(*_AWAY):
            await client.acl_setuser("default", enabled=True, categories=["+@all"])
            await client.config_set("maxmemory", 0)
            await client.replicaof("NO", "ONE")
    finally:
        await client.aclose()


async def _forbid(client: redis.asyncio.Redis) -> None:
    # What the scripts call stays allowed: the first thing that is refused is the script itself.
    await client.acl_setuser("default", enabled=True, commands=["-evalsha", "-eval"])


async def _fill(client: redis.asyncio.Redis) -> None:
    await client.config_set("maxmemory", 1)


async def _demote(client: redis.asyncio.Redis) -> None:
    # A replica of nobody keeps what it has and takes no writes.
    await client.replicaof("127.0.0.1", 1)


async def _hold_up(client: redis.asyncio.Redis) -> None:
    await client.config_set("busy-reply-threshold", 50)
    # It answers only when it is killed.
    with contextlib.suppress(*_AWAY):
        await client.eval(_ENDLESS, 0)


_REFUSE = {"no_rights": _forbid, "no_memory": _fill, "replica": _demote, "busy": _hold_up}
