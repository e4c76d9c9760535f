"""How long it takes until all goes on: after a dispatcher was killed, after Redis was emptied, after it was restarted.

A killed dispatcher: from kill -9 until each message that it had in hand and had not begun is begun by another one, with the
times as they come (``DISPATCHER_DEAD_AFTER`` and pacing among them); once under load, once with nothing else to do. What it
was sending at that moment has an unknown outcome, which is looked up later and takes longer on purpose.

Redis emptied: 100,000 messages of a campaign run at full speed through accounts without a pause; the dispatchers stand still
while 3,000 single sends come in, Redis is emptied, and they go on. Full speed is 90 % of the rate before, over a second.
Its raw limit is the time in which the entries that were lost can be added again by one client.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import Any

from redis.exceptions import ResponseError

from bench.report import Row
from bench.running import UNPACED
from bench.whole import Whole, whole

ACCOUNTS = 40
TEXTS_A_SECOND = 4
"""Half of what so many accounts take with the default pauses: more would measure how long the queue is."""
IN_HAND = 4
"""Messages that a dispatcher has in hand when it is killed, at least."""
CAMPAIGN = 100_000
SINGLE_SENDS = 3_000
FULL_SPEED = 0.9
_WINDOW = 1.0
_BEFORE = 6.0
"""Seconds over which the rate before is measured."""
_DEADLINE = 120.0
_SHORT = {"WHATSAPP_TEXT_TIMEOUT": "5s", "UNKNOWN_CHECK_DELAY": "5s", "UNKNOWN_REACHABLE_TIME": "5s"}
"""When a send whose answer is missing is looked up: it has no part in what is measured, and would last minutes."""


async def measure(rounds: int) -> list[Row]:
    """About four minutes a round."""
    killed: dict[str, list[_Killed]] = {"under load": [], "idle queue": []}
    lost: list[_Lost] = []
    for _ in range(rounds):
        for name, found in killed.items():
            found.append(await _after_a_kill(idle=name == "idle queue"))
        lost.append(await _after_losing_redis())
    rows = []
    for name, runs in killed.items():
        rows += [
            Row(f"kill -9, {name}: to begun by others, s", [second for run in runs for second in run.seconds]),
            Row(f"kill -9, {name}: messages lost", [run.lost for run in runs]),
            Row(f"kill -9, {name}: messages doubled", [run.doubled for run in runs]),
        ]
    return [
        *rows,
        Row("messages a second before", [run.rate for run in lost]),
        Row("FLUSHALL: to full speed, s", [run.flush for run in lost]),
        Row("raw: adding the lost entries, s", [run.raw for run in lost]),
        Row("restart of Valkey: to full speed, s", [run.restart for run in lost]),
        Row("raw: Valkey stops and answers again, s", [run.away for run in lost]),
        Row("FLUSHALL and restart: messages not sent", [run.not_sent for run in lost]),
        Row("FLUSHALL and restart: messages sent twice", [run.doubled for run in lost]),
    ]


class _Killed:
    """``seconds`` from the kill to each message's next attempt."""

    def __init__(self, seconds: list[float], lost: int, doubled: int) -> None:
        self.seconds = seconds
        self.lost = lost
        self.doubled = doubled


async def _after_a_kill(idle: bool) -> _Killed:
    async with whole(ACCOUNTS, _SHORT, latency="200ms") as running:
        await running.start("scheduler", 2)
        await asyncio.gather(running.start("gateway"), running.start("dispatcher", 2))
        phones = running.phones(8)
        await running.accept_texts(phones)
        offering = None if idle else asyncio.create_task(_offer(running, phones))
        victim, at, waiting = await _kill(running, IN_HAND)
        seconds = await _begun(running, victim, at, waiting)
        if offering is not None:
            offering.cancel()
            await asyncio.gather(offering, return_exceptions=True)
        await _all_ended(running)
        ledger = await running.ledger()
        taken = Counter(line["phone"].partition("@")[0] for line in ledger if line["taken"])
        return _Killed(seconds, sum(not taken[phone] for phone in phones), sum(number > 1 for number in taken.values()))


async def _offer(running: Whole, phones: list[str]) -> None:
    """Texts at a steady pace until cancelled; ``phones`` gets those that were accepted."""
    while True:
        new = running.phones(1)
        await asyncio.shield(asyncio.create_task(running.accept_texts(new)))
        phones += new
        await asyncio.sleep(1 / TEXTS_A_SECOND)


async def _kill(running: Whole, least: int) -> tuple[str, float, list[str]]:
    """Kills the dispatcher that has ``least`` or more in hand that it has not begun: its name, when (Unix seconds), and
    those messages."""
    while True:
        for number, dispatcher in enumerate(running.services["dispatcher"]):
            name = f"dispatcher{number}-"
            if len(await _in_hand(running, name)) < least:
                continue
            dispatcher.kill()
            at = time.time()
            begun = {row["message"].hex for row in await running.database.fetch("select message from open_attempts")}
            waiting = [message for message in await _in_hand(running, name) if message not in begun]
            if waiting:
                running.services["dispatcher"].remove(dispatcher)
                return name, at, waiting
            raise RuntimeError("it had begun everything; measure again")
        await asyncio.sleep(0.01)


async def _in_hand(running: Whole, name: str) -> list[str]:
    """Ids (hex) of the messages whose entries a dispatcher holds."""
    stream = f"{running.queue.keys.prefix}:transactional"
    redis: Any = running.queue.redis
    try:
        pending = await redis.xpending_range(stream, running.queue.group, "-", "+", 1000)
    except ResponseError:  # no group before the first message
        return []
    found = []
    for line in pending:
        if str(line["consumer"]).startswith(name):
            for _, fields in await redis.xrange(stream, line["message_id"], line["message_id"]):
                found.append(str(fields["m"]))
    return found


async def _begun(running: Whole, victim: str, at: float, waiting: list[str]) -> list[float]:
    """Seconds from ``at`` until each of the messages was begun by somebody else; _DEADLINE for those that were not."""
    end = time.monotonic() + _DEADLINE
    while True:
        rows = await running.database.fetch(
            "select message, min(extract(epoch from started_at))::float8 as at from ("
            " select message, started_at, dispatcher from attempts"
            " union all select message, started_at, dispatcher from open_attempts) a"
            " where not starts_with(dispatcher, $1) and message = any($2::uuid[]) group by message",
            victim,
            waiting,
        )
        if len(rows) == len(waiting) or time.monotonic() > end:
            return [row["at"] - at for row in rows] + [_DEADLINE] * (len(waiting) - len(rows))
        await asyncio.sleep(0.1)


async def _all_ended(running: Whole, deadline: float = _DEADLINE) -> int:
    """How many have not ended within the deadline (seconds)."""
    end = time.monotonic() + deadline
    while (left := await running.open()) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    return left


class _Lost:
    """What was measured around one loss of Redis and one restart; seconds, and messages a second."""

    rate = flush = raw = restart = away = 0.0
    not_sent = doubled = 0


async def _after_losing_redis() -> _Lost:
    result = _Lost()
    async with whole(200, UNPACED, simulated=False, append_only=True) as running:
        await running.start("scheduler", 2)
        await asyncio.gather(running.start("gateway"), running.start("dispatcher", 2))
        await running.accept_campaign(running.phones(CAMPAIGN))
        await _sent(running, 3_000)
        result.rate = await _rate(running, _BEFORE)
        for dispatcher in running.services["dispatcher"]:
            dispatcher.pause()
        await running.accept_texts(running.phones(SINGLE_SENDS))
        lanes = [f"{running.queue.keys.prefix}:{lane}" for lane in ("transactional", "bulk")]
        entries = [int(await running.queue.ask("XLEN", lane)) for lane in lanes]
        await running.queue.ask("FLUSHALL")
        for dispatcher in running.services["dispatcher"]:
            dispatcher.resume()
        result.flush = await _back_to(running, FULL_SPEED * result.rate)
        result.raw = await _adding(running, sum(entries))
        before = await _rate(running, _BEFORE)
        begun = time.monotonic()
        await asyncio.to_thread(running.servers.valkey.restart)
        result.away = time.monotonic() - begun
        result.restart = result.away + await _back_to(running, FULL_SPEED * before)
        await _all_ended(running, 2 * _DEADLINE)
        sent = await running.database.fetchval("select count(*) from messages where status = 'sent'", timeout=60)
        result.not_sent = CAMPAIGN + SINGLE_SENDS - int(sent)
        result.doubled = await running.database.fetchval(
            "select count(*) from (select from attempts where verdict in ('sent', 'unknown') group by message"
            " having count(*) > 1) a",
            timeout=60,
        )
    return result


async def _sent(running: Whole, count: int) -> None:
    while await running.answered() < count:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def _rate(running: Whole, seconds: float) -> float:
    """Messages a second, over so many seconds."""
    before, begun = await running.answered(), time.monotonic()
    await asyncio.sleep(seconds)
    return (await running.answered() - before) / (time.monotonic() - begun)


async def _back_to(running: Whole, rate: float) -> float:
    """Seconds from now until the end of the first _WINDOW in which ``rate`` (messages a second) was reached."""
    begun = time.monotonic()
    seen: deque[tuple[float, int]] = deque([(begun, await running.answered())])
    while (now := time.monotonic()) - begun < _DEADLINE:
        answered = await running.answered()
        while len(seen) > 1 and seen[1][0] <= now - _WINDOW:
            seen.popleft()
        since, before = seen[0]
        if now - since >= _WINDOW and (answered - before) / (now - since) >= rate:
            return now - begun
        seen.append((now, answered))
        await asyncio.sleep(0.1)
    return _DEADLINE


async def _adding(running: Whole, count: int) -> float:
    """Seconds in which one client adds so many entries to a stream of its own, 500 at a time."""
    redis, stream = running.queue.redis, "bench:raw"
    fields = ("v", "1", "m", "0" * 32, "n", "1")
    begun = time.monotonic()
    for done in range(0, count, 500):
        pipe = redis.pipeline(transaction=False)
        for _ in range(min(500, count - done)):
            pipe.execute_command("XADD", stream, "*", *fields)
        await pipe.execute()
    seconds = time.monotonic() - begun
    await redis.delete(stream)
    return seconds
