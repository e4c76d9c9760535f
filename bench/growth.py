"""What a message, a look and the scheduler's loops cost with 10,000,000 old rows, against the same with 10,000.

Two databases in one Postgres, by turns: one of an installation that is three weeks old, one of an installation that is a year
old and has twelve months of partitions. What is new and open is the same in both. Times are those of the caller, CPU is what
the sessions of Postgres used: less noisy, and without Python. Takes about ten minutes and 15 GB of disk, most of it to make
the rows. ``BENCH_OLD_ROWS`` sets another number than 10,000,000.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.report import Row
from bench.running import OTHERS, UNPACED, pin
from services.monitor.observation import DAY, HOUR, SHOWN_CAMPAIGNS
from services.scheduler.app import roles_of, scheduler_database
from services.scheduler.campaigns.completion import Completion
from services.scheduler.redis_rebuild import RedisRebuild
from services.scheduler.settings import SchedulerSettings
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.database.attempts import AttemptResult, GateRequest, count_shard, gate, peek, settle
from shared.database.campaigns import (
    NewCampaign,
    Tally,
    campaign_progress,
    campaign_range,
    failure_reasons,
    in_one_portion,
    insert_campaign,
    newest_campaigns,
)
from shared.database.connection import Database
from shared.database.figures import database_figures, history_figures
from shared.database.messages import (
    Draft,
    NewMessage,
    campaign_messages,
    insert_messages,
    message_with_attempts,
    newest_messages,
)
from shared.database.receipts import delivery_figures, record_receipts
from shared.database.retention import drop_old_partitions, forget_dropped
from shared.database.unknown import unknown_messages
from shared.endpoints.breaker_state import BreakerOutcome
from shared.endpoints.gowa import new_session
from shared.endpoints.identity import endpoint_id, endpoints_of
from shared.errors import DatabaseUnavailable
from shared.messages import Entry, Kind, Lane, OnUnknown, Receipt, Status, Verdict, new_message_ids
from shared.messages.phone_key import phone_key
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.rebuild import RebuiltState, rebuild
from shared.queue.taking import Settlement, Taking
from shared.runtime.wiring import Role
from shared.settings import load
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey

OLD_ROWS = {"small": 10_000, "large": int(os.environ.get("BENCH_OLD_ROWS", "10_000_000"))}
_AGE = {"small": (20.0, 1), "large": (365.0, 12)}
"""Days over which the old rows are spread, and months of partitions."""
_ACCOUNTS = 100
_MESSAGES = 2_000
_BATCH = 100
_STANDING = 5_000
"""Recipients of a campaign that waits, and single sends that wait, so that the loops have something to do."""
_LOOKS = 5
_STEPS = 10
_LOOP = "loop "
_ADDRESS = "http://127.0.0.1:9"
_MONTHS = "select count(*) from pg_inherits where inhparent = 'messages'::regclass"
_SIZE = "select pg_database_size(current_database())"
_FILLING = {
    "max_wal_size": "32GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
_KEEPING = {"HISTORY_RETENTION": "9600h"}
"""400 days: retention looks for what is older, and there is none."""
_MEMORY = {"shared_buffers": os.environ.get("BENCH_SHARED_BUFFERS", "4GB")}
"""Contacts and WhatsApp ids are looked up in no order, so what counts is whether they are in memory. They are read in before,
and by each session, which has to map them first (3 µs a page): so has a server that has run for a while."""
_LOOKED_UP = (
    "select count(last_sent_at) from contacts",
    "select count(*) from (select phone_key from contacts order by phone_key, endpoint offset 0) x",
    "select count(*) from (select whatsapp_id from whatsapp_ids order by whatsapp_id, endpoint offset 0) x",
)


async def measure(rounds: int) -> list[Row]:
    pin(0, OTHERS)
    with tempfile.TemporaryDirectory(prefix="paceline-growth-") as folder:
        password = _fill(Path(folder))
        return await _compare(Path(folder), password, rounds)


def _fill(root: Path) -> str:
    """Makes both databases; the password of their server."""
    accounts = ", ".join(f"'{endpoint_id(_ADDRESS, f'account-{number}')}'" for number in range(_ACCOUNTS))
    with EmbeddedPostgres(root / "postgres", durable=False, settings=_MEMORY | _FILLING) as postgres:
        for name, rows in OLD_ROWS.items():
            postgres.execute(f"create database {name}")
            subprocess.run(
                [sys.executable, "-m", "migrations"],
                check=True,
                stdout=subprocess.DEVNULL,
                env=os.environ | _address(postgres, name),
            )
            days, months = _AGE[name]
            postgres.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"), name)
            postgres.execute(f"call bench_partitions({months})", name)
            postgres.execute(f"call bench_fill({rows}, {days}, array[{accounts}])", name)
            postgres.execute("vacuum (analyze)", name)
        return postgres.password


async def _compare(root: Path, password: str, rounds: int) -> list[Row]:
    with (
        EmbeddedValkey(root / "valkey") as valkey,
        EmbeddedPostgres(root / "postgres", password=password, durable=True, settings=_MEMORY) as postgres,
    ):
        redis = {"REDIS_HOST": valkey.host, "REDIS_PORT": str(valkey.port), "REDIS_PASSWORD": valkey.password}
        os.environ.update(UNPACED | _KEEPING | _accounts() | redis | {"FILE_STORAGE_ROOT": str(root / "files")})
        async with AsyncExitStack() as stack:
            sides = []
            for name in OLD_ROWS:
                os.environ.update(_address(postgres, name) | {"REDIS_QUEUE_NAME": name})
                sides.append(await stack.enter_async_context(_side(name)))
            small, large = sides
            for turn in range(rounds + 1):
                for side in sides if turn % 2 else reversed(sides):
                    await _turn(side)
                    if not turn:
                        # The first finds pools, plans and caches empty.
                        side.spent.clear()
            return [*_rows(small, large), *await _retention(large)]


def _address(postgres: EmbeddedPostgres, database: str) -> dict[str, str]:
    return {
        "DATABASE_HOST": postgres.host,
        "DATABASE_PORT": str(postgres.port),
        "DATABASE_NAME": database,
        "DATABASE_USER": postgres.user,
        "DATABASE_PASSWORD": postgres.password,
        "DATABASE_SSL_MODE": "disable",
    }


def _accounts() -> dict[str, str]:
    return {
        "WHATSAPP_ENDPOINTS": ",".join([_ADDRESS] * _ACCOUNTS),
        "WHATSAPP_DEVICE_IDS": ",".join(f"account-{number}" for number in range(_ACCOUNTS)),
    }


@dataclass(slots=True)
class _Side:
    """One of the two databases, with a queue of its own. ``spent``: by what was done, the seconds and the seconds of
    Postgres' CPU that one of it took, in each turn."""

    name: str
    settings: SchedulerSettings
    database: Database
    queue: QueueConnection
    roles: list[Role]
    watcher: asyncpg.Connection
    spent: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    async def sessions(self) -> list[int]:
        """Processes of Postgres that work for this database, but for the one that is asked."""
        rows = await self.watcher.fetch(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        )
        return [row["pid"] for row in rows]

    @asynccontextmanager
    async def noting(self, what: str, times: int = 1) -> AsyncIterator[None]:
        """Notes what is done meanwhile, which is ``times`` of it."""
        cpu, begun = _cpu_of(await self.sessions()), time.perf_counter()
        yield
        seconds = time.perf_counter() - begun
        self.spent[what].append((seconds / times, (_cpu_of(await self.sessions()) - cpu) / times))


class _Parts:
    """Adds up what the parts of a whole take, which come by turns; sessions do not change meanwhile."""

    def __init__(self, sessions: list[int]) -> None:
        self._sessions = sessions
        self.spent: dict[str, tuple[float, float]] = {}

    @contextmanager
    def adding(self, what: str) -> Iterator[None]:
        cpu, begun = _cpu_of(self._sessions), time.perf_counter()
        yield
        before = self.spent.get(what, (0.0, 0.0))
        self.spent[what] = before[0] + time.perf_counter() - begun, before[1] + _cpu_of(self._sessions) - cpu


def _cpu_of(sessions: Iterable[int]) -> float:
    """Seconds that they have used so far; those that are gone count as nothing."""
    total = 0
    for pid in sessions:
        with suppress(OSError):
            # In ns; /proc/PID/stat counts in hundredths of a second.
            total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return total / 1e9


@asynccontextmanager
async def _side(name: str) -> AsyncIterator[_Side]:
    settings = load(SchedulerSettings)
    queue = QueueConnection(settings)
    # Plans are kept as by a dispatcher and a gateway, or made anew as by a scheduler.
    database = await Database(settings, 2, "bench").open()
    scheduling = await scheduler_database(settings, "bench").open()
    watcher = await asyncpg.connect(**settings.connect_arguments())
    try:
        async with new_session(settings) as session:
            roles = roles_of(settings, "bench", queue, scheduling, session)
            side = _Side(name, settings, database, queue, roles, watcher)
            await _look_all_up(database)
            await _rebuilt(side)
            await _leave_standing(side)
            yield side
    finally:
        await watcher.close()
        await scheduling.close()
        await database.close()
        await queue.close()


async def _look_all_up(database: Database) -> None:
    """In both sessions of the pool."""
    async with database.connection() as first, database.connection() as second:
        for session in (first, second):
            await session.execute("set statement_timeout = 0; set enable_seqscan = off")
            for statement in _LOOKED_UP:
                await session.fetchval(statement, timeout=120)
            await session.execute("set statement_timeout = '15s'; reset enable_seqscan")


async def _rebuilt(side: _Side) -> None:
    epoch = int(await side.database.fetchval("update control set epoch = epoch + 1 returning epoch"))
    await rebuild(side.queue, epoch, RebuiltState({}, {}, {}))


def _phones(side: _Side, count: int) -> list[str]:
    """Half of them had a message before."""
    known = OLD_ROWS[side.name] // 2
    numbers = [f"1555{number:07}" for number in random.sample(range(known), min(count // 2, known))]
    numbers += [f"1666{number:07}" for number in random.sample(range(10_000_000), count - len(numbers))]
    return [f"{number}@s.whatsapp.net" for number in numbers]


def _draft(lane: Lane, text: str, expires_after: float, reference: str | None = None) -> Draft:
    return Draft(
        kind=Kind.MESSAGE,
        lane=lane,
        content={"message": text},
        on_unknown=OnUnknown.HOLD,
        expires_after=expires_after,
        reference=reference,
    )


async def _campaign(side: _Side, recipients: int) -> UUID:
    token = uuid4()
    draft = _draft(Lane.BULK, "Our shop is open on Sunday", 604_800.0, "bench")
    phones = in_one_portion(_phones(side, recipients))
    await insert_campaign(side.database, NewCampaign(token, draft, phones, lambda _: Tally()), chunk_size=500)
    return token


async def _leave_standing(side: _Side) -> None:
    """A campaign and single sends that wait all the time, and receipts of messages that somebody typed on the phone."""
    await _campaign(side, _STANDING)
    phones = _phones(side, _STANDING)
    draft = _draft(Lane.TRANSACTIONAL, "Your code is 123456", 86_400.0)
    for start in range(0, _STANDING, 500):
        some = phones[start : start + 500]
        ids = zip(new_message_ids(len(some)), some, strict=True)
        messages = [NewMessage(id=one, phone=phone, phone_key=phone_key(phone), draft=draft) for one, phone in ids]
        await insert_messages(side.database, messages)
    await record_receipts(side.database, 0, [secrets.token_hex(16) for _ in range(500)], "", Receipt.READ)


async def _turn(side: _Side) -> None:
    sent = await _send(side)
    await _look(side, *sent)
    await _schedule(side)


async def _send(side: _Side) -> tuple[UUID, list[tuple[str, str]]]:
    """A campaign from its acceptance to its last verdict: its token, and (WhatsApp id, endpoint) of what was sent."""
    await _rebuilt(side)
    taking = Taking(side.queue, "bench", endpoints_of(side.settings), 60_000, side.settings, 1)
    await taking.beat()
    async with side.noting("accepting a recipient", _MESSAGES):
        token = await _campaign(side, _MESSAGES)
    await side.database.execute("update chunks set fed_at = clock_timestamp() where campaign = $1", token)
    campaign = await campaign_range(side.database, token)
    assert campaign is not None
    page = await campaign_messages(side.database, campaign, None, None, _MESSAGES)
    await enqueue(side.queue, [Placement(Entry(row["id"], 1, Lane.BULK)) for row in page.rows])
    sent: list[tuple[str, str]] = []
    parts = _Parts(await side.sessions())
    async with side.noting("take, peek, gate and settle", _MESSAGES):
        while len(sent) < _MESSAGES:
            sent += await _batch(side, taking, parts)
    for what, (seconds, cpu) in parts.spent.items():
        side.spent[what].append((seconds / _MESSAGES, cpu / _MESSAGES))
    return token, sent


async def _batch(side: _Side, taking: Taking, parts: _Parts) -> list[tuple[str, str]]:
    """What a dispatcher does with up to 100 messages, but typing and sending."""
    with parts.adding("take"):
        assignments = (await taking.take(_BATCH)).assignments
    with parts.adding("peek"):
        await peek(side.database, [assignment.entry.message for assignment in assignments])
    with parts.adding("gate"):
        begun = await gate(
            side.database,
            assignments[0].epoch,
            "bench",
            [
                GateRequest(taken.entry.message, 1, taken.token, taken.endpoint, taken.slot_number, 60)
                for taken in assignments
            ],
        )
    if set(begun.values()) != {"passed"}:
        raise RuntimeError(f"the gate answered {set(begun.values())}")
    results = [
        AttemptResult(
            message=taken.entry.message,
            number=1,
            token=taken.token,
            endpoint=taken.endpoint,
            dispatcher="bench",
            verdict=Verdict.SENT,
            status=Status.SENT,
            http_status=200,
            whatsapp_id="3EB0" + secrets.token_hex(9).upper(),
        )
        for taken in assignments
    ]
    with parts.adding("settle"):
        await settle(side.database, count_shard("bench"), results)
    await taking.settle([Settlement(taken, 0, 0, outcome=BreakerOutcome.OK, verdict="sent") for taken in assignments])
    return [(str(result.whatsapp_id), result.endpoint) for result in results]


async def _look(side: _Side, token: UUID, sent: Sequence[tuple[str, str]]) -> None:
    """The pages of API and dashboard, the figures of the monitor, a webhook."""
    database, endpoints = side.database, list(endpoints_of(side.settings))
    campaign = await campaign_range(database, token)
    assert campaign is not None
    newest = await newest_messages(database, None, None, 50)
    message = newest.rows[0]["id"]
    looks: dict[str, Callable[[], Awaitable[object]]] = {
        "progress of a campaign": lambda: campaign_progress(database, token, endpoints, 100),
        "page of campaigns": lambda: newest_campaigns(database, None, 50),
        "reasons of a campaign's failures": lambda: failure_reasons(database, campaign, 20),
        "page of a campaign's messages": lambda: campaign_messages(database, campaign, None, None, 50),
        "page of messages": lambda: newest_messages(database, None, None, 50),
        "page of failed messages": lambda: newest_messages(database, Status.FAILED, None, 50),
        "page of unknown messages": lambda: unknown_messages(database, None, 50),
        "a message with its history": lambda: message_with_attempts(database, message),
        "figures of every second": lambda: database_figures(database, SHOWN_CAMPAIGNS),
        "figures of accounts and sizes": lambda: history_figures(database, endpoints, DAY, HOUR),
        "figures of deliveries": lambda: delivery_figures(database, endpoints, timedelta(hours=1), DAY),
    }
    for what, look in looks.items():
        await look()
        async with side.noting(what, _LOOKS):
            for _ in range(_LOOKS):
                await look()
    async with side.noting("receipt in a webhook of ten", 200):
        for start in range(0, 200, 10):
            some = sent[start : start + 10]
            await record_receipts(database, 0, [identity for identity, _ in some], some[0][1], Receipt.DELIVERED)


async def _schedule(side: _Side) -> None:
    """The steps of every role of a scheduler, with work in them: entries that were lost, chunks to be fed."""
    await _rebuilt(side)
    await side.database.execute(
        "update due set due_at = x.at, enqueued_at = x.at from (select clock_timestamp() - interval '10 minutes' as at) x"
    )
    await side.database.execute(
        "update chunks set feeding_until = null,"
        " fed_at = case when number % 2 = 0 then clock_timestamp() - interval '1 hour' end where closed_at is null"
    )
    for role in side.roles:
        # Two do a part of their work every few steps: here by itself, and then not in the steps that follow.
        if isinstance(role, UnqueuedMessages):
            async with side.noting(_LOOP + role.name + ", what was lost"):
                await role.find_lost()
            await role.step()
        elif isinstance(role, Completion):
            async with side.noting(_LOOP + role.name + ", fed chunks"):
                await role.review()
            await role.step()
        async with side.noting(_LOOP + role.name, _STEPS):
            for _ in range(_STEPS):
                await role.step()
    await side.queue.ask("DEL", side.queue.keys.epoch)
    rebuilding = next(role for role in side.roles if isinstance(role, RedisRebuild))
    async with side.noting(_LOOP + "redis_rebuild, after a loss"):
        await rebuilding.step()


def _rows(small: _Side, large: _Side) -> list[Row]:
    rows = []
    for what in large.spent:
        few, many = small.spent[what], large.spent[what]
        pairs = list(zip(few, many, strict=True))
        rows += [
            Row(f"{what}: µs", [seconds * 1e6 for seconds, _ in many]),
            Row(f"{what}: µs of Postgres' CPU", [cpu * 1e6 for _, cpu in many]),
            Row(f"{what}: ÷ few rows, by time", [mine[0] / theirs[0] for theirs, mine in pairs]),
        ]
        if all(cpu for side in pairs for _, cpu in side):
            rows.append(Row(f"{what}: ÷ few rows, by CPU", [mine[1] / theirs[1] for theirs, mine in pairs]))
    intervals = {_LOOP + role.name: role.interval for role in large.roles}
    loops = [
        [sum(side.spent[name][turn][1] / interval for name, interval in intervals.items()) for turn in range(turns)]
        for side, turns in ((small, len(small.spent[what])), (large, len(large.spent[what])))
    ]
    return [
        *rows,
        Row("all loops of a scheduler: ms of Postgres' CPU a second", [seconds * 1000 for seconds in loops[1]]),
        Row("all loops of a scheduler: ÷ few rows", [b / a for a, b in zip(*loops, strict=True)]),
    ]


async def _retention(side: _Side) -> list[Row]:
    """How long the gate waits while six months are dropped, and while that cannot have the tables, because somebody
    exports a campaign meanwhile."""
    begins = _Begins(side, await _waiting_ids(side))
    before = await begins.while_(asyncio.sleep(5))
    export = await asyncpg.connect(**side.settings.connect_arguments())
    async with export.transaction():
        await export.fetchval("select id from messages limit 1")
        refused = await begins.while_(_drop(side, patience=3.0))
    await export.close()
    months_before = await side.database.fetchval(_MONTHS)
    begun = time.perf_counter()
    during = await begins.while_(_drop(side))
    taken = time.perf_counter() - begun
    months = months_before - await side.database.fetchval(_MONTHS)
    begun = time.perf_counter()
    forgetting = await begins.while_(_forget(side))
    forgotten = time.perf_counter() - begun
    return [
        Row("months dropped", [months]),
        Row("dropping them: s", [taken]),
        Row("forgetting what belonged to them: s", [forgotten]),
        Row("gate of 20, longest: ms", [max(before) * 1000]),
        Row("gate of 20, longest while months are dropped: ms", [max(during) * 1000]),
        Row("gate of 20, longest while what belonged to them is forgotten: ms", [max(forgetting) * 1000]),
        Row("gate of 20, longest while an export keeps them from being dropped: ms", [max(refused) * 1000]),
        Row("database with the old rows: GB", [await side.database.fetchval(_SIZE) / 1e9]),
    ]


async def _waiting_ids(side: _Side) -> list[UUID]:
    found = await campaign_range(side.database, await _campaign(side, 50_000))
    assert found is not None
    ids = await side.database.fetch("select id from messages where id between $1 and $2 order by id", *found[2:4])
    return [row["id"] for row in ids]


async def _drop(side: _Side, patience: float = 60.0) -> None:
    """As the scheduler does, which tries again later where it does not get the tables: here after a second, for so long."""
    until = time.perf_counter() + patience
    while True:
        try:
            if not await drop_old_partitions(side.database, 182 * 86_400.0):
                return
        except DatabaseUnavailable:
            if time.perf_counter() > until:
                return
            await asyncio.sleep(1)


async def _forget(side: _Side) -> None:
    while await forget_dropped(side.database, 10_000):
        pass


class _Begins:
    """Begins and settles messages as a dispatcher does, one batch after the other."""

    def __init__(self, side: _Side, waiting: list[UUID]) -> None:
        self._side = side
        self._waiting = waiting

    async def while_(self, work: Coroutine[Any, Any, None]) -> list[float]:
        """The seconds that each gate took while that is done, its repetitions included."""
        task = asyncio.create_task(work)
        seconds = []
        while not task.done():
            if len(self._waiting) < 20:
                self._waiting += await _waiting_ids(self._side)
            begun = time.perf_counter()
            await self._begin([self._waiting.pop() for _ in range(20)])
            seconds.append(time.perf_counter() - begun)
        await task
        return seconds

    async def _begin(self, messages: list[UUID]) -> None:
        epoch = await self._side.watcher.fetchval("select epoch from control")
        requests = [
            GateRequest(message, 1, secrets.token_hex(16), "bench", slot, 60) for slot, message in enumerate(messages)
        ]
        while True:
            with suppress(DatabaseUnavailable):
                await gate(self._side.database, epoch, "bench", requests)
                break
        results = [
            AttemptResult(
                message=request.message,
                number=1,
                token=request.token,
                endpoint="bench",
                dispatcher="bench",
                verdict=Verdict.SENT,
                status=Status.SENT,
            )
            for request in requests
        ]
        await settle(self._side.database, 0, results)
