"""Dispatchers as Redis knows them: who lives, and what becomes of those that are gone. Two schedulers may do it at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from shared.errors import QueueUnavailable
from shared.messages import Entry
from shared.queue.connection import QueueConnection
from shared.queue.keys import stream_of


async def beats(queue: QueueConnection) -> dict[str, int]:
    """Each dispatcher's last beat, ms since 1970 by the clock of Redis."""
    answer = await queue.ask("HGETALL", queue.keys.dispatchers)
    return {name: int(beat) for name, beat in dict(answer).items()}


async def reclaim(
    queue: QueueConnection, suffix: str, consumer: str = "", idle_ms: int = 0, limit: int = 100, crashed: bool = True
) -> list[Entry]:
    """Puts entries of a consumer (or, with '', those idle for so long) back into their stream and returns those that can be
    read."""
    lines = await queue.run(
        "reclaim", queue.keys.prefix, queue.group, suffix, consumer, idle_ms, limit, "1" if crashed else "0"
    )
    lane, _ = stream_of(suffix)
    entries = []
    for _, fields in lines:
        # One of a newer version is back in its stream like the others; whoever wrote it can say what it stands for.
        with suppress(KeyError, ValueError):
            entries.append(Entry.from_fields(dict(zip(fields[::2], fields[1::2], strict=True)), lane))
    return entries


async def unregister(
    queue: QueueConnection,
    dispatcher: str,
    beat: int | None,
    pause_ms: int,
    suffixes: Sequence[str],
    now_ms: int | None = None,
) -> str:
    """Gives back the slots of a dispatcher that is gone and deletes its consumers: 'OK', 'ALIVE' or 'PENDING'. With ``beat``
    None, for one that leaves by itself, also the entries that it could not read."""
    answer = await queue.run(
        "unregister",
        "" if now_ms is None else now_ms,
        queue.keys.prefix,
        queue.group,
        dispatcher,
        "" if beat is None else beat,
        pause_ms,
        *suffixes,
    )
    return str(answer[0])


async def consumers(queue: QueueConnection, suffix: str) -> list[str]:
    """Names of all consumers that a stream knows."""
    try:
        answer = await queue.ask("XINFO CONSUMERS", queue.keys.prefix + suffix, queue.group)
    except QueueUnavailable as error:
        if "no such key" in str(error.__cause__) or "NOGROUP" in str(error.__cause__):
            return []
        raise
    return [str(line["name"]) for line in answer]
