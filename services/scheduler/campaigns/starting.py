"""Campaigns that were accepted for later run when their time has come."""

from __future__ import annotations

import structlog

from shared.database.campaigns import start_campaigns
from shared.database.connection import Database

log = structlog.get_logger()
_BATCH = 100


class Starting:
    name = "starting"
    interval = 1.0

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> None:
        for campaign in await start_campaigns(self._database, _BATCH):
            log.info("campaign started", campaign=str(campaign))
