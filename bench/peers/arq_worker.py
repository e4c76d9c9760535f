"""arq with aiohttp: adds COUNT jobs, then works them off, a POST each: ``arq_worker.py URL COUNT IN_FLIGHT``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func
from sending import Sending


async def main(url: str, count: int, in_flight: int) -> None:
    address = RedisSettings(
        host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), password=os.environ["REDIS_PASSWORD"]
    )
    redis = await create_pool(address)
    await redis.delete("arq:queue")
    for start in range(0, count, 500):
        await asyncio.gather(*(redis.enqueue_job("send", number) for number in range(start, min(start + 500, count))))
    async with Sending(url, count, in_flight) as sending:

        async def send(context: dict[str, Any], number: int) -> None:
            await sending.send(number)

        worker = Worker(
            functions=[func(send, name="send")],
            redis_pool=redis,
            max_jobs=in_flight,
            keep_result=0,
            poll_delay=0.01,
            handle_signals=False,
        )
        sending.begin()
        working = asyncio.create_task(worker.async_run())
        await sending.ended.wait()
        sending.report()
        working.cancel()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
