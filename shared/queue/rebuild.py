"""Making Redis anew from what Postgres has, and telling whether that is needed. Two schedulers may do it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.keys import stream_suffix


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
