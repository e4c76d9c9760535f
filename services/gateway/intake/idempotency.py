"""Requests with an Idempotency-Key: the first is done, every later one with the same key is answered with its answer.

The answer is committed with the work (``shared/database/idempotency.py``); what failed keeps nothing. In one gateway
requests with the same key go one after the other, so a crowd of them costs one acceptance and a lookup each; between
gateways the key's row decides. What was asked for is compared as a digest of the fields as they were read, so JSON, form
and multipart with the same content are the same request. Times are compared as they were written.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import Counter

from services.gateway.intake.phones import Recipients
from services.gateway.intake.uploads import Upload
from shared.database.connection import Database
from shared.database.idempotency import CallerKey, KeptAnswer, Keyed, KeyTaken, find_answers
from shared.messages import Kind
from shared.messages.phone_key import phone_key
from shared.runtime.batching import Batcher
from shared.runtime.envelope import ApiError, InvalidInput
from shared.runtime.request_identity import caller_of

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY = 255
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY}}}")
_WAIT = 10.0  # seconds; a request for one message takes milliseconds, a campaign of 100,000 some seconds
_LOOK_AGAIN = 0.25

_replayed = Counter("paceline_replayed_requests_total", "Requests answered again under their Idempotency-Key")


def key_of(request: web.Request) -> CallerKey | None:
    """None: the request has no key. Raises InvalidInput naming the header."""
    given = request.headers.getall(HEADER, [])
    if not given:
        return None
    if len(given) > 1:
        raise InvalidInput((HEADER, "it is given more than once"))
    if not _KEY.fullmatch(given[0]):
        raise InvalidInput((HEADER, f"1 to {MAX_KEY} visible ASCII characters without spaces are wanted"))
    return CallerKey(caller_of(request), given[0])


@dataclass(frozen=True, slots=True)
class Claim:
    """The key of a request, and the digest of what it asks for."""

    key: CallerKey
    digest: bytes

    def kept(self, response: web.Response) -> Keyed:
        """What is kept when the work for this answer is committed."""
        body = response.body
        if not isinstance(body, bytes):
            raise TypeError("only an answer with its whole body can be kept")
        return Keyed(self.key, KeptAnswer(self.digest, response.status, body))


def digest_of(kind: Kind, recipients: Recipients, values: dict[str, Any], upload: Upload | None) -> bytes:
    """SHA-256 of what is asked for. Fields that are null count as not given, a number is the same in every spelling."""
    asked = {
        "kind": kind.value,
        "several": recipients.several,
        "phones": [phone_key(phone) for phone in recipients.accepted],
        "rejected": [phone for phone, _ in recipients.rejected],
        "fields": {name: value for name, value in values.items() if value is not None},
        "upload": upload and [upload.filename, upload.content_type, upload.sha256.hex()],
    }
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()


class _Line:
    """Requests with one key that wait for one another."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.requests = 0


class Idempotency:
    """Holds who is under way with which key in this process, and looks kept answers up."""

    def __init__(self, database: Database, wait: float = _WAIT) -> None:
        """``wait``: seconds that a request waits for another one with its key."""
        self._wait = wait
        self._lines: dict[CallerKey, _Line] = {}
        self._answers: Batcher[CallerKey, KeptAnswer | None] = Batcher(
            lambda keys: find_answers(database, keys), limit=200, lanes=2
        )

    async def once(self, key: CallerKey, digest: bytes, act: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """The answer of ``act``, which commits it under the key, or the one kept before.

        Raises ApiError 409 IN_PROGRESS when another request with the key takes longer than ``wait``, 422 when the key
        belongs to another request, and what ``act`` raises.
        """
        deadline = asyncio.get_running_loop().time() + self._wait
        async with self._turn(key, deadline):
            kept = await self._answers.submit(key)
            if kept is None:
                try:
                    return await act()
                except KeyTaken:
                    kept = await self._of_another_gateway(key, deadline)
            return _replay(kept, digest)

    @asynccontextmanager
    async def _turn(self, key: CallerKey, deadline: float) -> AsyncIterator[None]:
        line = self._lines.setdefault(key, _Line())
        line.requests += 1
        try:
            try:
                async with asyncio.timeout_at(deadline):
                    await line.turn.acquire()
            except TimeoutError:
                raise _in_progress() from None
            try:
                yield
            finally:
                line.turn.release()
        finally:
            line.requests -= 1
            if not line.requests:
                del self._lines[key]

    async def _of_another_gateway(self, key: CallerKey, deadline: float) -> KeptAnswer:
        """A campaign's key is free to see only once all its rows are written."""
        while (kept := await self._answers.submit(key)) is None:
            if asyncio.get_running_loop().time() > deadline:
                raise _in_progress()
            await asyncio.sleep(_LOOK_AGAIN)
        return kept


def _in_progress() -> ApiError:
    reason = "the first request with this key is still under way; ask again"
    return ApiError(409, "IN_PROGRESS", reason, [(HEADER, reason)], headers={"Retry-After": "1"})


def _replay(kept: KeptAnswer, digest: bytes) -> web.Response:
    if kept.request != digest:
        reason = "this key was used for a request with another content; take a new key for each"
        raise ApiError(422, "IDEMPOTENCY_KEY_REUSED", reason, [(HEADER, reason)])
    _replayed.inc()
    return web.Response(
        status=kept.status,
        body=kept.body,
        content_type="application/json",
        charset="utf-8",
        headers={REPLAYED: "true"},
    )
