"""What it costs to have nothing to do, and to wait: the CPU and the Redis commands of idle dispatchers, and the memory of
Redis for each message of a campaign that is not fed yet.

Commands are counted as Redis counts them: a script, and each command in it.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

from bench.report import Row
from bench.running import EVERY, UNPACED, Stores, listening, process, spent, stores
from shared.database.campaigns import NewCampaign, Tally, in_one_portion, insert_campaign
from shared.database.connection import Database
from shared.database.messages import Draft
from shared.messages import Kind, Lane, OnUnknown
from shared.queue.connection import QueueConnection
from shared.queue.streams import stream_length
from standalone.ports import free_port

_ACCOUNTS = 20
_SECONDS = 10.0
"""Of one look; rounds of it follow each other."""
_HIGH_WATER = 1_000
_FEW, _MANY = 5_000, 200_000
_SETTLED = 5.0
"""Seconds after which the feeder has long done what it does for a new campaign: it looks five times a second."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Of one dispatcher: share of a core in %, commands a second."""

    cpu: float
    commands: float
    by_command: dict[str, float]


async def measure(rounds: int) -> list[Row]:
    """About 25 s a round, and 30 s for the memory."""
    with stores(EVERY) as (_, environment):
        accounts = {
            "WHATSAPP_ENDPOINTS": ",".join(["http://127.0.0.1:9"] * _ACCOUNTS),
            "WHATSAPP_DEVICE_IDS": ",".join(f"account-{number}" for number in range(_ACCOUNTS)),
            "FEED_HIGH_WATER": str(_HIGH_WATER),
        }
        settings = Stores()
        queue, database = QueueConnection(settings), await Database(settings, 2, "bench").open()
        try:
            with process("services.scheduler", environment=environment | UNPACED | accounts, cores=EVERY):
                while not await queue.ask("EXISTS", queue.keys.epoch):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                memory = await _memory(queue, database)
            # It feeds no more, and what it has fed goes, so that nothing waits.
            await queue.ask("DEL", *(queue.keys.lane(lane) for lane in Lane))
            idle = {count: await _idle(count, queue, environment | UNPACED | accounts, rounds) for count in (1, 2)}
        finally:
            await queue.close()
            await database.close()
    rows = [Row(f"Redis bytes for each of {_MANY:,} messages beyond FEED_HIGH_WATER", [memory])]
    for count, looks in idle.items():
        of = "one idle dispatcher" if count == 1 else f"each of {count} idle dispatchers"
        rows += [
            Row(f"{of}: % of a core", [look.cpu for look in looks]),
            Row(f"{of}: commands of Redis a second", [look.commands for look in looks]),
        ]
        names = sorted(looks[0].by_command, key=lambda name: -looks[0].by_command[name])
        rows += [Row(f"{of}: {name} a second", [look.by_command.get(name, 0) for look in looks]) for name in names[:8]]
    return rows


async def _memory(queue: QueueConnection, database: Database) -> float:
    """Bytes of Redis' data that one more waiting message takes."""
    await _campaign(database, _FEW)
    while await stream_length(queue, Lane.BULK) < _HIGH_WATER:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await asyncio.sleep(_SETTLED)
    before = await _data(queue)
    await _campaign(database, _MANY)
    await asyncio.sleep(_SETTLED)
    return (await _data(queue) - before) / _MANY


async def _data(queue: QueueConnection) -> int:
    """Bytes of keys and values, without connections and what the server itself needs."""
    return int((await queue.ask("INFO", "memory"))["used_memory_dataset"])


async def _campaign(database: Database, recipients: int) -> None:
    first = secrets.randbelow(9_000_000)
    draft = Draft(
        kind=Kind.MESSAGE,
        lane=Lane.BULK,
        content={"message": "Our shop is open on Sunday"},
        on_unknown=OnUnknown.HOLD,
        expires_after=604_800.0,
    )
    phones = [f"1555{number:07}@s.whatsapp.net" for number in range(first, first + recipients)]
    campaign = NewCampaign(uuid4(), draft, in_one_portion(phones), lambda _: Tally())
    await insert_campaign(database, campaign, chunk_size=500)


async def _idle(count: int, queue: QueueConnection, environment: dict[str, str], rounds: int) -> list[Idle]:
    looks = []
    with ExitStack() as stack:
        pids = []
        for _ in range(count):
            ports = {"DISPATCHER_PORT": str(free_port())}
            running = stack.enter_context(process("services.dispatcher", environment=environment | ports, cores=EVERY))
            await listening(int(ports["DISPATCHER_PORT"]))
            pids.append(running.pid)
        # What a start does is over.
        await asyncio.sleep(_SETTLED)
        for _ in range(rounds):
            calls, cpu = await _calls(queue), sum(spent(pid).cpu for pid in pids)
            await asyncio.sleep(_SECONDS)
            used = sum(spent(pid).cpu for pid in pids) - cpu
            each = {name: (total - calls.get(name, 0)) / count for name, total in (await _calls(queue)).items()}
            # That of asking for these figures.
            each["info"] -= 1 / count
            rates = {name: total / _SECONDS for name, total in each.items() if total > 0}
            looks.append(Idle(used / _SECONDS / count * 100, sum(rates.values()), rates))
    return looks


async def _calls(queue: QueueConnection) -> dict[str, int]:
    """How often each command was called so far."""
    answer = await queue.ask("INFO", "commandstats")
    return {name.removeprefix("cmdstat_"): int(figures["calls"]) for name, figures in answer.items()}
