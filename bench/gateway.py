"""Single texts a second that one gateway takes, each committed and enqueued before its 202, against an empty aiohttp handler.

Real Valkey and a durable Postgres. The gateway, or the empty handler, has a core to itself; both stores and what asks share
the others. With a login and without an Idempotency-Key, as a system does that sends codes.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass

from bench.report import Row
from bench.running import MEASURED, OTHERS, Stores, listening, output_of, process, spent, stores
from shared.database.connection import Database
from standalone.ports import free_port

CONNECTIONS = (200, 50, 1)
_REQUESTS = {200: 30_000, 50: 30_000, 1: 2_000}
_WARM_UP = 4_000  # requests; until the pools are full and Postgres knows its plans
_LOGIN = f"bench:{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class Run:
    """Times in ms, CPU in µs a request, memory in MiB."""

    rate: float
    median: float
    late: float
    cpu: float
    peak: float


async def measure(rounds: int) -> list[Row]:
    """Takes turns between the empty handler and the gateway for each number of connections; about 15 s a round."""
    os.environ["BENCH_AUTHORIZATION"] = "Basic " + base64.b64encode(_LOGIN.encode()).decode()
    name, password = _LOGIN.split(":")
    with stores() as (_, environment):
        ports = free_port(), free_port()
        settings = environment | {
            "API_PORT": str(ports[1]),
            "DASHBOARD_USERNAME": name,
            "DASHBOARD_PASSWORD": password,
            "WHATSAPP_ENDPOINTS": "http://127.0.0.1:9",
            "DRAIN_TIME": "0s",
        }
        empty: dict[int, list[Run]] = {connections: [] for connections in CONNECTIONS}
        own: dict[int, list[Run]] = {connections: [] for connections in CONNECTIONS}
        with (
            process("bench.raw.empty_handler", str(ports[0]), cores=MEASURED) as handler,
            process("services.gateway", environment=settings, cores=MEASURED) as gateway,
        ):
            for port in ports:
                await listening(port)
                await output_of("bench.requests", str(port), "50", str(_WARM_UP), cores=OTHERS)
            for _ in range(rounds):
                for connections in CONNECTIONS:
                    empty[connections].append(await _run(handler.pid, ports[0], connections))
                    own[connections].append(await _run(gateway.pid, ports[1], connections))
        await _nothing_lost(rounds)
    return [row for connections in CONNECTIONS for row in _rows(connections, empty[connections], own[connections])]


async def _run(pid: int, port: int, connections: int) -> Run:
    count = _REQUESTS[connections]
    before = spent(pid)
    rate, median, late = await output_of("bench.requests", str(port), str(connections), str(count), cores=OTHERS)
    after = spent(pid)
    return Run(rate, median, late, (after.cpu - before.cpu) / count * 1_000_000, after.peak / 2**20)


async def _nothing_lost(rounds: int) -> None:
    """Raises RuntimeError where a 202 has no row, since nothing else that is fast is of worth."""
    database = await Database(Stores(), 1, "bench").open()
    try:
        accepted = await database.fetchval("select count(*) from messages")
    finally:
        await database.close()
    asked = _WARM_UP + rounds * sum(_REQUESTS.values())
    if accepted != asked:
        raise RuntimeError(f"{asked} texts were accepted and {accepted} are in Postgres")


def _rows(connections: int, empty: list[Run], own: list[Run]) -> list[Row]:
    pairs = list(zip(empty, own, strict=True))
    at = f"{connections} connection{'s' if connections > 1 else ''}"
    return [
        Row(f"{at}: empty handler, requests a second", [run.rate for run in empty]),
        Row(f"{at}: gateway, requests a second", [run.rate for run in own]),
        Row(f"{at}: gateway ÷ empty handler", [mine.rate / theirs.rate for theirs, mine in pairs]),
        Row(f"{at}: empty handler, median ms", [run.median for run in empty]),
        Row(f"{at}: gateway, median ms", [run.median for run in own]),
        Row(f"{at}: empty handler, p99 ms", [run.late for run in empty]),
        Row(f"{at}: gateway, p99 ms", [run.late for run in own]),
        Row(f"{at}: p99, gateway ÷ empty handler", [mine.late / theirs.late for theirs, mine in pairs]),
        Row(f"{at}: empty handler, CPU µs a request", [run.cpu for run in empty]),
        Row(f"{at}: gateway, CPU µs a request", [run.cpu for run in own]),
        Row(f"{at}: gateway, peak memory, MiB", [run.peak for run in own]),
    ]
