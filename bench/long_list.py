"""A list of a million recipients, read row by row and written while it is read, against a COPY of the same rows; and by how
much that makes a process grow.

The program that reads and writes (``python -m bench.long_list COUNT``), or only copies, has a core to itself, Postgres the
others.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import uvloop

from bench.report import Row
from bench.running import MEASURED, Stores, forget_peak, output_of, spent, stores
from services.gateway.intake.duplicates import FirstRows
from services.gateway.intake.phones import normal_phone
from shared.database.campaigns import NewCampaign, Tally, insert_campaign
from shared.database.connection import Database
from shared.database.messages import Draft
from shared.messages import Kind, Lane, OnUnknown
from shared.messages.phone_key import phone_key

RECIPIENTS = 1_000_000
_PORTION = 1_000
_EMPTY = "truncate messages, campaigns, chunks, campaign_counts, due cascade"


async def measure(rounds: int) -> list[Row]:
    """Takes turns between COPY and the list, each in empty tables; about a minute a round."""
    with stores():
        copied, listed = [], []
        database = await Database(Stores(), 1, "bench").open()
        try:
            for _ in range(rounds):
                await database.execute(_EMPTY)
                copied.append(await output_of("bench.raw.bare_copy", str(RECIPIENTS), cores=MEASURED))
                await database.execute(_EMPTY)
                listed.append(await output_of("bench.long_list", str(RECIPIENTS), cores=MEASURED))
                if await database.fetchval("select count(*) from messages") != RECIPIENTS:
                    raise RuntimeError("not all messages of the list are in Postgres")
        finally:
            await database.close()
    return [
        Row("list, s to the commit", [run[0] for run in listed]),
        Row("list ÷ bare COPY", [mine[0] / theirs[0] for theirs, mine in zip(copied, listed, strict=True)]),
        Row("list: CPU µs a message", [run[1] / RECIPIENTS * 1_000_000 for run in listed]),
        Row("list: growth of memory, MiB", [run[2] for run in listed]),
    ]


async def _rows(count: int) -> AsyncIterator[Sequence[str]]:
    """Every hundredth row is a person who was there before."""
    first_rows = FirstRows()
    for start in range(0, count + count // 99, _PORTION):
        portion = []
        for row in range(start, min(start + _PORTION, count + count // 99)):
            number = row - row // 100 if row % 100 else row // 2 - row // 200
            phone = normal_phone(f"+1555{number:07}", "")
            if first_rows.first_row(phone_key(phone), row) == row:
                portion.append(phone)
        await asyncio.sleep(0)
        yield portion


async def _write(count: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds, and MiB by which the process grew."""
    draft = Draft(
        kind=Kind.MESSAGE,
        lane=Lane.BULK,
        content={"message": "Ten percent off until Sunday."},
        on_unknown=OnUnknown.HOLD,
        expires_after=604_800.0,
    )
    database = await Database(Stores(), 1, "bench").open()
    try:
        await database.fetchval("select 1")
        grown_from = forget_peak(os.getpid())
        before = resource.getrusage(resource.RUSAGE_SELF)
        begun = time.perf_counter()
        await insert_campaign(database, NewCampaign(uuid4(), draft, _rows(count), lambda _: Tally()), chunk_size=500)
        seconds = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_SELF)
    finally:
        await database.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, (spent(os.getpid()).peak - grown_from) / 2**20


if __name__ == "__main__":
    taken, cpu, grown = uvloop.run(_write(int(sys.argv[1])))
    print(f"{taken:.4f} {cpu:.4f} {grown:.2f}")
