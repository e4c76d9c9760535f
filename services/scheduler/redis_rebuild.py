"""Rebuilds Redis from Postgres when it was lost, emptied or replaced by an older copy, and at the very first start.

Raising the epoch voids every assignment made before and marks all waiting work as not enqueued; the other loops put it
back. Here only the rota is made: what is in flight, when each account may send next, who is suspended.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import structlog
from prometheus_client import Counter

from services.scheduler.account_history import burst_limit, pause_by_history
from services.scheduler.account_limits import caps_of_accounts
from services.scheduler.rate_in_force import RateInForce
from shared.database.connection import Database
from shared.database.rate_profile import published_form
from shared.database.rebuilding import (
    Control,
    begin_rebuild,
    end_rebuild,
    read_control,
    recent_attempts,
    sends_of_last_day,
    slots_in_use,
    suspended_endpoints,
)
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.caps import Caps
from shared.queue.connection import QueueConnection, clock_ms
from shared.queue.profile_copy import publish_profile, published_profile
from shared.queue.rebuild import RebuiltState, epoch_is_current, numbers_of_redis, rebuild
from shared.queue.rota import WITHDRAWN_UNTIL

log = structlog.get_logger()
_rebuilds = Counter("paceline_redis_rebuilds_total", "Times that Redis was rebuilt from Postgres")
_OTHERS_WAIT = 0.2
_GENERATIONS = 1_000_000
"""Breaker generations of one epoch, so that an answer from before a rebuild never counts after it."""


class RedisRebuild:
    name = "redis_rebuild"
    interval = 1.0

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        rate: RateInForce,
        endpoints: Collection[str],
        slots: int,
        reserve: float = 0.0,
    ) -> None:
        """``slots``: of each endpoint. ``reserve``: see AccountLimits."""
        self._queue = queue
        self._database = database
        self._rate = rate
        self._endpoints = sorted(endpoints)
        self._slots = slots
        self._reserve = reserve

    async def step(self) -> float | None:
        """Answers a short wait while another scheduler rebuilds."""
        control = await read_control(self._database)
        self._rate.apply(control.rate_profile)
        if await epoch_is_current(self._queue, control.epoch):
            if control.unfinished:
                # Its scheduler died after the last step in Redis. Nothing is enqueued before this.
                await end_rebuild(self._database, control.epoch)
            await self._publish(control)
            return None
        if (await numbers_of_redis(self._queue))[0] > control.epoch:
            # Postgres went back, or has just been raised by another scheduler. Raised here until it is what Redis has, it
            # would look current, and all that was sent since would be sent again. See postgres_beat.
            return _OTHERS_WAIT
        if control.rebuilding:
            # Nor begin one right after it: Redis was looked at while it was not done.
            return _OTHERS_WAIT
        epoch = await begin_rebuild(self._database, control.epoch)
        if epoch is None:
            return _OTHERS_WAIT
        begun = time.monotonic()
        try:
            state = await self._state(control, epoch)
            built = await rebuild(self._queue, epoch, state)
        finally:
            # Also after a failure: the next attempt need not wait until this one's lease is over.
            await end_rebuild(self._database, epoch)
        if built:
            _rebuilds.inc()
            log.warning("redis rebuilt", epoch=epoch, slots=len(state.slots), busy=len(state.busy), ms=_ms_since(begun))
        else:
            log.error("redis is ahead of postgres", epoch=epoch)
        return None

    async def _publish(self, control: Control) -> None:
        """Mends the copy of the rate profile, in case whoever changed it could not reach Redis."""
        text, version = published_form(control.rate_profile)
        if await published_profile(self._queue) != (version, text):
            await publish_profile(self._queue, text, version)

    def _most_of_history(self) -> int:
        """Attempts of an account that its next pause may depend on."""
        return max(1, *(burst_limit(self._rate.profiles.of(endpoint)) for endpoint in self._endpoints))

    async def _state(self, control: Control, epoch: int) -> RebuiltState:
        in_use = await slots_in_use(self._database, self._endpoints)
        caps = await caps_of_accounts(self._database, self._rate, self._endpoints, self._reserve)
        capped = [endpoint for endpoint in self._endpoints if caps[endpoint] != Caps()]
        lately = await sends_of_last_day(self._database, capped)
        history = await recent_attempts(self._database, self._endpoints, self._most_of_history())
        suspended = await suspended_endpoints(self._database)
        text, version = published_form(control.rate_profile)
        now = await clock_ms(self._queue)
        slots: dict[str, tuple[int, int]] = {}
        busy: dict[str, int] = {}
        owners: dict[str, str] = {}
        sends: dict[str, dict[str, int]] = {}
        states: dict[str, dict[str, str]] = {}
        for endpoint in self._endpoints:
            profile = self._rate.profiles.of(endpoint)
            # An attempt under way is the account's latest, whatever it comes to.
            under_way = in_use.get(endpoint, {})
            pause = pause_by_history(
                profile, [0, *history.get(endpoint, [])] if under_way else history.get(endpoint, [])
            )
            ready, bulk_ready = now + pause.ready_ms, now + pause.bulk_ready_ms
            states[endpoint] = {
                "breaker": BreakerState.CLOSED.value,
                "generation": str(epoch * _GENERATIONS),
                "since": str(now),
                "since_break": str(pause.since_break),
                **caps[endpoint].fields(),
            }
            if endpoint in capped:
                sends[endpoint] = {f"rebuilt-{index}": now - age for index, age in enumerate(lately.get(endpoint, []))}
                sends[endpoint] |= {use.token: now for use in under_way.values()}
            for number in range(self._slots):
                slot = f"{endpoint}/{number}"
                if number in under_way:
                    busy[slot] = now + under_way[number].left_ms
                    owners[slot] = under_way[number].token
                elif endpoint not in suspended:
                    slots[slot] = (ready, bulk_ready)
            if endpoint in suspended:
                states[endpoint] |= {
                    "breaker": BreakerState.OPEN.value,
                    "reason": f"suspended: {suspended[endpoint]}".rstrip(": "),
                    "not_before": str(WITHDRAWN_UNTIL),
                    "ready_at": str(ready),
                    "bulk_ready_at": str(bulk_ready),
                }
        return RebuiltState(
            slots=slots,
            busy=busy,
            states=states,
            profile=text,
            profile_version=version,
            owners=owners,
            sends=sends,
        )


def _ms_since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
