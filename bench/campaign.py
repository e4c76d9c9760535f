"""From a campaign of 100,000 recipients in JSON to its 202, against a COPY of the same rows; and /health meanwhile.

The gateway, or the program that only copies, has a core to itself; Postgres and the client share the others.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time

import aiohttp
import orjson

from bench.report import Row
from bench.running import MEASURED, Stores, listening, output_of, process, spent, stores
from shared.database.connection import Database
from standalone.ports import free_port

RECIPIENTS = 100_000
_HEALTH_EVERY = 0.005  # seconds
_EMPTY = "truncate messages, campaigns, chunks, campaign_counts, due cascade"


async def measure(rounds: int) -> list[Row]:
    """Takes turns between COPY and the gateway, each in empty tables; about 10 s a round."""
    password = secrets.token_hex(16)
    authorization = "Basic " + base64.b64encode(f"bench:{password}".encode()).decode()
    body = orjson.dumps(
        {"phone": [f"1555{number:07}" for number in range(RECIPIENTS)], "message": "Ten percent off until Sunday."}
    )
    with stores() as (_, environment):
        port = free_port()
        settings = environment | {
            "API_PORT": str(port),
            "DASHBOARD_USERNAME": "bench",
            "DASHBOARD_PASSWORD": password,
            "WHATSAPP_ENDPOINTS": "http://127.0.0.1:9",
            "DRAIN_TIME": "0s",
            "LOG_LEVEL": "warning",
        }
        copied: list[tuple[float, float]] = []
        accepted: list[tuple[float, float, float, float, float]] = []
        database = await Database(Stores(), 1, "bench").open()
        try:
            with process("services.gateway", environment=settings, cores=MEASURED) as gateway:
                await listening(port)
                for _ in range(rounds):
                    await database.execute(_EMPTY)
                    seconds, cpu = await output_of("bench.raw.bare_copy", str(RECIPIENTS), cores=MEASURED)
                    copied.append((seconds, cpu))
                    await database.execute(_EMPTY)
                    before = spent(gateway.pid)
                    seconds, slowest, usual = await _campaign(port, authorization, body)
                    after = spent(gateway.pid)
                    if await database.fetchval("select count(*) from messages") != RECIPIENTS:
                        raise RuntimeError("not all messages of the campaign are in Postgres")
                    accepted.append((seconds, slowest, usual, after.cpu - before.cpu, after.peak / 2**20))
        finally:
            await database.close()
    return [
        Row("bare COPY, s", [seconds for seconds, _ in copied]),
        Row("gateway, s to the 202", [run[0] for run in accepted]),
        Row("gateway ÷ bare COPY", [mine[0] / theirs[0] for theirs, mine in zip(copied, accepted, strict=True)]),
        Row("/health meanwhile, slowest ms", [run[1] * 1000 for run in accepted]),
        Row("/health without a campaign, slowest ms", [run[2] * 1000 for run in accepted]),
        Row("bare COPY: CPU µs a message", [cpu / RECIPIENTS * 1_000_000 for _, cpu in copied]),
        Row("gateway: CPU µs a message", [run[3] / RECIPIENTS * 1_000_000 for run in accepted]),
        Row("gateway: peak memory, MiB", [run[4] for run in accepted]),
    ]


async def _campaign(port: int, authorization: str, body: bytes) -> tuple[float, float, float]:
    """Seconds to the 202, and those of the slowest answer of /health meanwhile and in as long without a campaign. Raises
    RuntimeError."""
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(headers={"Authorization": authorization}) as session:
        async with session.get(f"{base}/health") as answer:
            await answer.read()
        watching = asyncio.create_task(_slowest_health(session, f"{base}/health", done := asyncio.Event()))
        begun = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{base}/api/send/message", data=body, headers=headers) as answer:
            text = await answer.text()
            seconds = time.perf_counter() - begun
        done.set()
        slowest = await watching
        if answer.status != 202:
            raise RuntimeError(f"the campaign was answered with {answer.status}: {text[:200]}")
        watching = asyncio.create_task(_slowest_health(session, f"{base}/health", done := asyncio.Event()))
        await asyncio.sleep(seconds)
        done.set()
        return seconds, slowest, await watching


async def _slowest_health(session: aiohttp.ClientSession, url: str, done: asyncio.Event) -> float:
    """Seconds."""
    slowest = 0.0
    while not done.is_set():
        begun = time.perf_counter()
        async with session.get(url) as answer:
            await answer.read()
        slowest = max(slowest, time.perf_counter() - begun)
        await asyncio.sleep(_HEALTH_EVERY)
    return slowest
