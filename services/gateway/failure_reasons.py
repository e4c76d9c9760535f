"""The commonest reasons of a campaign's failures, remembered: finding them reads every message of the campaign.

A dashboard asks each second, and a million messages take a second to read. So an answer is kept while no further message
has failed, and, while the campaign goes on, for a time that grows with what it took; the reasons of a campaign that is over, or
quick to read, are always those of its counts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from shared.database.campaigns import failure_reasons
from shared.database.connection import Database
from shared.database.messages import Row

_SHOWN = 10
_KEPT = 200  # campaigns
_LONGEST = 60.0  # seconds that an answer is kept while further messages fail
_SHARE = 20  # of the time at most one part in so many is spent reading
_QUICK = 0.05  # seconds; 20,000 messages or so
_OVER = ("finished", "canceled")


@dataclass
class _Remembered:
    failed: int = 0
    until: float = 0.0
    reasons: list[tuple[str, int]] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class FailureReasons:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: OrderedDict[UUID, _Remembered] = OrderedDict()

    async def of(self, campaign: Row) -> list[tuple[str, int]]:
        """(reason, messages) for a campaign's row with its counts, the commonest first. Raises DatabaseUnavailable."""
        failed = int(campaign["failed"])
        if not failed:
            return []
        loop = asyncio.get_running_loop()
        known = self._remembered.setdefault(campaign["token"], _Remembered())
        self._remembered.move_to_end(campaign["token"])
        while len(self._remembered) > _KEPT:
            self._remembered.popitem(last=False)
        async with known.lock:
            may_read = loop.time() >= known.until or campaign["status"] in _OVER
            if known.failed != failed and may_read:
                began = loop.time()
                known.reasons = await failure_reasons(self._database, campaign, _SHOWN)
                known.failed = failed
                taken = loop.time() - began
                known.until = loop.time() + (min(taken * _SHARE, _LONGEST) if taken > _QUICK else 0.0)
        return known.reasons
