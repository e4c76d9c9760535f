"""Writes each account's caps into Redis, where taking heeds them: they follow the rate profile and the account's age."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from services.scheduler.rate_in_force import RateInForce
from shared.database.connection import Database
from shared.database.endpoints import account_ages
from shared.database.rebuilding import sends_of_last_day
from shared.endpoints.caps import Caps, caps_of
from shared.queue.connection import QueueConnection
from shared.queue.rota import set_caps

log = structlog.get_logger()


async def caps_of_accounts(
    database: Database, rate: RateInForce, endpoints: Collection[str], reserve: float
) -> dict[str, Caps]:
    """The caps of each endpoint by now. Raises DatabaseUnavailable."""
    ages = await account_ages(database, sorted(endpoints))
    return {endpoint: caps_of(rate.profiles.of(endpoint), ages[endpoint], reserve) for endpoint in endpoints}


class AccountLimits:
    name = "account_limits"
    interval = 1.0

    def __init__(
        self,
        queue: QueueConnection,
        database: Database,
        rate: RateInForce,
        endpoints: Collection[str],
        reserve: float,
    ) -> None:
        """``reserve``: the share of each cap that campaigns leave to single sends, 0 to 1."""
        self._queue = queue
        self._database = database
        self._rate = rate
        self._endpoints = endpoints
        self._reserve = reserve
        self._written: dict[str, Caps] = {}

    async def step(self) -> None:
        for endpoint, caps in (
            await caps_of_accounts(self._database, self._rate, self._endpoints, self._reserve)
        ).items():
            lately: Sequence[int] = ()
            if caps != Caps() and self._written.get(endpoint, Caps()) == Caps():
                # Nobody has counted while there was no cap.
                lately = (await sends_of_last_day(self._database, [endpoint])).get(endpoint, [])
            if await set_caps(self._queue, endpoint, caps, lately):
                log.info("caps", endpoint=endpoint, hour=caps.hour, day=caps.day)
            self._written[endpoint] = caps
