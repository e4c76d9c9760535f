"""Who is in the rota and under which caps: out when it cannot send or is suspended, back on trial. Each step may be done by
two services at once."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.caps import Caps
from shared.queue.connection import QueueConnection

WITHDRAWN_UNTIL = 4_102_444_800_000
"""``not_before`` of a withdrawn endpoint, ms since 1970: the year 2100."""


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


async def withdraw(queue: QueueConnection, endpoint: str, reason: str) -> bool:
    """Takes a suspended endpoint out of the rota until ``readmit`` with ``at_once``. Answers whether that changed it."""
    return bool(await queue.run("withdraw", "", queue.keys.prefix, endpoint, reason, WITHDRAWN_UNTIL))


async def open_breaker(
    queue: QueueConnection, endpoint: str, reason: str, trial_after_ms: int, now_ms: int | None = None
) -> bool:
    """Opens the breaker of an endpoint, if it is closed; answers whether it was. Raises QueueUnavailable."""
    now = "" if now_ms is None else now_ms
    return bool(await queue.run("open_breaker", now, queue.keys.prefix, endpoint, reason, trial_after_ms))


async def drop_gone(
    queue: QueueConnection, endpoints: Sequence[str], slots: int, after_ms: int, now_ms: int | None = None
) -> list[str]:
    """Takes slots out of the rota that nobody has named for ``after_ms``; ``endpoints``, with ``slots`` each, are named by
    this. Answers the slots. Raises QueueUnavailable, RebuildNeeded."""
    now = "" if now_ms is None else now_ms
    answer = await queue.run("drop_gone", now, queue.keys.prefix, after_ms, slots, *endpoints)
    return [str(slot) for slot in answer[1:]]


async def set_caps(
    queue: QueueConnection, endpoint: str, caps: Caps, sent_ago_ms: Sequence[int] = (), now_ms: int | None = None
) -> bool:
    """Sets the caps of an endpoint; answers whether that changed anything. ``sent_ago_ms``: what it sent in the last day,
    heeded where it had no cap before. Raises QueueUnavailable."""
    changed = await queue.run(
        "set_caps",
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


async def endpoint_states(queue: QueueConnection, endpoints: Sequence[str]) -> dict[str, dict[str, str]]:
    """The state hash of each endpoint (breaker, since, not_before, reason ...), empty where there is none."""
    return {endpoint: dict(await queue.ask("HGETALL", queue.keys.state(endpoint))) for endpoint in endpoints}
