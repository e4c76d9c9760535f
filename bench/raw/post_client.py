"""RAW: an aiohttp client that only POSTs JSON: ``python -m bench.raw.post_client URL COUNT IN_FLIGHT``.

Prints POSTs per second and microseconds of CPU (user and system) for each.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time

import aiohttp
import orjson
import uvloop


async def measure(url: str, count: int, in_flight: int) -> tuple[float, float]:
    left = count
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def lane() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                body = orjson.dumps({"phone": "15550100001@s.whatsapp.net", "message": f"number {left}"})
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    await response.read()

        before = resource.getrusage(resource.RUSAGE_SELF)
        begun = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(in_flight)))
        seconds = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / seconds, cpu / count * 1_000_000


if __name__ == "__main__":
    rate, cpu_us = uvloop.run(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    print(f"{rate:.1f} {cpu_us:.1f}")
