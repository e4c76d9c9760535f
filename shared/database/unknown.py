"""Messages whose outcome nobody could find out: the list to be reviewed, and what somebody decides about them."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from shared.database.campaigns import queued_again
from shared.database.connection import Database, load_statements
from shared.database.messages import MessagePage
from shared.messages import Status

_SQL = load_statements("unknown")
_RESOLVE_TIMEOUT = 300.0  # seconds; a campaign of a million
_NEWER_THAN_ALL = UUID(int=2**128 - 1)


class Resolution(StrEnum):
    """What an unknown outcome is declared to be; ``resend`` queues the message again, which may double it."""

    SENT = "sent"
    FAILED = "failed"
    RESEND = "resend"


_BECOMES = {Resolution.SENT: Status.SENT, Resolution.FAILED: Status.FAILED, Resolution.RESEND: Status.QUEUED}


async def unknown_messages(database: Database, cursor: UUID | None, limit: int) -> MessagePage:
    """Those before ``cursor``, newest first. Raises DatabaseUnavailable."""
    rows = await database.fetch(_SQL["page"], cursor or _NEWER_THAN_ALL, limit)
    return MessagePage(rows, rows[-1]["id"] if len(rows) == limit else None)


async def resolve_message(
    database: Database, message: UUID, resolution: Resolution, shard: int
) -> tuple[Status, bool] | None:
    """The status that it has then, and whether this made it so (it was not unknown otherwise). None: there is none.
    Raises CampaignCanceled, MediaGone, DatabaseUnavailable."""
    row = await database.fetchrow(_SQL["place"], message)
    if row is None:
        return None
    count = await database.fetchval(_SQL["resolve_message"], row["campaign"], message, resolution.value, shard)
    if queued_again(count):
        return _BECOMES[resolution], True
    row = await database.fetchrow(_SQL["place"], message)
    return None if row is None else (Status(row["status"]), False)


async def resolve_campaign(
    database: Database, token: UUID, resolution: Resolution, reason: str | None, shard: int
) -> int | None:
    """Decides all of a campaign, or those with this reason; how many. None: there is no such campaign. Raises
    CampaignCanceled, MediaGone, DatabaseUnavailable."""
    async with database.transaction() as connection:
        await connection.execute(_SQL["bulk_timeout"])
        count = await connection.fetchval(
            _SQL["resolve_campaign"], token, resolution.value, reason, shard, timeout=_RESOLVE_TIMEOUT
        )
    return None if count is None else queued_again(count)
