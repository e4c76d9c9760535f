"""What stands in Redis, in numbers, for whoever watches: one script, one moment, nothing changed. And the end of old ones.

Counters are those of ``settle.lua``: attempts by verdict, since Redis was last rebuilt. Times are ms since 1970 by the
clock of Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.endpoints.breaker_state import BreakerState
from shared.messages import Lane, Verdict
from shared.queue.connection import QueueConnection
from shared.queue.keys import stream_of

SERIES_MINUTES = 60
_KEPT_MINUTES = 120
"""The series, and as much again for whoever looks at Redis itself."""
_FIELDS = 1000
"""Of a hash, dropped in one command: it takes less than a millisecond."""
_COUNTERS = tuple(verdict.value for verdict in Verdict)


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """``endpoint`` '' is the lane's shared stream. ``pending``: entries in a dispatcher's hand; ``oldest_waiting_ms``: when
    the oldest of the others was added."""

    lane: Lane
    endpoint: str
    length: int
    pending: int
    oldest_waiting_ms: int | None


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """``state`` and ``counters`` as they stand in Redis. ``ready_at_ms``: when a slot may send a text, None: none may until
    one is given back or the breaker closes; ``bulk_ready_at_ms`` the same for a campaign's message."""

    id: str
    state: dict[str, str]
    counters: dict[str, str]
    slots_used: int
    slots_free: int
    ready_at_ms: int | None
    bulk_ready_at_ms: int | None

    def count(self, name: str) -> int:
        return int(self.counters.get(name, "0"))

    @property
    def breaker(self) -> BreakerState:
        return BreakerState(self.state.get("breaker") or BreakerState.CLOSED)


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """``epoch`` None: Redis holds none. ``same_server``: it is still the server that was built for that epoch. ``series``:
    attempts by verdict for each of the last minutes, oldest first, the present one last."""

    now_ms: int
    epoch: int | None
    same_server: bool
    streams: list[StreamFigures]
    parked: int
    first_parked_due_ms: int | None
    beats: dict[str, int]
    totals: dict[str, str]
    series: dict[Verdict, list[int]]
    endpoints: dict[str, EndpointFigures]

    def total(self, name: str) -> int:
        return int(self.totals.get(name, "0"))

    def lane(self, lane: Lane) -> StreamFigures:
        """The lane as a whole: its shared stream and what is bound to endpoints."""
        streams = [stream for stream in self.streams if stream.lane is lane]
        waiting = [stream.oldest_waiting_ms for stream in streams if stream.oldest_waiting_ms is not None]
        return StreamFigures(
            lane,
            "",
            sum(stream.length for stream in streams),
            sum(stream.pending for stream in streams),
            min(waiting, default=None),
        )


async def queue_figures(
    queue: QueueConnection, endpoints: Sequence[str], minutes: int = SERIES_MINUTES, now_ms: int | None = None
) -> QueueFigures:
    """The figures of now, with those of the endpoints asked for. Raises QueueUnavailable."""
    now, epoch, same, streams, parked, beats, totals, series, states = await queue.run(
        "figures",
        "" if now_ms is None else now_ms,
        queue.keys.prefix,
        queue.group,
        minutes,
        ",".join(_COUNTERS),
        *endpoints,
    )
    first_due = round(float(parked[1]))
    return QueueFigures(
        now_ms=int(now),
        epoch=int(epoch) if epoch else None,
        same_server=bool(same),
        streams=[_stream(*line) for line in streams],
        parked=int(parked[0]),
        first_parked_due_ms=first_due if first_due >= 0 else None,
        beats={name: int(beat) for name, beat in _pairs(beats).items()},
        totals=_pairs(totals),
        series={Verdict(name): [int(line[index]) for line in series] for index, name in enumerate(_COUNTERS)},
        endpoints={line[0]: _endpoint(*line) for line in states},
    )


async def drop_old_minutes(queue: QueueConnection, now_ms: int) -> None:
    """Drops the minutes that the series has no use for any more. Raises QueueUnavailable."""
    oldest = now_ms // 60_000 - _KEPT_MINUTES
    names = await queue.ask("HKEYS", queue.keys.minutes)
    old = [name for name in names if int(str(name).partition(":")[0]) < oldest]
    for start in range(0, len(old), _FIELDS):
        await queue.ask("HDEL", queue.keys.minutes, *old[start : start + _FIELDS])


def _pairs(flat: Any) -> dict[str, str]:
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


def _stream(suffix: str, length: int, pending: int, oldest: int) -> StreamFigures:
    lane, endpoint = stream_of(suffix)
    return StreamFigures(
        lane=lane,
        endpoint=endpoint,
        length=int(length),
        pending=int(pending),
        oldest_waiting_ms=int(oldest) if oldest >= 0 else None,
    )


def _endpoint(
    identity: str, state: Any, counters: Any, used: int, free: int, text_at: int, bulk_at: int
) -> EndpointFigures:
    return EndpointFigures(
        id=identity,
        state=_pairs(state),
        counters=_pairs(counters),
        slots_used=int(used),
        slots_free=int(free),
        ready_at_ms=int(text_at) if text_at >= 0 else None,
        bulk_ready_at_ms=int(bulk_at) if bulk_at >= 0 else None,
    )
