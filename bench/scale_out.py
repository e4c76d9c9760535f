"""Messages a second of 1, 2 and 4 dispatchers, against what 200 accounts allow that take 50 ms for each.

The sender handles one message of an account at a time, so 200 accounts allow 4,000 a second, however many dispatchers there
are; each dispatcher may have as many in hand as there are accounts. Pacing off, gate and history on, everything free to run on
every core: the CPU of each part says what limits where the accounts do not.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from bench.dispatcher import waiting_messages
from bench.report import Row
from bench.running import EVERY, UNPACED, Stores, listening, process, spent, spent_by, stores
from shared.database.connection import Database
from shared.queue.connection import QueueConnection
from standalone.ports import free_port

ACCOUNTS = 200
ANSWER_MS = 50
DISPATCHERS = (1, 2, 4)
_ALLOWED = ACCOUNTS / (ANSWER_MS / 1000)
_MESSAGES = 20_000
_IN_HAND = 400
"""Of each dispatcher. The usual 100 would allow one of them 2,000 a second; what is being settled is in hand, too."""


@dataclass(frozen=True, slots=True)
class Run:
    """Messages a second, and CPU in µs a message."""

    rate: float
    dispatchers: float
    postgres: float
    valkey: float
    sender: float

    @property
    def cores(self) -> float:
        return self.rate * (self.dispatchers + self.postgres + self.valkey + self.sender) / 1_000_000


async def measure(rounds: int) -> list[Row]:
    """Takes turns between the numbers of dispatchers; about 45 s a round."""
    runs: dict[int, list[Run]] = {dispatchers: [] for dispatchers in DISPATCHERS}
    with stores(EVERY) as (_, environment):
        port = free_port()
        accounts = {
            "WHATSAPP_ENDPOINTS": ",".join([f"http://127.0.0.1:{port}"] * ACCOUNTS),
            "WHATSAPP_DEVICE_IDS": ",".join(f"account-{number}" for number in range(ACCOUNTS)),
            "WORKER_CONCURRENCY": str(_IN_HAND),
        }
        with process("bench.raw.answering_stub", str(port), str(ANSWER_MS), cores=EVERY) as sender:
            await listening(port)
            for _ in range(rounds):
                for dispatchers in DISPATCHERS:
                    runs[dispatchers].append(await _run(dispatchers, environment | UNPACED | accounts, sender.pid))
    return [row for dispatchers in DISPATCHERS for row in _rows(dispatchers, runs[dispatchers])]


async def _run(dispatchers: int, environment: dict[str, str], sender: int) -> Run:
    settings = Stores()
    queue, database = QueueConnection(settings), await Database(settings, 2, "bench").open()
    try:
        await database.execute("truncate messages, attempts, whatsapp_ids, contacts, open_attempts, due")
        # Of the turn before; what is in there now is dropped with its epoch.
        await queue.ask("DEL", queue.keys.dispatchers)
        with ExitStack() as stack:
            pids = []
            for _ in range(dispatchers):
                ports = {"DISPATCHER_PORT": str(free_port())}
                running = stack.enter_context(
                    process("services.dispatcher", environment=environment | ports, cores=EVERY)
                )
                await listening(int(ports["DISPATCHER_PORT"]))
                pids.append(running.pid)
            parts = _spent(pids, sender)
            # They begin together, as soon as the first has told the empty queue which accounts there are.
            await waiting_messages(queue, database, _MESSAGES)
            while await database.fetchval("select count(*) from attempts") < _MESSAGES:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            taken = [after - before for before, after in zip(parts, _spent(pids, sender), strict=True)]
        # Without the start and the end, when not all are at work.
        span = await database.fetchval(
            "select extract(epoch from percentile_disc(0.9) within group (order by finished_at)"
            " - percentile_disc(0.1) within group (order by finished_at)) from attempts"
        )
    finally:
        await queue.close()
        await database.close()
    return Run(0.8 * _MESSAGES / float(span), *(cpu / _MESSAGES * 1_000_000 for cpu in taken))


def _spent(dispatchers: list[int], sender: int) -> list[float]:
    """Seconds of CPU of the dispatchers, Postgres, Valkey and the sender so far."""
    return [
        sum(spent(pid).cpu for pid in dispatchers),
        spent_by("postgres").cpu,
        spent_by("valkey-server").cpu,
        spent(sender).cpu,
    ]


def _rows(dispatchers: int, runs: list[Run]) -> list[Row]:
    at = f"{dispatchers} dispatcher{'s' if dispatchers > 1 else ''}"
    return [
        Row(f"{at}: messages a second", [run.rate for run in runs]),
        Row(f"{at}: ÷ what the accounts allow", [run.rate / _ALLOWED for run in runs]),
        Row(f"{at}: CPU µs a message, dispatchers", [run.dispatchers for run in runs]),
        Row(f"{at}: CPU µs a message, Postgres", [run.postgres for run in runs]),
        Row(f"{at}: CPU µs a message, Valkey", [run.valkey for run in runs]),
        Row(f"{at}: CPU µs a message, sender", [run.sender for run in runs]),
        Row(f"{at}: cores in use", [run.cores for run in runs]),
    ]
