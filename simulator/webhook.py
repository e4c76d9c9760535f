"""Posting events to a webhook as GOWA v9 does.

``POST`` with ``X-Hub-Signature-256: sha256=<hex>``, an HMAC-SHA256 of the exact body. Up to five attempts, 10 s each,
with pauses of 1, 2, 4 and 8 s, all within 30 s of the event; then it is lost, so a refused connection loses it after
15 s. One task and one connection per event; the order is not guaranteed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson

_PAUSES = (1.0, 2.0, 4.0, 8.0)
_ATTEMPT = 10.0
_BUDGET = 30.0
# On the wire at a time: a bench with receipts must not hold a connection per message.
_AT_ONCE = 64


class Webhook:
    """Where events go; they are dropped while there is no URL. ``pauses`` are seconds between attempts."""

    def __init__(self, url: str, secret: str, pauses: tuple[float, ...] = _PAUSES) -> None:
        self.url = url
        self.secret = secret
        self._pauses = pauses
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def post(self, event: dict[str, Any]) -> None:
        """Have an event posted in the background."""
        if self.url:
            self.spawn(self._deliver(self.url, orjson.dumps(event)))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with this process."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def pending(self) -> int:
        """Events, and receipts to come, that are not over."""
        return len(self._tasks)

    def drop(self) -> None:
        """Forget what has not been posted, as a GOWA that stops does."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Drop everything, connections too."""
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, url: str, body: bytes) -> None:
        signature = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        try:
            async with asyncio.timeout(_BUDGET):
                for pause in (*self._pauses, None):
                    if await self._is_accepted(url, body, headers) or pause is None:
                        return
                    await asyncio.sleep(pause)
        except TimeoutError:
            return

    async def _is_accepted(self, url: str, body: bytes, headers: dict[str, str]) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                timeout=aiohttp.ClientTimeout(total=_ATTEMPT),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        async with self._turn:
            try:
                async with self._session.post(url, data=body, headers=headers) as response:
                    return 200 <= response.status < 300
            except (aiohttp.ClientError, TimeoutError, ValueError):
                return False


def rfc3339(timestamp: float) -> str:
    """Unix seconds as GOWA writes them."""
    return datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
