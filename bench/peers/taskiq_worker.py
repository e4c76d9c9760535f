"""taskiq on a Redis stream with aiohttp: adds COUNT jobs, then works them off, a POST each:
``taskiq_worker.py URL COUNT IN_FLIGHT``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import uvloop
from sending import Sending
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker


async def main(url: str, count: int, in_flight: int) -> None:
    password, host, port = (os.environ[name] for name in ("REDIS_PASSWORD", "REDIS_HOST", "REDIS_PORT"))
    broker = RedisStreamBroker(f"redis://:{password}@{host}:{port}", queue_name="taskiq-bench", xread_count=in_flight)
    async with Sending(url, count, in_flight) as sending:

        @broker.task
        async def send(number: int) -> None:
            await sending.send(number)

        await broker.startup()
        for start in range(0, count, 500):
            await asyncio.gather(*(send.kiq(number) for number in range(start, min(start + 500, count))))
        finish = asyncio.Event()
        receiver = Receiver(broker, max_async_tasks=in_flight, run_startup=False)
        sending.begin()
        working = asyncio.create_task(receiver.listen(finish))
        await sending.ended.wait()
        sending.report()
        finish.set()
        working.cancel()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    os._exit(0)
