"""Asks each account whether it can send, before a message finds out.

An account that says twice in a row that it is logged out, offline or not there gets its breaker opened; the scheduler puts it
on trial once it says otherwise. A sender that cannot be reached by the monitor proves nothing about the dispatchers' way to it:
that is told, and left to their sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import structlog
from prometheus_client import Counter

from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.gowa import AccountState, account_state
from shared.endpoints.identity import Endpoint
from shared.errors import StoreUnavailable
from shared.queue.connection import QueueConnection
from shared.queue.rota import open_breaker

log = structlog.get_logger()
_opened = Counter("paceline_breakers_opened_by_probe_total", "Breakers opened since the account said it cannot send")
_AT_ONCE = 4
"""Accounts asked at the same time."""
_LOOKS = 2
"""In a row, that open a breaker: a reconnect takes a moment and is no reason."""
_TRIAL_AFTER_MS = 5_000
"""The scheduler asks the account itself before it begins a trial."""
_WORDS = {
    AccountState.LOGGED_OUT: "the account is logged out",
    AccountState.OFFLINE: "the account is offline",
    AccountState.NO_DEVICE: "the sender has no such device",
}


class AccountProbe:
    """``states`` is filled with what each account last said."""

    def __init__(
        self,
        queue: QueueConnection,
        session: aiohttp.ClientSession,
        endpoints: Mapping[str, Endpoint],
        states: dict[str, AccountState],
    ) -> None:
        self._queue = queue
        self._session = session
        self._endpoints = endpoints
        self._in_a_row: dict[str, int] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._states = states

    async def step(self) -> None:
        await asyncio.gather(*(self._look(endpoint) for endpoint in self._endpoints.values()))

    async def _look(self, endpoint: Endpoint) -> None:
        async with self._places:
            account = await account_state(self._session, endpoint)
        before = self._states.get(endpoint.id)
        self._states[endpoint.id] = account
        if account is not before and (before is not None or account is not AccountState.USABLE):
            tell = log.info if account is AccountState.USABLE else log.warning
            tell("account", endpoint=endpoint.id, account=account.value, before=before.value if before else None)
        if account not in _WORDS:
            self._in_a_row[endpoint.id] = 0
            return
        self._in_a_row[endpoint.id] = self._in_a_row.get(endpoint.id, 0) + 1
        if self._in_a_row[endpoint.id] >= _LOOKS:
            await self._open(endpoint.id, _WORDS[account])

    async def _open(self, identity: str, reason: str) -> None:
        try:
            if await open_breaker(self._queue, identity, reason, _TRIAL_AFTER_MS):
                _opened.inc()
                log.warning(
                    "breaker",
                    endpoint=identity,
                    before=BreakerState.CLOSED,
                    after=BreakerState.OPEN,
                    reason=reason,
                )
        except StoreUnavailable as error:
            # At the next look; without Redis nothing is sent anyway.
            log.warning("breaker not opened", endpoint=identity, reason=str(error))
