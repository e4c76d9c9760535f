"""Writes each account's caps into Redis, where taking heeds them: they follow the rate profile and the account's age."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from services.scheduler.rate_in_force import RateInForce
from shared.database.accounts import account_ages
from shared.database.connection import Database
from shared.endpoints.caps import Caps, caps_of
from shared.queue.connection import QueueConnection
from shared.queue.upkeep import limit

log = structlog.get_logger()


async def caps_of_accounts(
    database: Database, rate: RateInForce, endpoints: Collection[str], reserve: float
) -> dict[str, Caps]:
    """The caps of each endpoint by now. Raises DatabaseUnavailable."""
    ages = await account_ages(database, sorted(endpoints))
    return {endpoint: caps_of(rate.profile, ages[endpoint], reserve) for endpoint in endpoints}


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

    async def step(self) -> None:
        for endpoint, caps in (
            await caps_of_accounts(self._database, self._rate, self._endpoints, self._reserve)
        ).items():
            if await limit(self._queue, endpoint, caps):
                log.info("caps", endpoint=endpoint, hour=caps.hour, day=caps.day)
