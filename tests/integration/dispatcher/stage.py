"""A stage for dispatchers: a Redis built for epoch 1, messages put there as accepting does, and one simulated sender with
the accounts ``a``, ``b`` and ``c``. Facts are waited for, never guessed by time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from shared.cancellation import end
from shared.database.connection import Database
from shared.endpoints.identity import endpoint_id
from shared.messages import Entry, Lane, Status, new_message_ids
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.rebuild import RebuiltState, rebuild
from tests.servers import ServiceProcess, StartService

DEVICES = ("a", "b", "c")
LOGIN = "gowa:pass"
TEXT = {"message": "hello"}
DEADLINE = 60.0
"""Seconds after which a fact that has not come is a failure; most take some milliseconds."""
NO_PACE = {
    "RATE_LIMIT_DELAY_MIN": "0",
    "RATE_LIMIT_DELAY_MAX": "0",
    "TYPING_DELAY_MIN": "0",
    "TYPING_DELAY_MAX": "0",
    "NATURAL_BREAK_INTERVAL": "0",
    "RETRY_BASE_DELAY": "20ms",
}
Fact = TypeVar("Fact")


async def eventually(look: Callable[[], Awaitable[Fact]], what: str = "it", deadline: float = DEADLINE) -> Fact:
    """The first true answer of `look`."""
    end = time.monotonic() + deadline
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not happen within {deadline:.0f} s; last: {found!r}"
        await asyncio.sleep(0.02)


async def metrics_of(service: ServiceProcess) -> str:
    """What Prometheus would read."""
    async with aiohttp.ClientSession() as session, session.get(service.url + "/metrics") as response:
        return await response.text()


class Sender:
    """The simulator's control API."""

    def __init__(self, process: ServiceProcess, session: aiohttp.ClientSession) -> None:
        self.url = process.url
        self._session = session

    async def _ask(self, method: str, path: str, content: object = None) -> Any:
        async with self._session.request(method, f"{self.url}/simulator{path}", json=content) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def reset(self) -> None:
        await self._ask("PUT", "/mood", {"mood": "ok"})
        await self._ask("PUT", "/numbers", {"not_on_whatsapp": [], "lookup_fails": {}})
        await self.groups({})
        await self._ask("DELETE", "/ledger")

    async def mood(self, mood: str, *devices: str, **parameters: Any) -> None:
        for device in devices or DEVICES:
            await self._ask("PUT", f"/devices/{device}/mood", {"mood": mood, **parameters})

    async def numbers(self, **content: Any) -> None:
        await self._ask("PUT", "/numbers", content)

    async def groups(self, members: dict[str, list[str]]) -> None:
        """Which accounts are in which groups; all are in a group that is not named."""
        await self._ask("PUT", "/groups", {"members": members, "missing": []})

    async def summary(self) -> Any:
        return await self._ask("GET", "/summary")

    async def everything(self) -> list[dict[str, Any]]:
        """All lines of the ledger, typing among them."""
        return list((await self._ask("GET", "/ledger"))["entries"])

    async def sends(self, device: str = "") -> list[dict[str, Any]]:
        """The sends in order of arrival."""
        lines = await self.everything()
        return [line for line in lines if line["kind"] != "chat-presence" and (not device or line["device"] == device)]

    async def typing(self) -> list[str]:
        """Actions of the typing notices."""
        return [line["fields"]["action"] for line in await self.everything() if line["kind"] == "chat-presence"]

    async def arrived(self, count: int = 1) -> list[dict[str, Any]]:
        """Waits until so many sends have arrived."""

        async def look() -> list[dict[str, Any]]:
            found = await self.sends()
            return found if len(found) >= count else []

        return await eventually(look, f"arrival of {count} sends")


class Stage:
    """Everything that a test of dispatchers needs."""

    def __init__(self, store: Database, queue: QueueConnection, sender: Sender, start_service: StartService) -> None:
        self.store = store
        self.queue = queue
        self.sender = sender
        self._start = start_service
        self._urls = dict.fromkeys(DEVICES, sender.url)

    def endpoint(self, device: str) -> str:
        """The endpoint's id."""
        return endpoint_id(self._urls[device], device)

    def move(self, device: str, url: str) -> None:
        """The account is said to be elsewhere; before `build`."""
        self._urls[device] = url

    async def build(self, *devices: str, epoch: int = 1) -> None:
        """Makes Redis that of the epoch, with a ready slot for each account."""
        slots = {f"{self.endpoint(device)}/0": (0, 0) for device in devices or DEVICES}
        assert await rebuild(self.queue, epoch, RebuiltState(slots, {}, {}))

    async def dispatcher(self, *devices: str, **settings: str) -> ServiceProcess:
        """A dispatcher for these accounts (all), without any pace unless the settings say so."""
        known = devices or DEVICES
        return await self._start(
            "services.dispatcher",
            **{
                **NO_PACE,
                "WHATSAPP_ENDPOINTS": ",".join(self._urls[device] for device in known),
                "WHATSAPP_AUTHS": ",".join(LOGIN for _ in known),
                "WHATSAPP_DEVICE_IDS": ",".join(known),
                **settings,
            },
        )

    async def scheduler(self, *devices: str, **settings: str) -> ServiceProcess:
        """A scheduler for these accounts (all); it builds Redis."""
        known = devices or DEVICES
        return await self._start(
            "services.scheduler",
            **{
                **{name: value for name, value in NO_PACE.items() if name != "RETRY_BASE_DELAY"},
                "WHATSAPP_ENDPOINTS": ",".join(self._urls[device] for device in known),
                "WHATSAPP_AUTHS": ",".join(LOGIN for _ in known),
                "WHATSAPP_DEVICE_IDS": ",".join(known),
                **settings,
            },
        )

    async def accept(
        self,
        phone: str = "15550100001",
        content: dict[str, Any] | None = None,
        *,
        kind: str = "message",
        media: UUID | None = None,
        expires: str = "1 day",
    ) -> UUID:
        """A single send in Postgres, not enqueued."""
        message = new_message_ids()[0]
        async with self.store.transaction() as connection:
            await connection.execute(
                "insert into messages (id, lane, kind, phone, phone_key, content, media, on_unknown, expires_at) values"
                " ($1, 'transactional', $2, $3, $4, $5, $6, 'resend', clock_timestamp() + $7::text::interval)",
                message,
                kind,
                f"{phone}@s.whatsapp.net",
                phone,
                TEXT if content is None else content,
                media,
                expires,
            )
            await connection.execute(
                "insert into due (message, due_at, why, lane) values ($1, clock_timestamp(), 'send', 'transactional')",
                message,
            )
        return message

    async def enqueue(
        self, messages: Iterable[UUID], lane: Lane = Lane.TRANSACTIONAL, *, device: str = "", chosen: bool = False
    ) -> None:
        endpoint = self.endpoint(device) if device else ""
        entries = [Entry(message, 1, lane, endpoint=endpoint, chosen=chosen) for message in messages]
        await enqueue(self.queue, [Placement(entry) for entry in entries])

    async def send(
        self, phone: str = "15550100001", content: dict[str, Any] | None = None, *, device: str = "", **options: Any
    ) -> UUID:
        """Accepts a message and enqueues it, bound to an account (but not by the caller's choice) if one is named."""
        chosen = options.pop("chosen", False)
        message = await self.accept(phone, content, **options)
        await self.enqueue([message], device=device, chosen=chosen)
        return message

    async def store_media(self, content: bytes, filename: str, content_type: str, block: int = 256 * 1024) -> UUID:
        """A file in Postgres, in rows as the gateway writes them."""
        media = uuid4()
        async with self.store.transaction() as connection:
            await connection.execute(
                "insert into media (id, filename, content_type, size, sha256) values ($1, $2, $3, $4, $5)",
                media,
                filename,
                content_type,
                len(content),
                hashlib.sha256(content).digest(),
            )
            await connection.executemany(
                "insert into media_blocks (media, number, bytes) values ($1, $2, $3)",
                [(media, start // block, content[start : start + block]) for start in range(0, len(content), block)],
            )
        return media

    async def row(self, message: UUID) -> asyncpg.Record:
        row = await self.store.fetchrow("select * from messages where id = $1", message)
        assert row is not None
        return row

    async def ended(self, message: UUID, status: Status = Status.SENT) -> asyncpg.Record:
        """Waits until the message has this status and no dispatcher holds anything; its row."""
        row = await self.ended_row(message, status)
        await self.at_rest()
        return row

    async def ended_row(self, message: UUID, status: Status = Status.SENT) -> asyncpg.Record:
        """Waits until the message has this status, whatever else goes on; its row."""

        async def look() -> asyncpg.Record | None:
            row = await self.row(message)
            return row if row["status"] == status else None

        row = await eventually(look, f"status {status.value}")
        assert row is not None
        return row

    async def all_sent(self, messages: Iterable[UUID]) -> None:
        wanted = list(messages)

        async def look() -> bool:
            sent = "select count(*) from messages where id = any ($1) and status = 'sent'"
            return bool(await self.store.fetchval(sent, wanted) == len(wanted))

        await eventually(look, f"sending of {len(wanted)}", 60)
        await self.at_rest()

    async def attempts(self, message: UUID) -> list[tuple[int, str, str]]:
        """(number, account, verdict) of the attempts that ended."""
        devices = {self.endpoint(device): device for device in DEVICES}
        rows = await self.store.fetch("select * from attempts where message = $1 order by number", message)
        return [(row["number"], devices[row["endpoint"]], row["verdict"]) for row in rows]

    async def state(self, device: str) -> dict[str, str]:
        return dict(await self.queue.ask("HGETALL", self.queue.keys.state(self.endpoint(device))))

    async def breaker(self, device: str) -> str:
        return (await self.state(device)).get("breaker", "closed")

    async def rota(self) -> set[str]:
        """The accounts that have a slot in the rota."""
        slots = await self.queue.ask("ZRANGE", self.queue.keys.rota, 0, -1)
        assert sorted(slots) == sorted(await self.queue.ask("ZRANGE", self.queue.keys.rota_bulk, 0, -1))
        devices = {self.endpoint(device): device for device in DEVICES}
        return {devices[slot.rpartition("/")[0]] for slot in slots}

    async def parked(self) -> int:
        return int(await self.queue.redis.zcard(self.queue.keys.scheduled))

    async def in_hand(self) -> dict[str, int]:
        """What dispatchers hold: pending entries of each stream, slots, open attempts; without the zeros."""
        redis, prefix = self.queue.redis, self.queue.keys.prefix
        found = {"slots": int(await redis.zcard(self.queue.keys.busy))}
        found["attempts"] = int(await self.store.fetchval("select count(*) from open_attempts"))
        async for key in redis.scan_iter(prefix + "*", _type="stream"):
            groups = await redis.xinfo_groups(key)
            found[key.removeprefix(prefix)] = sum(int(group["pending"]) for group in groups)
        return {name: count for name, count in found.items() if count}

    async def waiting(self) -> int:
        """Entries in all streams."""
        redis = self.queue.redis
        keys = [key async for key in redis.scan_iter(self.queue.keys.prefix + "*", _type="stream")]
        return sum([int(await redis.xlen(key)) for key in keys])

    async def at_rest(self) -> None:
        """Waits until no dispatcher holds anything."""

        async def look() -> bool:
            return not await self.in_hand()

        try:
            await eventually(look, "rest")
        except AssertionError:
            raise AssertionError(f"still in hand: {await self.in_hand()}") from None

    async def nothing_left(self) -> None:
        """Nothing in any stream, nothing parked, nothing in hand."""
        await self.at_rest()
        assert (await self.waiting(), await self.parked()) == (0, 0)

    @asynccontextmanager
    async def promoting(self) -> AsyncIterator[None]:
        """Does what a scheduler does for parked entries, while the context is open."""

        async def go_on() -> None:
            while True:
                await promote(self.queue, 100, 0, 120_000)
                await asyncio.sleep(0.02)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            await end(task)
