"""What a scheduler does with Redis: promote what is due, take back from the dead, put endpoints on trial, rebuild.

Every function is safe to run by two schedulers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.caps import Caps
from shared.errors import QueueUnavailable
from shared.messages import Entry, Lane
from shared.queue.connection import QueueConnection
from shared.queue.keys import stream_of, stream_suffix
from shared.queue.taking import BreakerChange


@dataclass(frozen=True, slots=True)
class Promoted:
    moved: int
    leases_ended: int
    wait_ms: int | None
    breakers: list[BreakerChange]


async def promote(
    queue: QueueConnection, limit: int, lease_pause_ms: int, open_timeout_ms: int, now_ms: int | None = None
) -> Promoted:
    """Moves parked entries that are due into their streams and slots whose lease ended back. Raises QueueUnavailable."""
    moved, ended, wait_ms, breakers = await queue.run(
        "promote", "" if now_ms is None else now_ms, queue.keys.prefix, limit, lease_pause_ms, open_timeout_ms
    )
    changes = [BreakerChange(*change) for change in breakers]
    return Promoted(int(moved), int(ended), int(wait_ms) if wait_ms >= 0 else None, changes)


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


async def forget(
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
        "forget",
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


async def readmit(
    queue: QueueConnection,
    endpoint: str,
    slots: int,
    to: BreakerState = BreakerState.HALF_OPEN,
    at_once: bool = False,
    now_ms: int | None = None,
) -> bool:
    """Puts an open endpoint on trial or back into service. Answers whether that changed it."""
    before = await queue.run(
        "readmit", "" if now_ms is None else now_ms, queue.keys.prefix, endpoint, slots, to, "1" if at_once else "0"
    )
    return bool(before)


async def drop_gone(
    queue: QueueConnection, endpoints: Sequence[str], slots: int, after_ms: int, now_ms: int | None = None
) -> list[str]:
    """Takes slots out of the rota that nobody has named for ``after_ms``; ``endpoints``, with ``slots`` each, are named by
    this. Answers the slots. Raises QueueUnavailable, RebuildNeeded."""
    now = "" if now_ms is None else now_ms
    answer = await queue.run("drop_gone", now, queue.keys.prefix, after_ms, slots, *endpoints)
    return [str(slot) for slot in answer[1:]]


WITHDRAWN_UNTIL = 4_102_444_800_000
"""``not_before`` of a withdrawn endpoint, ms since 1970: the year 2100."""


async def withdraw(queue: QueueConnection, endpoint: str, reason: str) -> bool:
    """Takes a suspended endpoint out of the rota until ``readmit`` with ``at_once``. Answers whether that changed it."""
    return bool(await queue.run("withdraw", "", queue.keys.prefix, endpoint, reason, WITHDRAWN_UNTIL))


async def distrust(
    queue: QueueConnection, endpoint: str, reason: str, trial_after_ms: int, now_ms: int | None = None
) -> bool:
    """Opens the breaker of an endpoint, if it is closed; answers whether it was. Raises QueueUnavailable."""
    now = "" if now_ms is None else now_ms
    return bool(await queue.run("distrust", now, queue.keys.prefix, endpoint, reason, trial_after_ms))


async def clock_ms(queue: QueueConnection) -> int:
    """Now by the clock of Redis, ms since 1970."""
    second, micro = await queue.ask("TIME")
    return int(second) * 1000 + int(micro) // 1000


async def rebind(queue: QueueConnection, endpoint: str, lane: Lane, limit: int = 500) -> int:
    """Moves entries that were bound to an endpoint, unless a caller chose it, to the lane. Returns how many."""
    return int(await queue.run("rebind", queue.keys.prefix, queue.group, endpoint, lane.value, limit))


async def endpoint_states(queue: QueueConnection, endpoints: Sequence[str]) -> dict[str, dict[str, str]]:
    """The state hash of each endpoint (breaker, since, not_before, reason ...), empty where there is none."""
    return {endpoint: dict(await queue.ask("HGETALL", queue.keys.state(endpoint))) for endpoint in endpoints}


@dataclass(frozen=True, slots=True)
class RebuiltState:
    """What Redis is given at a rebuild; times in ms since 1970. ``busy`` are slots whose attempt is open, with the end of
    their lease; ``owners`` their assignments' tokens (hex), so that a dispatcher that lives may still settle them."""

    slots: Mapping[str, tuple[int, int]]
    busy: Mapping[str, int]
    states: Mapping[str, Mapping[str, str]]
    profile: str = "{}"
    profile_version: str = "0"
    streams: Sequence[str] = field(default=tuple(stream_suffix(lane) for lane in Lane))
    owners: Mapping[str, str] = field(default_factory=dict)
    sends: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Per endpoint: a token each for what it sent in the last day, and when; for its caps."""


async def rebuild(queue: QueueConnection, epoch: int, state: RebuiltState) -> bool:
    """Makes Redis the one of ``epoch``. Answers False when it already is of that epoch or a later one."""
    text = orjson.dumps(
        {
            "slots": dict(state.slots),
            "busy": dict(state.busy),
            "owners": dict(state.owners),
            "sends": {key: dict(value) for key, value in state.sends.items()},
            "states": {key: dict(value) for key, value in state.states.items()},
            "profile": state.profile,
            "version": state.profile_version,
            "streams": list(state.streams),
        }
    ).decode()
    return bool(await queue.run("rebuild", queue.keys.prefix, queue.group, epoch, text))


async def epoch_is_current(queue: QueueConnection, epoch: int) -> bool:
    """Whether Redis was built for ``epoch`` and is still the server that it was built on."""
    number, run_id = await queue.ask("HMGET", queue.keys.epoch, "number", "run_id")
    server = await queue.ask("INFO", "server")
    return bool(number == str(epoch) and run_id == server["run_id"])


async def numbers_of_redis(queue: QueueConnection) -> tuple[int, int]:
    """The epoch that Redis was built for, and the highest beat number written to it; 0: none. Raises QueueUnavailable."""
    epoch, beat = await queue.ask("HMGET", queue.keys.epoch, "number", "beat")
    return int(epoch or 0), int(beat or 0)


async def mark_beat(queue: QueueConnection, number: int) -> bool:
    """Writes a beat number that is committed in Postgres. False: Redis has this very number from another Postgres. Raises
    QueueUnavailable."""
    return bool(await queue.run("mark_beat", number))


async def limit(
    queue: QueueConnection, endpoint: str, caps: Caps, sent_ago_ms: Sequence[int] = (), now_ms: int | None = None
) -> bool:
    """Sets the caps of an endpoint; answers whether that changed anything. ``sent_ago_ms``: what it sent in the last day,
    heeded where it had no cap before. Raises QueueUnavailable."""
    changed = await queue.run(
        "limit",
        "" if now_ms is None else now_ms,
        queue.keys.prefix,
        endpoint,
        caps.hour,
        caps.day,
        caps.bulk_hour,
        caps.bulk_day,
        orjson.dumps(list(sent_ago_ms)).decode(),
    )
    return bool(changed)


async def publish_profile(queue: QueueConnection, profile: str, version: str) -> None:
    """Copies the rate profile (JSON) for the dispatchers, which see the new version at their next take."""
    await queue.ask("HSET", queue.keys.control, "version", version, "profile", profile)
    with suppress(QueueUnavailable):
        # It is written; a dispatcher that is not woken looks within a second.
        await queue.ask("PUBLISH", queue.keys.wake, "1")


async def published_profile(queue: QueueConnection) -> tuple[str, str]:
    """(version, JSON of the rate profile) as the dispatchers see it."""
    version, profile = await queue.ask("HMGET", queue.keys.control, "version", "profile")
    return str(version or "0"), str(profile or "{}")
