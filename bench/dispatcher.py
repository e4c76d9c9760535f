"""Messages per second of one dispatcher, gate and history on and pacing off, against RAW: a client that only POSTs.

Real Valkey, real Postgres, the dispatcher as a process of its own, and a sender that answers at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.report import Row
from shared.database.connection import Database
from shared.messages import Entry, Lane, new_message_ids
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.upkeep import RebuiltState, rebuild
from shared.settings import DatabaseSettings, RedisSettings
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from standalone.ports import free_port

_MESSAGES = 5_000
_ACCOUNTS = 100
_UNPACED = {
    "RATE_PROFILE": "manual",
    "RATE_LIMIT_DELAY_MIN": "0",
    "RATE_LIMIT_DELAY_MAX": "0",
    "TYPING_DELAY_MIN": "0",
    "TYPING_DELAY_MAX": "0",
    "NATURAL_BREAK_INTERVAL": "0",
    "LOG_LEVEL": "warning",
}


class _Stores(RedisSettings, DatabaseSettings):
    pass


@contextmanager
def _process(module: str, *arguments: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=os.environ | environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def measure(rounds: int) -> list[Row]:
    """Takes turns between RAW and the dispatcher; about 5 s a round."""
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as folder:
        root = Path(folder)
        with EmbeddedValkey(root / "valkey") as valkey, EmbeddedPostgres(root / "postgres", durable=True) as postgres:
            stub_port = free_port()
            url = f"http://127.0.0.1:{stub_port}"
            environment = {
                "DATABASE_HOST": postgres.host,
                "DATABASE_PORT": str(postgres.port),
                "DATABASE_NAME": "postgres",
                "DATABASE_USER": postgres.user,
                "DATABASE_PASSWORD": postgres.password,
                "DATABASE_SSL_MODE": "disable",
                "REDIS_HOST": valkey.host,
                "REDIS_PORT": str(valkey.port),
                "REDIS_PASSWORD": valkey.password,
                "WHATSAPP_ENDPOINTS": ",".join([url] * _ACCOUNTS),
                "WHATSAPP_DEVICE_IDS": ",".join(f"account-{number}" for number in range(_ACCOUNTS)),
                "DISPATCHER_PORT": str(free_port()),
                "FILE_STORAGE_ROOT": str(root / "files"),
            } | _UNPACED
            os.environ.update(environment)
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-m", "migrations"], check=True, stdout=subprocess.DEVNULL
            )
            with _process("bench.raw.answering_stub", str(stub_port), environment={}):
                await _listening(stub_port)
                raw, own = [], []
                for _ in range(rounds):
                    raw.append(await _raw(url))
                    own.append(await _dispatcher(environment))
    return [
        Row("RAW: POSTs a second", [rate for rate, _ in raw]),
        Row("dispatcher: messages a second", [rate for rate, _ in own]),
        Row("dispatcher ÷ RAW, by rate", [mine / theirs for (mine, _), (theirs, _) in zip(own, raw, strict=True)]),
        Row("RAW: CPU µs a POST", [cpu for _, cpu in raw]),
        Row("dispatcher: CPU µs a message", [cpu for _, cpu in own]),
    ]


async def _listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return


async def _raw(url: str) -> tuple[float, float]:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.raw.post_client", f"{url}/send/message", str(_MESSAGES), "100",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = await done.communicate()
    rate, cpu = output.split()
    return float(rate), float(cpu)


async def _dispatcher(environment: dict[str, str]) -> tuple[float, float]:
    """Enqueues, starts the dispatcher, and times from its first attempt to its last by the database's clock."""
    stores = _Stores()
    queue, database = QueueConnection(stores), await Database(stores, 2, "bench").open()
    try:
        epoch = int(await database.fetchval("update control set epoch = epoch + 1 returning epoch"))
        await rebuild(queue, epoch, RebuiltState({}, {}, {}))
        ids = new_message_ids(_MESSAGES)
        rows = [
            (
                message,
                "transactional",
                "message",
                "15550100001@s.whatsapp.net",
                "15550100001",
                {"message": "hello"},
                "hold",
            )
            for message in ids
        ]
        async with database.connection() as connection:
            await connection.copy_records_to_table(
                "messages",
                records=rows,
                columns=["id", "lane", "kind", "phone", "phone_key", "content", "on_unknown"],
            )
        await enqueue(queue, [Placement(Entry(message, 1, Lane.TRANSACTIONAL)) for message in ids])
        with _process("services.dispatcher", environment=environment) as process:
            while await database.fetchval("select count(*) from attempts where message >= $1", ids[0]) < _MESSAGES:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            times = psutil.Process(process.pid).cpu_times()
        span = await database.fetchval(
            "select extract(epoch from max(finished_at) - min(started_at)) from attempts where message >= $1", ids[0]
        )
        return _MESSAGES / float(span), (times.user + times.system) / _MESSAGES * 1_000_000
    finally:
        await queue.close()
        await database.close()
