"""What a job of every Python peer does, and how it is counted: a POST of JSON by aiohttp, its answer read."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from types import TracebackType
from typing import Self

import aiohttp


class Sending:
    """``ended`` is set after ``count`` sends; ``report`` then prints jobs a second and µs of CPU (user and system) for each,
    since ``begin``."""

    def __init__(self, url: str, count: int, in_flight: int) -> None:
        self._url = url
        self._count = count
        self._left = count
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=in_flight), cookie_jar=aiohttp.DummyCookieJar()
        )
        self.ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def begin(self) -> None:
        self._cpu = _cpu()
        self._begun = time.perf_counter()

    async def send(self, number: int) -> None:
        body = json.dumps({"phone": "15550100001@s.whatsapp.net", "message": f"number {number}"})
        async with self._session.post(self._url, data=body, headers={"Content-Type": "application/json"}) as response:
            response.raise_for_status()
            await response.read()
        self._left -= 1
        if self._left <= 0:
            self._seconds = time.perf_counter() - self._begun
            self.ended.set()

    def report(self) -> None:
        cpu = _cpu() - self._cpu
        print(f"{self._count / self._seconds:.1f} {cpu / self._count * 1_000_000:.1f}", flush=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
