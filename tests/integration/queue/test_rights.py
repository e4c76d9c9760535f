"""A user of Redis with too few rights is told which, with just enough everything works, and nothing is left half done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis.exceptions import ResponseError

from shared.endpoints.caps import Caps
from shared.errors import QueueUnavailable
from shared.messages import Entry, Lane
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import consumers, reclaim, unregister
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.figures import queue_figures
from shared.queue.noting import Noted, note, noted
from shared.queue.profile_copy import publish_profile
from shared.queue.promoting import promote
from shared.queue.rights import COMMANDS, acl_rules
from shared.queue.rota import open_breaker, readmit, set_caps, withdraw
from shared.queue.streams import rebind, stream_suffixes
from shared.queue.taking import FollowUp
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.conftest import settings_of_redis
from tests.integration.queue.rota import (
    LEASE,
    NOW,
    OPEN_TIMEOUT,
    build,
    busy,
    client,
    dispatcher,
    done,
    entry,
    put,
    rota,
)

USER, PASSWORD = "paceline", "its-password"
LUA = Path(__file__).parents[3] / "shared" / "queue" / "lua"
As = Callable[..., Awaitable[QueueConnection]]


@pytest.fixture
async def as_user(queue: QueueConnection, either_redis: EmbeddedValkey) -> AsyncIterator[As]:
    """``await as_user("+@all", "~*")``: a connection of a user with these rights alone."""
    opened = []

    async def make(*rules: str) -> QueueConnection:
        await allow(queue, *rules)
        settings = settings_of_redis(either_redis, queue.keys.prefix.strip("{}"))
        login = {"redis_username": USER, "redis_password": SecretStr(PASSWORD)}
        connection = QueueConnection(settings.model_copy(update=login))
        opened.append(connection)
        return connection

    yield make
    for connection in opened:
        await connection.close()
    await client(queue).execute_command("ACL", "DELUSER", USER)


async def allow(queue: QueueConnection, *rules: str) -> None:
    await client(queue).execute_command("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", "resetchannels", *rules)


@pytest.fixture
def shortest(queue: QueueConnection) -> list[str]:
    return acl_rules(queue.keys)


async def everything(queue: QueueConnection) -> dict[str, Any]:
    """All keys with what is in them."""
    keys = sorted([key async for key in client(queue).scan_iter(match="*")])
    return {key: await client(queue).execute_command("DUMP", key, NEVER_DECODE=True) for key in keys}


async def test_a_new_user_of_redis_7_can_do_all_and_hears_of_new_messages_late(
    queue: QueueConnection, as_user: As
) -> None:
    """It has no channel unless it is given one."""
    await build(queue, ["a/0"])
    mine = await as_user(f"~{queue.keys.prefix}:*", "+@all")
    await put(mine, entry())
    [taken] = (await dispatcher(mine, "a").take(1, NOW)).assignments
    await dispatcher(mine, "a").settle([done(taken)], NOW)
    await publish_profile(mine, "{}", "1")
    assert await mine.problem() == ""
    assert f"&{queue.keys.wake}" in mine.remark()
    assert await busy(queue) == {}


async def test_without_the_dangerous_ones_info_alone_is_missing_and_named(queue: QueueConnection, as_user: As) -> None:
    rules = (f"~{queue.keys.prefix}:*", f"&{queue.keys.wake}", "+@all", "-@dangerous")
    mine = await as_user(*rules)
    with pytest.raises(QueueUnavailable) as refused:
        await mine.problem()
    assert "lacks +info;" in refused.value.reason
    await allow(queue, *rules, "+info")
    assert await mine.problem() == ""
    assert mine.remark() == ""


@pytest.mark.parametrize("pattern", ["~pending_messages*", "~{name}*", "~{name}:bulk", "%R~{{name}}:*"])
async def test_keys_that_it_may_not_touch_are_named(queue: QueueConnection, as_user: As, pattern: str) -> None:
    name = queue.keys.prefix.strip("{}")
    mine = await as_user(pattern.replace("{name}", name), "+@all", "&*")
    with pytest.raises(QueueUnavailable) as refused:
        await put(mine, entry())
    assert f"lacks ~{queue.keys.prefix}:*" in refused.value.reason


@pytest.mark.parametrize("missing", COMMANDS)
async def test_each_of_the_shortest_rights_is_wanted_and_named(
    queue: QueueConnection, as_user: As, shortest: list[str], missing: str
) -> None:
    mine = await as_user(*(rule for rule in shortest if rule != f"+{missing}"))
    await client(queue).script_flush()
    if missing in ("ping", "subscribe"):
        # What only a connection that listens does is refused there.
        with pytest.raises(QueueUnavailable, match=re.escape(f"+{missing}")):
            await mine.ask(missing.upper(), *([queue.keys.wake] if missing != "ping" else []))
        return
    with pytest.raises(QueueUnavailable) as refused:
        await put(mine, entry())
    assert f"+{missing}" in refused.value.reason
    assert USER not in refused.value.reason
    assert await everything(queue) == {}


async def test_a_login_that_is_wrong_or_missing_is_told(queue: QueueConnection, either_redis: EmbeddedValkey) -> None:
    right = settings_of_redis(either_redis, "queue_other")
    for login in (
        {"redis_password": SecretStr("")},
        {"redis_password": SecretStr("wrong")},
        {"redis_username": "nobody"},
    ):
        mine = QueueConnection(right.model_copy(update=login))
        with pytest.raises(QueueUnavailable) as refused:
            await mine.problem()
        assert "REDIS_PASSWORD" in refused.value.reason
        await mine.close()


async def changes_of(queue: QueueConnection) -> int:
    return int((await client(queue).info("persistence"))["rdb_changes_since_last_save"])


async def test_the_probe_changes_nothing(queue: QueueConnection) -> None:
    await queue.probe()
    assert await everything(queue) == {}, "nothing where nothing was"
    await build(queue, ["a/0", "b/0"])
    await put(queue, entry(), entry(Lane.BULK), entry(endpoint="a", chosen=True))
    await enqueue(queue, [Placement(entry(), NOW + 1)])
    assert await dispatcher(queue, "a").take(1, NOW)
    before, changes = await everything(queue), await changes_of(queue)
    await queue.probe()
    assert await everything(queue) == before
    assert await changes_of(queue) == changes, "nothing for the file and the replicas either"


def test_the_rights_are_those_of_what_is_called() -> None:
    called = set()
    for file in LUA.rglob("*.lua"):
        if file.name != "probe.lua":
            called |= set(re.findall(r"redis\.p?call\('(\w+)'(?:, '([A-Z]+)')?", file.read_text(encoding="utf-8")))
    for folder in ("shared", "services"):
        for file in (LUA.parents[2] / folder).rglob("*.py"):
            found = re.findall(r"\.ask\(\s*\"(\w+)(?: (\w+))?\"", file.read_text(encoding="utf-8"))
            called |= set(found)
    with_parts = {"XGROUP", "XINFO"}
    names = {f"{name}|{part}" if name in with_parts else name for name, part in called}
    # Two of its lines begin with a query that is put together elsewhere.
    assert {name.lower() for name in names} - {"unpack"} == set(COMMANDS) - {
        "evalsha", "script|load", "ping", "subscribe"
    }  # fmt: skip


class Cycle:
    """Everything that dispatchers and schedulers do with Redis, each step repeated until it is done."""

    def __init__(self, mine: QueueConnection, admin: QueueConnection, heal: Callable[[], Awaitable[None]]) -> None:
        self.mine = mine
        self.admin = admin
        self._heal = heal
        self.refusals = 0

    async def step(self, work: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await work()
        except QueueUnavailable:
            self.refusals += 1
            await self._heal()
            return await work()

    async def run(self, entries: list[Entry]) -> None:
        mine, step = self.mine, self.step
        known = dispatcher(mine, "a", "b", "c")
        dead = dispatcher(mine, "c", name="dead")
        await step(lambda: put(mine, *entries))
        await step(lambda: enqueue(mine, [Placement(entry(), NOW - 1), Placement(entry(), NOW + OPEN_TIMEOUT)]))
        await step(lambda: promote(mine, 10, 1000, OPEN_TIMEOUT, NOW))
        await step(lambda: dead.beat(NOW))
        await step(lambda: dead.take(1, NOW))
        await step(lambda: reclaim(mine, ":transactional", "dead"))
        suffixes = await step(lambda: stream_suffixes(mine, ["a", "b", "c"]))
        await step(lambda: unregister(mine, "dead", None, 1000, suffixes, NOW))
        await step(lambda: known.beat(NOW))
        # One that is full, one that is not.
        await step(lambda: set_caps(mine, "b", Caps(1, 1, 1, 1), [1000], NOW))
        await step(lambda: set_caps(mine, "a", Caps(100, 100, 100, 100), [1000], NOW))
        taken = (await step(lambda: known.take(2, NOW))).assignments
        # What a take that was refused in its middle has taken all the same.
        await step(lambda: known.take_back(suffixes, NOW))
        last = NOW + 10
        if taken:
            follow_up = FollowUp(entry(attempt=2), due_ms=1000)
            lines = [done(taken[0], 500, follow_up=follow_up), *(done(each, 500) for each in taken[1:])]
            await step(lambda: known.settle(lines, last))
        slots = {**await rota(self.admin), **await busy(self.admin)}
        assert sorted(slots) == ["a/0", "b/0", "c/0"], "a slot that nobody gives back any more"
        await step(lambda: withdraw(mine, "a", "suspended"))
        await step(lambda: readmit(mine, "a", 1, "closed", at_once=True, now_ms=last))
        await step(lambda: open_breaker(mine, "b", "offline", 1000, last))
        await step(lambda: readmit(mine, "b", 1, "closed", at_once=True, now_ms=last))
        await step(lambda: rebind(mine, "a", Lane.TRANSACTIONAL))
        await step(lambda: consumers(mine, ":transactional"))
        await step(lambda: queue_figures(mine, ["a", "b", "c"], now_ms=last))
        await step(lambda: note(mine, Noted.UNLISTED_ANSWER, now_ms=last))
        await step(lambda: noted(mine, now_ms=last))
        await step(lambda: set_caps(mine, "b", Caps(0, 0, 0, 0), now_ms=last))
        await step(lambda: known.take(0, last))
        await step(lambda: promote(mine, 10, 1000, OPEN_TIMEOUT, NOW + LEASE + 20))


@pytest.mark.parametrize("revoked", [name for name in COMMANDS if name not in ("ping", "subscribe")])
async def test_a_right_that_is_taken_away_in_the_middle_leaves_nothing_inconsistent(
    queue: QueueConnection, as_user: As, shortest: list[str], revoked: str
) -> None:
    """It is taken away before every step, when the rights have just been found well."""
    await build(queue, {"a/0": (NOW, NOW), "b/0": (NOW, NOW), "c/0": (NOW, NOW)})
    mine = await as_user(*shortest)

    async def heal() -> None:
        await allow(queue, *shortest)
        await mine.probe()

    class Revoking(Cycle):
        async def step(self, work: Callable[[], Awaitable[Any]]) -> Any:
            await heal()
            await allow(queue, *(rule for rule in shortest if rule != f"+{revoked}"))
            return await super().step(work)

    entries = [entry(), entry(), entry(), entry(endpoint="a")]
    cycle = Revoking(mine, queue, heal)
    await cycle.run(entries)
    spared = ("script|load", "publish", "hkeys", "del", "xgroup|delconsumer", "srem")
    assert cycle.refusals or revoked in spared, "the right was never needed"
    await heal()
    # Slots in use go back when their lease ends.
    await promote(mine, 10, 1000, OPEN_TIMEOUT, NOW + 10 * LEASE)
    assert await busy(queue) == {}
    assert sorted(await rota(queue)) == ["a/0", "b/0", "c/0"], "no slot is lost, none is there twice"
    assert all(ready >= NOW for ready, _ in (await rota(queue)).values()), "no pause is skipped"

    for suffix in await stream_suffixes(mine, ["a", "b", "c"]):
        for consumer in await consumers(mine, suffix):
            await reclaim(mine, suffix, consumer)
    left: set[str] = set()
    last = NOW + 20 * LEASE
    known = dispatcher(mine, "a", "b", "c", name="last")
    while taken := (await known.take(3, last)).assignments:
        left |= {each.entry.message.hex for each in taken}
        await known.settle([done(each) for each in taken], last)
        last += 1000
    unsent = {each.message.hex for each in entries} - left
    assert len(unsent) <= 2, "an entry is lost that nobody has settled"


@asynccontextmanager
async def set_to(queue: QueueConnection, name: str, value: str) -> AsyncIterator[None]:
    before = (await client(queue).config_get(name))[name]
    await client(queue).config_set(name, value)
    try:
        yield
    finally:
        await client(queue).config_set(name, before)


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("maxmemory", "1", "out of memory"),
        ("min-replicas-to-write", "1", "min-replicas-to-write"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ],
)
async def test_a_server_that_takes_no_writes_or_may_evict_is_told(
    queue: QueueConnection, setting: str, value: str, told: str
) -> None:
    await build(queue, ["a/0"])
    async with set_to(queue, setting, value):
        with pytest.raises(QueueUnavailable, match=told):
            await queue.problem()
        if setting != "maxmemory-policy":
            with pytest.raises(QueueUnavailable, match=told):
                await put(queue, entry())
    assert await queue.problem() == ""
    await put(queue, entry())


async def test_a_script_of_somebody_else_that_blocks_is_told_and_waited_for(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    async with set_to(queue, "busy-reply-threshold", "1"):
        blocking = queue.redis.connection_pool.make_connection()
        await blocking.connect()
        await blocking.send_command("EVAL", "while true do end", "0")
        while True:
            with pytest.raises(QueueUnavailable) as refused:
                await put(queue, entry())
            if "SCRIPT KILL" in refused.value.reason:
                break
        with pytest.raises(QueueUnavailable, match="SCRIPT KILL"):
            await queue.problem()
        await queue.ask("SCRIPT KILL")
        with pytest.raises(ResponseError, match="killed"):
            await blocking.read_response()
        await blocking.disconnect(nowait=True)
        assert await queue.problem() == ""
    await put(queue, entry())
