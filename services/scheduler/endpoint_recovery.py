"""Endpoints that are out of the rota come back when their account can send again; meanwhile what was bound to them goes
to others. Suspended ones stay out until an operator resumes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import aiohttp
import structlog
from prometheus_client import Counter

from shared.database.connection import Database
from shared.database.rebuilding import suspended_endpoints
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.gowa import AccountState, account_state
from shared.endpoints.identity import Endpoint
from shared.messages import Lane
from shared.queue.connection import QueueConnection, clock_ms
from shared.queue.rota import WITHDRAWN_UNTIL, endpoint_states, readmit, withdraw
from shared.queue.streams import bound_endpoints, rebind

log = structlog.get_logger()
_readmitted = Counter("paceline_endpoints_readmitted_total", "Endpoints put on trial or back into service")
_rebound = Counter("paceline_entries_rebound_total", "Entries taken from endpoints that cannot send")
_REBIND_AFTER_MS = 30_000
"""An endpoint that is out for less keeps the recipients that it last talked to."""
_ASK_INTERVAL = 5.0
"""Seconds between two questions to an account that is not usable yet."""


class EndpointRecovery:
    name = "endpoint_recovery"
    interval = 1.0

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        session: aiohttp.ClientSession,
        endpoints: Mapping[str, Endpoint],
        slots: int,
        breaker_enabled: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``slots``: of each endpoint."""
        self._queue = queue
        self._database = database
        self._session = session
        self._endpoints = endpoints
        self._slots = slots
        self._trial = BreakerState.HALF_OPEN if breaker_enabled else BreakerState.CLOSED
        self._clock = clock
        self._asked_at: dict[str, float] = {}
        self._account: dict[str, AccountState] = {}

    async def step(self) -> None:
        suspended = await suspended_endpoints(self._database)
        for identity in suspended.keys() & self._endpoints.keys():
            if await withdraw(self._queue, identity, f"suspended: {suspended[identity]}".rstrip(": ")):
                log.info("endpoint suspended", endpoint=identity, reason=suspended[identity])
        now = await clock_ms(self._queue)
        states = await endpoint_states(self._queue, list(self._endpoints))
        opened = {identity: state for identity, state in states.items() if state.get("breaker") == BreakerState.OPEN}
        waits_over = [
            identity
            for identity, state in opened.items()
            if identity not in suspended and (_is_withdrawn(state) or int(state.get("not_before", 0)) <= now)
        ]
        await asyncio.gather(*(self._readmit(identity, opened[identity]) for identity in waits_over))
        out = {
            identity
            for identity, state in opened.items()
            if identity in suspended or now - int(state.get("since", now)) > _REBIND_AFTER_MS
        }
        await self._rebind(out)

    async def _readmit(self, identity: str, state: dict[str, str]) -> None:
        if self._clock() - self._asked_at.get(identity, float("-inf")) < _ASK_INTERVAL:
            return
        self._asked_at[identity] = self._clock()
        account = await account_state(self._session, self._endpoints[identity])
        if account is not AccountState.USABLE:
            if self._account.get(identity) is not account:
                log.warning("account cannot send", endpoint=identity, account=account.value)
            self._account[identity] = account
            return
        self._account.pop(identity, None)
        if await readmit(self._queue, identity, self._slots, self._trial, at_once=_is_withdrawn(state)):
            _readmitted.inc()
            log.info("endpoint readmitted", endpoint=identity, breaker=self._trial)

    async def _rebind(self, out: set[str]) -> None:
        """Entries of endpoints that are out, or that the settings do not name any more, go to the lanes."""
        bound = await bound_endpoints(self._queue)
        for identity in sorted(bound & (out | (bound - self._endpoints.keys()))):
            moved = sum([await rebind(self._queue, identity, lane) for lane in Lane])
            if moved:
                _rebound.inc(moved)
                log.info("entries rebound", endpoint=identity, entries=moved)


def _is_withdrawn(state: Mapping[str, str]) -> bool:
    return int(state.get("not_before", 0)) >= WITHDRAWN_UNTIL
