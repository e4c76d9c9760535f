"""dramatiq with its AsyncIO middleware and aiohttp: adds COUNT jobs, then works them off, a POST each:
``dramatiq_worker.py URL COUNT IN_FLIGHT``."""

from __future__ import annotations

import logging
import os
import sys
import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware.asyncio import AsyncIO
from dramatiq.worker import Worker
from sending import Sending


def main(url: str, count: int, in_flight: int) -> None:
    broker = RedisBroker(
        host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]), password=os.environ["REDIS_PASSWORD"]
    )
    broker.add_middleware(AsyncIO())
    dramatiq.set_broker(broker)
    sendings: list[Sending] = []
    all_sent = threading.Event()

    @dramatiq.actor(max_retries=3)
    async def send(number: int) -> None:
        if not sendings:
            # A session belongs to the loop that the worker's start makes.
            sendings.append(Sending(url, count, in_flight))
            sendings[0].begin()
        await sendings[0].send(number)
        if sendings[0].ended.is_set():
            all_sent.set()

    broker.client.flushdb()
    for number in range(count):
        send.send(number)
    # The unit of its concurrency is a thread, also where what it waits for is a coroutine.
    Worker(broker, worker_threads=in_flight, worker_timeout=100).start()
    all_sent.wait()
    sendings[0].report()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    os._exit(0)
