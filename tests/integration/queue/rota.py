"""A Redis built for epoch 1 with given endpoints, and what stands in it; all at a time that the test chooses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from shared.messages import Entry, Lane, new_message_ids
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.rebuild import RebuiltState, rebuild
from shared.queue.taking import Assignment, Settlement, Taking
from shared.settings import BreakerSettings

NOW = 1_800_000_000_000
"""Milliseconds since 1970; a number of 13 digits, as all times in Redis are."""
LEASE = 60_000
TRIAL = 30_000
OPEN_TIMEOUT = 120_000
BREAKER = BreakerSettings(
    circuit_breaker_failure_threshold=3,
    circuit_breaker_success_threshold=2,
    circuit_breaker_open_timeout=timedelta(milliseconds=OPEN_TIMEOUT),
    circuit_breaker_half_open_timeout=timedelta(milliseconds=TRIAL),
)


async def build(
    queue: QueueConnection,
    slots: Mapping[str, tuple[int, int]] | Iterable[str],
    *,
    states: Mapping[str, Mapping[str, str]] | None = None,
    busy: Mapping[str, int] | None = None,
    epoch: int = 1,
) -> None:
    """`slots`: name -> when it may send a text and a campaign's message; names alone are ready."""
    times = dict(slots) if isinstance(slots, Mapping) else dict.fromkeys(slots, (NOW - 1000, NOW - 1000))
    assert await rebuild(queue, epoch, RebuiltState(times, busy or {}, states or {}))


def dispatcher(
    queue: QueueConnection,
    *known: str,
    name: str = "dispatcher-1",
    breaker: BreakerSettings = BREAKER,
    slots: int = 1,
) -> Taking:
    return Taking(queue, name, known, LEASE, breaker, slots)


def entry(lane: Lane = Lane.TRANSACTIONAL, *, endpoint: str = "", chosen: bool = False, attempt: int = 1) -> Entry:
    return Entry(new_message_ids()[0], attempt, lane, endpoint=endpoint, chosen=chosen)


async def put(queue: QueueConnection, *entries: Entry) -> None:
    await enqueue(queue, [Placement(one) for one in entries])


async def take(taking: Taking, wanted: int = 10, now: int = NOW) -> list[Assignment]:
    return (await taking.take(wanted, now)).assignments


async def take_one(taking: Taking, now: int = NOW) -> Assignment:
    [assignment] = await take(taking, 1, now)
    return assignment


def done(assignment: Assignment, ready_ms: int = 0, **options: object) -> Settlement:
    """A settlement of a send that worked, unless `options` say otherwise."""
    options.setdefault("outcome", "ok")
    options.setdefault("verdict", "sent")
    return Settlement(assignment, ready_ms=ready_ms, **options)  # type: ignore[arg-type]


def client(queue: QueueConnection) -> Any:
    """Its client, whose declared answers are those of every protocol and decoding at once."""
    return queue.redis


async def rota(queue: QueueConnection) -> dict[str, tuple[int, int]]:
    """Slot -> (ready for a text, ready for a campaign)."""
    texts = dict(await client(queue).zrange(queue.keys.rota, 0, -1, withscores=True))
    bulk = dict(await client(queue).zrange(queue.keys.rota_bulk, 0, -1, withscores=True))
    assert texts.keys() == bulk.keys(), "the two rotas have different members"
    return {slot: (int(texts[slot]), int(bulk[slot])) for slot in texts}


async def busy(queue: QueueConnection) -> dict[str, int]:
    """Slot -> end of its lease."""
    leases = dict(await client(queue).zrange(queue.keys.busy, 0, -1, withscores=True))
    owners = await client(queue).hgetall(queue.keys.busy_owners)
    assert leases.keys() == owners.keys(), "a busy slot without an owner, or the other way round"
    return {slot: int(lease) for slot, lease in leases.items()}


async def state(queue: QueueConnection, endpoint: str) -> dict[str, str]:
    return dict(await client(queue).hgetall(queue.keys.state(endpoint)))


async def entries_in(queue: QueueConnection, suffix: str) -> list[Entry]:
    lane = Lane.BULK if suffix.endswith(":bulk") else Lane.TRANSACTIONAL
    lines = await client(queue).xrange(queue.keys.prefix + suffix)
    return [Entry.from_fields(fields, lane) for _, fields in lines]


async def pending(queue: QueueConnection, suffix: str) -> int:
    """How many entries of a stream are in somebody's hand."""
    return int((await client(queue).xpending(queue.keys.prefix + suffix, queue.group))["pending"])


async def parked(queue: QueueConnection) -> list[int]:
    """When the parked entries are due."""
    return [int(score) for _, score in await client(queue).zrange(queue.keys.scheduled, 0, -1, withscores=True)]
