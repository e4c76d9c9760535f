"""Receipts: recorded as they come, joined to their messages, and what they say about an account.

Recording inserts first and joins then, so a receipt may be there before the answer to the send that it is about; settling
joins those (``settle_and_join``), and whoever runs at the very same moment leaves the pair to ``join_leftovers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.database.connection import Database, load_statements
from shared.messages import Receipt

_SQL = load_statements("receipts")
_BATCH = 500  # ids joined at a time, since their rows stay locked meanwhile; webhooks have few
_SAMPLE = 500  # messages of an account that are looked at for its share of undelivered ones; 5 ms


async def record_receipts(
    database: Database, shard: int, whatsapp_ids: Sequence[str], endpoint: str, receipt: Receipt
) -> int:
    """Writes ``delivered`` or ``read`` for these ids; ``endpoint``: who reported it, '' where that is not known. Answers how
    many messages changed. May be repeated. Raises DatabaseUnavailable."""
    changed = 0
    for start in range(0, len(whatsapp_ids), _BATCH):
        batch = list(whatsapp_ids[start : start + _BATCH])
        changed += await database.fetchval(_SQL["record"], shard, batch, endpoint, receipt.value)
    return changed


@dataclass(frozen=True, slots=True)
class Leftovers:
    """``changed`` messages; receipts that were ``forgotten``; ``following``: the cursor of the next page, '' after the last."""

    changed: int
    forgotten: int
    following: str


async def join_leftovers(database: Database, shard: int, cursor: str, limit: int, keep_seconds: float) -> Leftovers:
    """Joins the next ``limit`` pending receipts after ``cursor``; what is older than ``keep_seconds`` and has no message is
    forgotten. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        page = [row["whatsapp_id"] for row in await connection.fetch(_SQL["pending_page"], cursor, limit)]
        if not page:
            return Leftovers(0, 0, "")
        changed = await connection.fetchval(_SQL["join"], shard, page)
        forgotten = await connection.fetchval(_SQL["forget"], page, keep_seconds)
    # Two receipts may share an id, so a page of fewer ids than the limit need not be the last.
    return Leftovers(changed, forgotten, page[-1])


@dataclass(frozen=True, slots=True)
class DeliveryFigures:
    """``sent`` messages that were looked at, ``undelivered`` of them without any receipt. ``last_receipt``: when one came last
    from the account, None: never, so its webhook is not set up and nothing is counted."""

    sent: int
    undelivered: int
    last_receipt: datetime | None

    @property
    def undelivered_share(self) -> float | None:
        """0 to 1; None: there is nothing to judge by."""
        return self.undelivered / self.sent if self.sent else None


async def delivery_figures(
    database: Database, endpoints: Sequence[str], after: timedelta, window: timedelta, sample: int = _SAMPLE
) -> dict[str, DeliveryFigures]:
    """What became of messages sent longer than ``after`` ago, over a ``window`` before that, by endpoint. A share that is
    high says that WhatsApp takes an account's messages and drops them. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["deliveries"], list(endpoints), after, window, sample)
    return {row["endpoint"]: DeliveryFigures(row["sent"], row["undelivered"], row["last_at"]) for row in rows}
