"""COPY of a campaign's rows into ``messages``, and nothing else: ``python -m bench.raw.bare_copy COUNT``.

Prints seconds from the start of the COPY to its commit, and CPU seconds of this process (user and system) meanwhile. The rows
are made before. The database is the environment's.
"""

from __future__ import annotations

import resource
import sys
import time
from uuid import uuid4

import asyncpg
import uvloop

from shared.messages import new_message_ids
from shared.settings import DatabaseSettings, load

_COLUMNS = ["id", "campaign", "lane", "kind", "phone", "phone_key", "chosen_endpoint", "on_unknown"]


async def measure(count: int) -> tuple[float, float]:
    campaign = uuid4()
    rows = [
        (
            message,
            campaign,
            "bulk",
            "message",
            f"1555{number:07}@s.whatsapp.net",
            f"1555{number:07}",
            None,
            "hold",
        )
        for number, message in enumerate(new_message_ids(count))
    ]
    connection = await asyncpg.connect(**load(DatabaseSettings).connect_arguments())
    try:
        before = resource.getrusage(resource.RUSAGE_SELF)
        begun = time.perf_counter()
        await connection.copy_records_to_table("messages", columns=_COLUMNS, records=rows)
        seconds = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_SELF)
    finally:
        await connection.close()
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    taken, cpu = uvloop.run(measure(int(sys.argv[1])))
    print(f"{taken:.4f} {cpu:.4f}")
