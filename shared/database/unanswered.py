"""Attempts without an answer: found, claimed for a look into the account's chat storage, and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database.connection import Database, load_statements
from shared.messages import KINDS, Kind, Status

_SQL = load_statements("unanswered")


async def find_unanswered(database: Database, check_seconds: dict[str, float], limit: int) -> int:
    """Attempts past their deadline become unknown, to be checked after ``check_seconds`` by kind; how many. Raises
    DatabaseUnavailable."""
    return int(await database.fetchval(_SQL["find_unanswered"], check_seconds, limit))


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """An attempt to be looked up: when it began, when nobody waited for it any more, and for how many seconds looking it
    up has been tried. Not ``open``: its verdict was written after all, only the check is left. ``kind`` None: one that only a
    newer version knows. ``account``: the JID that it was sent through, None: not known. ``sent_names``: under which names its
    URL's file may have been uploaded. All times by Postgres, ``claimed_at`` is now."""

    message: UUID
    open: bool
    kind: Kind | None
    phone: str
    phone_key: str
    endpoint: str
    account: str | None
    content: dict[str, Any]
    filename: str
    sent_names: tuple[str, ...]
    started_at: datetime
    finished_at: datetime
    claimed_at: datetime
    checked_for: float


_KINDS = {kind.value: kind for kind in Kind}
_URL_FIELDS = {kind.value: traits.file.url for kind, traits in KINDS.items() if traits.file}


async def claim_checks(database: Database, limit: int, again_seconds: float) -> list[UnknownOutcome]:
    """Raises DatabaseUnavailable."""
    return [
        UnknownOutcome(
            message=row["message"],
            open=row["open"],
            kind=_KINDS.get(row["kind"]),
            phone=row["phone"],
            phone_key=row["phone_key"],
            endpoint=row["endpoint"] or "",
            account=row["account"],
            content=row["content"] or {},
            filename=row["filename"] or "",
            sent_names=tuple(row["sent_names"]),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            claimed_at=row["claimed_at"],
            checked_for=row["checked_for"],
        )
        for row in await database.fetch(_SQL["claim_checks"], limit, again_seconds, _URL_FIELDS)
    ]


async def look_again(database: Database, message: UUID, seconds: float) -> None:
    """Has an outcome looked up in so many seconds. Raises DatabaseUnavailable."""
    await database.execute(_SQL["look_again"], message, seconds)


async def known_ids(database: Database, ids: Sequence[str]) -> set[str]:
    """Those WhatsApp ids that belong to an attempt already; of whichever endpoint, since an account whose address has changed
    is another one. Raises DatabaseUnavailable."""
    return {row["whatsapp_id"] for row in await database.fetch(_SQL["known_ids"], list(ids))}


async def others_under_way(database: Database, endpoint: str, person: str, message: UUID) -> bool:
    """Whether the account has another message under way to this person, whose WhatsApp id nobody knows yet. Raises
    DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["others_under_way"], endpoint, person, message))


async def decide(
    database: Database, message: UUID, whatsapp_id: str | None, reason: str, shard: int, resends: int
) -> Status | None:
    """The status that follows; None: nothing was decided, see ``decide_unknown`` in SQL. Raises DatabaseUnavailable."""
    status = await database.fetchval(_SQL["decide"], message, whatsapp_id, reason, shard, resends)
    return Status(status) if status else None
