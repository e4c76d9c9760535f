"""What the tests of the scheduler's loops stand on: a queue, a database, rows in it, and a dispatcher played by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from services.scheduler.rate_in_force import RateInForce
from services.scheduler.redis_rebuild import RedisRebuild
from services.scheduler.settings import SchedulerSettings
from shared.database.attempts import AttemptResult, GateRequest, gate, settle
from shared.database.connection import Database
from shared.endpoints.identity import endpoints_of
from shared.endpoints.pacing import profile_of
from shared.messages import Entry, Lane, Status, Verdict, new_message_ids
from shared.queue.connection import QueueConnection
from shared.queue.taking import Assignment, Settlement, Taking

TEXT = {"message": "hello"}
PHONE = "15550100001@s.whatsapp.net"
LOCK_WAITERS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


class Stage:
    """``endpoints``: the ids, in the order of the settings."""

    def __init__(self, settings: SchedulerSettings, queue: QueueConnection, database: Database) -> None:
        self.settings = settings
        self.queue = queue
        self.database = database
        self.accounts = endpoints_of(settings)
        self.endpoints = list(self.accounts)
        self.rate = RateInForce(profile_of(settings))

    def rebuilder(self) -> RedisRebuild:
        return RedisRebuild(self.queue, self.database, self.rate, self.endpoints, self.settings.endpoint_concurrency)

    async def epoch(self) -> int:
        return int(await self.database.fetchval("select epoch from control"))

    # Rows.

    async def message(
        self,
        *,
        enqueued: bool = False,
        age: float = 0.0,
        lane: Lane = Lane.TRANSACTIONAL,
        on_unknown: str = "resend",
        endpoint: str | None = None,
        expires_in: float = 3600.0,
        content: dict[str, Any] | None = None,
        kind: str = "message",
        media: UUID | None = None,
    ) -> UUID:
        """A single send that was accepted ``age`` seconds ago; ``enqueued`` is only what the row says."""
        (message,) = new_message_ids()
        await self.database.execute(
            "insert into messages (id, lane, kind, phone, phone_key, content, on_unknown, chosen_endpoint, expires_at,"
            " media) values ($1, $2, $3, $4, $4, $5, $6, $7, clock_timestamp() + make_interval(secs => $8), $9)",
            message, lane.value, kind, PHONE, content or TEXT, on_unknown, endpoint, expires_in, media,
        )  # fmt: skip
        await self.database.execute(
            "insert into due (message, due_at, why, lane, enqueued_at) values"
            " ($1, clock_timestamp() - make_interval(secs => $2), 'send', $3,"
            " case when $4 then clock_timestamp() - make_interval(secs => $2) end)",
            message, age, lane.value, enqueued,
        )  # fmt: skip
        return message

    async def campaign(
        self,
        total: int,
        chunk_size: int = 500,
        *,
        status: str = "running",
        endpoint: str | None = None,
        expires_in: float = 3600.0,
        media: UUID | None = None,
        on_unknown: str = "hold",
        phones: Sequence[str] = (),
    ) -> tuple[UUID, list[UUID]]:
        token, ids = uuid4(), new_message_ids(total)
        await self.database.execute(
            "insert into campaigns (token, status, kind, lane, content, media, endpoint, on_unknown, total, first_id,"
            " last_id, expires_at) values ($1, $2, 'message', 'bulk', $3, $4, $5, $6, $7, $8, $9,"
            " clock_timestamp() + make_interval(secs => $10))",
            token, status, TEXT, media, endpoint, on_unknown, total, ids[0], ids[-1], expires_in,
        )  # fmt: skip
        await self.database.execute(
            "insert into messages (id, campaign, lane, kind, phone, phone_key, on_unknown)"
            " select id, $2, 'bulk', 'message', phone, phone, $4 from unnest($1::uuid[], $3::text[]) as m (id, phone)",
            ids, token, list(phones) or [PHONE] * total, on_unknown,
        )  # fmt: skip
        for number, start in enumerate(range(0, total, chunk_size)):
            part = ids[start : start + chunk_size]
            await self.database.execute(
                "insert into chunks (campaign, number, first_id, last_id, size) values ($1, $2, $3, $4, $5)",
                token, number, part[0], part[-1], len(part),
            )  # fmt: skip
        return token, ids

    async def status(self, message: UUID) -> str:
        return str(await self.database.fetchval("select status from messages where id = $1", message))

    async def statuses(self, campaign: UUID) -> dict[str, int]:
        rows = await self.database.fetch(
            "select status, count(*) from messages where campaign = $1 group by status", campaign
        )
        return {row["status"]: row["count"] for row in rows}

    async def chunk(self, campaign: UUID, number: int = 0) -> dict[str, Any]:
        row = await self.database.fetchrow("select * from chunks where campaign = $1 and number = $2", campaign, number)
        assert row is not None
        return dict(row)

    async def campaign_status(self, campaign: UUID) -> str:
        return str(await self.database.fetchval("select status from campaigns where token = $1", campaign))

    async def owned_media(self, owner: UUID | None, age: float = 0.0) -> UUID:
        media = uuid4()
        await self.database.execute(
            "insert into media (id, owner, filename, content_type, size, sha256, created_at) values"
            " ($1, $2, 'offer.png', 'image/png', 1, 'x', clock_timestamp() - make_interval(secs => $3))",
            media, owner, age,
        )  # fmt: skip
        await self.database.execute("insert into media_blocks values ($1, 0, 'x')", media)
        return media

    # What stands in Redis.

    async def entries(self, suffix: str) -> list[Entry]:
        lane = Lane(suffix.rpartition(":")[2])
        lines = await self.queue.ask("XRANGE", self.queue.keys.prefix + suffix, "-", "+")
        return [Entry.from_fields(dict(fields), lane) for _, fields in lines]

    async def waiting(self, suffix: str) -> list[UUID]:
        return [entry.message for entry in await self.entries(suffix)]

    async def age_stream(self, suffix: str, seconds: float) -> None:
        """Adds every entry of a stream again as if it had been there for so long."""
        key = self.queue.keys.prefix + suffix
        lines = await self.queue.ask("XRANGE", key, "-", "+")
        await self.queue.ask("XTRIM", key, "MAXLEN", 0)
        # Ids of a stream only grow, so the past needs a new stream.
        await self.queue.ask("DEL", key)
        await self.queue.ask("XGROUP", "CREATE", key, self.queue.group, "0", "MKSTREAM")
        past = round((time.time() - seconds) * 1000)
        for number, (_, fields) in enumerate(lines):
            flat = [part for pair in dict(fields).items() for part in pair]
            await self.queue.ask("XADD", key, f"{past}-{number}", *flat)

    # A dispatcher by hand.

    def taking(self, dispatcher: str = "dispatcher-1") -> Taking:
        return Taking(self.queue, dispatcher, self.endpoints, 60_000, self.settings, self.settings.endpoint_concurrency)

    async def begin(self, assignment: Assignment, seconds: int = 60) -> bool:
        request = GateRequest(
            message=assignment.entry.message,
            number=assignment.entry.attempt,
            token=assignment.token,
            endpoint=assignment.endpoint,
            slot=assignment.slot_number,
            seconds=seconds,
        )
        outcomes = await gate(self.database, assignment.epoch, "dispatcher-1", [request])
        return outcomes[request.token] == "passed"

    async def record(self, assignment: Assignment, verdict: Verdict, status: Status, **fields: Any) -> None:
        """The verdict into Postgres alone."""
        result = AttemptResult(
            message=assignment.entry.message,
            number=assignment.entry.attempt,
            token=assignment.token,
            endpoint=assignment.endpoint,
            dispatcher="dispatcher-1",
            verdict=verdict,
            status=status,
            **fields,
        )
        await settle(self.database, 0, [result])

    async def finish(self, assignment: Assignment, verdict: Verdict, status: Status, **fields: Any) -> None:
        """One attempt from the gate to its settlement, without a pause for the account."""
        assert await self.begin(assignment)
        await self.record(assignment, verdict, status, **fields)
        await self.taking().settle([Settlement(assignment, ready_ms=0)])


async def until(fact: Callable[[], Awaitable[Any]]) -> Any:
    """Asks until there is something; the test's own time limit ends it."""
    while not (found := await fact()):  # noqa: ASYNC110 - the fact lives in another process
        await asyncio.sleep(0.02)
    return found


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
