"""A client that offers single sends and campaigns, pauses, resumes and cancels some, has recipients opt out, stops all
campaigns now and then, and remembers every answer it got.

What it got a 2xx for is what the judge holds Paceline to. Calls alternate between the gateways, as behind a balancer that
does not look whether they live.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

import aiohttp
import orjson

from tests.chaos.running_whole import LOGIN, Whole

SINGLE = "single"
_CALL_TIMEOUT = 12.0
_RESEND_SHARE = 0.2
_IMAGE_SHARE = 0.15
_CAREFUL_SHARE = 0.5
_REPEATS = 8
_STOP_INTERVAL = 20.0
"""Seconds between two stops of all campaigns."""


@dataclass(slots=True)
class Accepted:
    """``token``: of a message or a campaign. ``forbidden``: intervals (Unix seconds) in which no attempt may begin, from
    the acknowledgement to the moment at which the opposite was asked for."""

    token: str
    phones: list[str]
    on_unknown: str
    forbidden: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """All answers. ``phones``: what was asked to be sent to. ``refused``: (begun, ended, status or 0 for none) of calls without
    a 2xx or 4xx. ``stopped``: as ``forbidden``, for all campaigns."""

    phones: list[str] = field(default_factory=list)
    singles: dict[str, Accepted] = field(default_factory=dict)
    campaigns: dict[str, Accepted] = field(default_factory=dict)
    refused: list[tuple[float, float, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stopped: list[tuple[float, float]] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def offered(self) -> int:
        return len(self.phones)

    @property
    def accepted(self) -> int:
        return sum(len(item.phones) for group in (self.singles, self.campaigns) for item in group.values())


def _png() -> bytes:
    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"\0" * 4)) + part(b"IEND", b"")


PICTURE = _png()


def _form(phones: list[str], on_unknown: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("phone", ",".join(phones))
    form.add_field("caption", f"picture {phones[0]}")
    form.add_field("on_unknown", on_unknown)
    form.add_field("image", PICTURE, filename="picture.png", content_type="image/png")
    return form


class Client:
    """Offers ``rate`` messages a second while ``offering`` is open."""

    def __init__(self, whole: Whole, seed: int, rate: float) -> None:
        self.record = Record()
        self._chance = random.Random(f"{seed} load")
        self._rate = rate
        self._gateways = cycle([member.process.url for member in whole.of("gateway")])
        self._numbers = count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._perhaps_paused: list[str] = []
        """Campaigns whose pause had no answer: a gateway that waited for Postgres may have done it after they were resumed."""

    @asynccontextmanager
    async def offering(self) -> AsyncIterator[Client]:
        """At its end waits for the calls under way, and resumes what is paused."""
        timeout = aiohttp.ClientTimeout(total=_CALL_TIMEOUT)
        headers = {"Authorization": aiohttp.encode_basic_auth(*LOGIN)}
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as self._session:
            offers = asyncio.create_task(self._offer())
            self._start(self._stop_and_start())
            try:
                yield self
            finally:
                self._ending.set()
                await offers
                while self._tasks:
                    await asyncio.wait(self._tasks)
                for token in self._perhaps_paused:
                    await self._resume(token)

    async def _offer(self) -> None:
        """Open: it does not wait for answers, as the world does not."""
        while not self._ending.is_set():
            if self._chance.random() < 0.12:
                size = self._chance.randint(5, 35)
                self._start(self._campaign(size))
                sent = size
            else:
                sent = self._chance.randint(1, 2)
                for _ in range(sent):
                    self._start(self._single())
            await self._sleep(sent / self._rate)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sleep(self, seconds: float) -> None:
        """Shorter when the offering ends."""
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return

    async def _call(self, path: str, method: str = "POST", **options: Any) -> tuple[int, Any]:
        """Status and results; (0, None) when there was no answer."""
        begun = time.time()
        try:
            async with self._session.request(method, next(self._gateways) + path, **options) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            status, body = 0, b""
        ended = time.time()
        self.record.slowest = max(self.record.slowest, ended - begun)
        if status == 0 or status >= 500:
            self.record.refused.append((begun, ended, status))
            return status, None
        answer = orjson.loads(body)
        if status >= 400 and status != 409:
            self.record.wrong.append(f"{path}: {status} {answer}")
        return status, answer.get("results")

    async def _send(self, phones: list[str], on_unknown: str) -> Any:
        """What it was answered with a 202, None: it was not accepted as far as the client knows. A careful client names its
        request by a key and repeats it until it knows; a careless one tries once."""
        is_image = self._chance.random() < _IMAGE_SHARE
        is_careful = self._chance.random() < _CAREFUL_SHARE
        headers = {"Idempotency-Key": f"request-{phones[0]}"} if is_careful else {}
        for _ in range(_REPEATS if is_careful else 1):
            if is_image:
                status, results = await self._call("/api/send/image", data=_form(phones, on_unknown), headers=headers)
            else:
                phone: object = phones[0] if len(phones) == 1 else phones
                body = {"phone": phone, "message": f"text {phones[0]}", "on_unknown": on_unknown}
                status, results = await self._call("/api/send/message", json=body, headers=headers)
            if status == 202:
                return results
            await asyncio.sleep(0.5)
        return None

    def _recipients(self, size: int) -> list[str]:
        """Numbers of a range that is nobody's, each used once, so that a phone stands for its message."""
        phones = [f"1555{next(self._numbers):07d}" for _ in range(size)]
        self.record.phones += phones
        return phones

    async def _single(self) -> None:
        phones = self._recipients(1)
        on_unknown = "resend" if self._chance.random() < _RESEND_SHARE else "hold"
        cancels, opts_out = self._chance.random() < 0.04, self._chance.random() < 0.04
        results = await self._send(phones, on_unknown)
        if results is None:
            return
        accepted = Accepted(results["message_id"], phones, on_unknown)
        self.record.singles[accepted.token] = accepted
        if cancels:
            status, _ = await self._call(f"/api/messages/{accepted.token}/cancel")
            if status == 200:
                self._forbid(accepted, "cancel")
        if opts_out:
            status, _ = await self._call(f"/api/optouts/{phones[0]}", "PUT", json={"scope": "all"})
            if status == 200:
                self._forbid(accepted, "opt-out")

    async def _campaign(self, size: int) -> None:
        phones = self._recipients(size)
        fate = self._chance.random()
        wait = self._chance.uniform(0.3, 3)
        results = await self._send(phones, "hold")
        if results is None:
            return
        accepted = Accepted(results["campaign_token"], phones, "hold")
        self.record.campaigns[accepted.token] = accepted
        await self._sleep(wait)
        if fate < 0.3:
            await self._pause_and_resume(accepted, wait)
        elif fate < 0.4:
            status, _ = await self._call(f"/api/campaigns/{accepted.token}/cancel")
            if status == 200:
                self._forbid(accepted, "cancel")

    async def _stop_and_start(self) -> None:
        """Stops all campaigns for a moment, now and then."""
        while not self._ending.is_set():
            await self._sleep(_STOP_INTERVAL)
            status, _ = await self._call("/api/stop", json={"lane": "bulk", "reason": "chaos"})
            since = time.time()
            await self._sleep(1)
            until = time.time()
            if status == 200:
                self.record.acknowledged["stop"] += 1
                self.record.stopped.append((since, until))
            status = 0
            while status != 200:
                status, _ = await self._call("/api/start", json={"lane": "bulk"})
                await asyncio.sleep(0.2)

    def _forbid(self, accepted: Accepted, what: str) -> None:
        self.record.acknowledged[what] += 1
        accepted.forbidden.append((time.time(), float("inf")))

    async def _pause_and_resume(self, accepted: Accepted, wait: float) -> None:
        status, _ = await self._call(f"/api/campaigns/{accepted.token}/pause")
        if status == 409:
            return
        if status == 200:
            self._forbid(accepted, "pause")
        else:
            self._perhaps_paused.append(accepted.token)
        # Also one that was not acknowledged may be paused now.
        await self._sleep(wait)
        if accepted.forbidden:
            begun, _ = accepted.forbidden[-1]
            accepted.forbidden[-1] = (begun, time.time())
        await self._resume(accepted.token)

    async def _resume(self, token: str) -> None:
        while True:
            status, _ = await self._call(f"/api/campaigns/{token}/resume")
            if status in (200, 409):
                return
            await asyncio.sleep(0.5)
