"""The streams: which there are, how long, how old, and how entries move from one to another.

``suffix`` is a stream's name as scripts have it, made by ``keys.stream_suffix``.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.keys import stream_suffix


class OldestEntry(Struct, frozen=True):
    """The first of a stream that is not empty. ``endpoint`` '' is the lane's shared stream; ``added_ms``: ms since 1970;
    ``chosen``: its caller chose the endpoint."""

    lane: Lane
    endpoint: str
    added_ms: int
    chosen: bool


async def bound_endpoints(queue: QueueConnection) -> set[str]:
    """Endpoints that may have entries of their own. Raises QueueUnavailable."""
    return {str(endpoint) for endpoint in await queue.ask("SMEMBERS", queue.keys.bound)}


async def stream_suffixes(queue: QueueConnection, endpoints: Sequence[str] = ()) -> list[str]:
    """The suffixes of all streams that may have entries: both lanes and the bound ones. Raises QueueUnavailable."""
    bound = await bound_endpoints(queue) | set(endpoints)
    return [stream_suffix(lane, endpoint) for endpoint in ("", *sorted(bound)) for lane in Lane]


async def stream_length(queue: QueueConnection, lane: Lane, endpoint: str = "") -> int:
    """How many entries a stream holds, those in a dispatcher's hand included. Raises QueueUnavailable."""
    return int(await queue.ask("XLEN", queue.keys.lane(lane, endpoint)))


async def parked_entries(queue: QueueConnection) -> int:
    """How many entries wait for their time, in no stream. Raises QueueUnavailable."""
    return int(await queue.ask("ZCARD", queue.keys.scheduled))


async def oldest_entries(queue: QueueConnection) -> list[OldestEntry]:
    """The oldest entry of each stream that has one. Raises QueueUnavailable."""
    found = []
    endpoints = ["", *sorted(await bound_endpoints(queue))]
    for lane, endpoint in ((lane, endpoint) for endpoint in endpoints for lane in Lane):
        head = await queue.ask("XRANGE", queue.keys.lane(lane, endpoint), "-", "+", "COUNT", 1)
        for identity, fields in head:
            found.append(OldestEntry(lane, endpoint, int(str(identity).partition("-")[0]), "chosen" in fields))
    return found


async def rebind(queue: QueueConnection, endpoint: str, lane: Lane, limit: int = 500) -> int:
    """Moves entries that were bound to an endpoint, unless a caller chose it, to the lane. Returns how many."""
    return int(await queue.run("rebind", queue.keys.prefix, queue.group, endpoint, lane.value, limit))
