"""Receipts: recorded as they come, joined to their messages, and what they say about an account.

Recording inserts first and joins then, so a receipt may be there before the answer to the send that it is about; settling
joins those (``settle_and_join``), and whoever runs at the very same moment leaves the pair to ``join_leftovers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.database.connection import Database, load_statements
from shared.messages import Receipt

_SQL = load_statements("receipts")
_BATCH = 500  # ids joined at a time, since their rows stay locked meanwhile; webhooks have few
_SAMPLE = 500  # messages of an account that are looked at for its share of undelivered ones; 5 ms


async def record_receipts(
    database: Database,
    shard: int,
    whatsapp_ids: Sequence[str],
    endpoint: str,
    receipt: Receipt,
    person: str | None = None,
    account: str | None = None,
) -> int:
    """Writes ``delivered`` or ``read`` for these ids; ``endpoint``: who reported it, '' where that is not known. ``person``:
    the phone key of whose receipts they are, by which they may prove an attempt without an answer; None where it is hidden.
    ``account``: the JID of the account that reports, which may tell the endpoint. Answers how many messages changed. May be
    repeated. Raises DatabaseUnavailable."""
    changed = 0
    for start in range(0, len(whatsapp_ids), _BATCH):
        batch = list(whatsapp_ids[start : start + _BATCH])
        changed += await database.fetchval(_SQL["record"], shard, batch, endpoint, receipt.value, person, account)
    return changed


class ReceiptProof(StrEnum):
    """What receipts say about the attempt without an answer of an account to a person."""

    PROVEN = "proven"
    """It was sent, and its message is ``sent`` now."""
    BUSY = "busy"
    """Something else is under way to the person, which the receipt may be about; ask again."""
    NO = "no"


async def prove_by_receipt(database: Database, shard: int, endpoint: str, person: str) -> ReceiptProof:
    """Looks for a receipt that can only be about that attempt (``migrations/functions/prove_by_receipt.sql``). Raises
    DatabaseUnavailable."""
    return ReceiptProof(await database.fetchval(_SQL["prove"], shard, endpoint, person))


@dataclass(frozen=True, slots=True)
class Leftovers:
    """``changed`` messages; receipts that were ``forgotten``; ``following``: the cursor of the next page, '' after the last."""

    changed: int
    forgotten: int
    following: str


async def join_leftovers(database: Database, shard: int, cursor: str, limit: int, keep_seconds: float) -> Leftovers:
    """Joins the next ``limit`` pending receipts after ``cursor``; what is older than ``keep_seconds`` and has no message is
    forgotten, and so are attempts without an answer. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        if not cursor:
            await connection.execute(_SQL["forget_attempts"], keep_seconds)
        page = [row["whatsapp_id"] for row in await connection.fetch(_SQL["pending_page"], cursor, limit)]
        if not page:
            return Leftovers(0, 0, "")
        changed = await connection.fetchval(_SQL["join"], shard, page)
        # One statement each, since each locks a message.
        for row in await connection.fetch(_SQL["provable_page"], page):
            said = await connection.fetchval(_SQL["prove"], shard, row["endpoint"], row["phone_key"])
            changed += said == ReceiptProof.PROVEN
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
