"""Putting entries into Redis. May be repeated at will: an entry that is there twice meets the fence in Postgres."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from msgspec import Struct

from shared.messages import Entry
from shared.queue.connection import QueueConnection


class Placement(Struct, frozen=True):
    """An entry and when it may be taken: milliseconds since 1970 by the clock of Redis, 0 = now."""

    entry: Entry
    due_ms: int = 0


async def enqueue(queue: QueueConnection, placements: Sequence[Placement], epoch: int | None = None) -> int:
    """Adds the entries in one step and returns how many. Raises QueueUnavailable; RebuildNeeded when ``epoch`` is given
    and Redis has another one."""
    lines = [
        {"lane": place.entry.lane.value, "fields": place.entry.fields(), "due": place.due_ms} for place in placements
    ]
    answer = await queue.run("enqueue", queue.keys.prefix, "" if epoch is None else epoch, orjson.dumps(lines))
    return int(answer[1])
