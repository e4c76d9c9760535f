"""What a dispatcher asks of Postgres: peek before typing, the gate before the HTTP call, the verdict after it.

Each takes a batch. Batches are sorted by message here, since two that meet in opposite order deadlock. What is made for every
message is a msgspec Struct: a frozen dataclass of 15 fields takes ten times as long to make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID
from zlib import crc32

from msgspec import Struct, field

from shared.database.connection import BadValue, Database, load_statements
from shared.messages import ALONE_AFTER, Kind, OnUnknown, Refusal, Status, Verdict

_SQL = load_statements("attempts")
COUNT_SHARDS = 16


def count_shard(name: str) -> int:
    """What functions of the release before wrote counts under. Those of this one take it and make nothing of it."""
    return crc32(name.encode()) % COUNT_SHARDS


class PeekedMedia(Struct, frozen=True):
    id: UUID
    filename: str
    content_type: str
    size: int
    """Bytes."""


class PeekedMessage(Struct, frozen=True):
    """All that is needed to send a message, and why it may not be sent, if so. ``talked_to_by``: the endpoints that this
    recipient wrote to, or that sent to them, the former first, the latest first. ``locked_endpoints`` must not write to this
    recipient, ``held_endpoints`` to no new one; both with the seconds left. ``not_through``: those that cannot send this
    message, as they said since it waits. ``looked_at``: when, by Postgres."""

    id: UUID
    attempt: int
    status: Status
    kind: Kind
    phone: str
    campaign: UUID | None
    tries_used: int
    crashes: int
    on_unknown: OnUnknown
    content: dict[str, Any]
    media: PeekedMedia | None
    refusal: Refusal | None
    looked_at: datetime
    talked_to_by: tuple[str, ...] = ()
    seconds_since_last: float | None = None
    locked_endpoints: dict[str, float] = field(default_factory=dict)
    held_endpoints: dict[str, float] = field(default_factory=dict)
    not_through: tuple[str, ...] = ()


_STATUSES = {status.value: status for status in Status}
_KINDS = {kind.value: kind for kind in Kind}
_ON_UNKNOWN = {choice.value: choice for choice in OnUnknown}
_REFUSALS: dict[str | None, Refusal | None] = {None: None} | {refusal.value: refusal for refusal in Refusal}


async def peek(database: Database, messages: Sequence[UUID]) -> dict[UUID, PeekedMessage]:
    """The messages by id; one that does not exist, or cannot be read by this version, is missing. Raises
    DatabaseUnavailable."""
    rows = await database.fetch(_SQL["peek"], sorted(set(messages)))
    return {
        row["id"]: PeekedMessage(
            id=row["id"],
            attempt=row["attempt"],
            status=_STATUSES[row["status"]],
            kind=_KINDS[row["kind"]],
            phone=row["phone"],
            campaign=row["campaign"],
            tries_used=row["tries_used"],
            crashes=row["crashes"],
            on_unknown=_ON_UNKNOWN[row["on_unknown"]],
            content=row["content"],
            media=PeekedMedia(row["media"], row["filename"], row["content_type"], row["size"])
            if row["filename"] is not None
            else None,
            refusal=_REFUSALS[row["refusal"]],
            looked_at=row["looked_at"],
            talked_to_by=tuple(row["talked_to_by"] or ()),
            seconds_since_last=row["seconds_since_last"],
            locked_endpoints=row["locked_endpoints"] or {},
            held_endpoints=row["held_endpoints"] or {},
            not_through=tuple(row["not_through"] or ()),
        )
        for row in rows
        # A kind that only a newer version knows is missing too: its entry goes, the sweep enqueues it again, and a dispatcher
        # that knows it gets it in the end.
        if row["kind"] in _KINDS
    }


class GateOutcome(StrEnum):
    """What the gate says of an attempt; see ``migrations/functions/gate.sql``. Only ``passed`` begins it."""

    PASSED = "passed"
    REFUSED = "refused"
    """The message has moved on, is over, or its lane is stopped: its entry stands for nothing any more."""
    PUT_BACK = "put_back"
    """Not through this slot now: its account is suspended, or an attempt is still open on it."""
    LATER = "later"
    """The recipient has just had a message, or is having one."""
    VOID = "void"
    """Redis or Postgres is not the one that the entry was made for."""
    UNANSWERED = "unanswered"
    """No word of the function's: it did not answer in time. It may have passed, but nothing may be sent any more."""


_OUTCOMES = {outcome.value: outcome for outcome in GateOutcome}


class GateRequest(Struct, frozen=True):
    """``token``: 32 hexadecimal digits. ``seconds``: from now until nobody can be waiting for the answer any more. ``gap``:
    seconds since the recipient's last message, at least; 0: any."""

    message: UUID
    number: int
    token: str
    endpoint: str
    slot: int
    seconds: int
    gap: float = 0.0


async def gate(
    database: Database, epoch: int, dispatcher: str, requests: Sequence[GateRequest], seen_beat: int = 0
) -> dict[str, GateOutcome]:
    """Begins attempts; answers the outcome by token. A word that only a newer gate knows is ``put_back``: nothing was begun,
    and the entry is kept.

    Of several requests for one message only one is asked, the others are ``refused``: the first of those with the highest
    number, since lower ones are of the past. Raises DatabaseUnavailable; may then be repeated, and passes again for the
    same tokens only. ``seen_beat``: the highest beat number met in Redis; all are ``void`` while Postgres has less.
    """
    latest: dict[UUID, GateRequest] = {}
    for request in requests:
        if request.message not in latest or request.number > latest[request.message].number:
            latest[request.message] = request
    asked = [latest[message] for message in sorted(latest)]
    rows = await database.fetch(
        _SQL["gate"],
        epoch,
        dispatcher,
        [request.message for request in asked],
        [request.number for request in asked],
        [request.token for request in asked],
        [request.endpoint for request in asked],
        [request.slot for request in asked],
        [request.seconds for request in asked],
        [request.gap for request in asked] if any(request.gap for request in asked) else None,
        seen_beat,
    )
    outcomes = {row["token"].hex: _OUTCOMES.get(row["outcome"], GateOutcome.PUT_BACK) for row in rows}
    return {request.token: outcomes.get(request.token, GateOutcome.REFUSED) for request in requests}


class AttemptResult(Struct, frozen=True):
    """A verdict and what it means for the message: ``status`` sent, failed, retrying (due in ``due_seconds``) or sending
    (unknown, to be checked in ``due_seconds``). ``uses_try``: it counts toward WORKER_MAX_RETRIES."""

    message: UUID
    number: int
    token: str
    endpoint: str
    dispatcher: str
    verdict: Verdict
    status: Status
    http_status: int | None = None
    reason: str | None = None
    whatsapp_id: str | None = None
    due_seconds: float = 0.0
    uses_try: bool = True


async def settle(database: Database, shard: int, results: Sequence[AttemptResult]) -> dict[UUID, Status]:
    """Writes verdicts; answers the new status of each message that it changed.

    A batch that Postgres refuses for one value is halved down to that row, whose message then fails as 'internal'. Raises
    DatabaseUnavailable; the call may be repeated, the send must not be.
    """

    async def write(batch: Sequence[AttemptResult]) -> dict[UUID, Status]:
        rows = await database.fetch(
            _SQL["settle"],
            shard,
            [result.message for result in batch],
            [result.number for result in batch],
            [result.token for result in batch],
            [result.endpoint for result in batch],
            [result.dispatcher for result in batch],
            [result.verdict.value for result in batch],
            [result.http_status for result in batch],
            [result.reason for result in batch],
            [result.whatsapp_id for result in batch],
            [result.status.value for result in batch],
            [result.due_seconds for result in batch],
            [result.uses_try for result in batch],
        )
        return {row["message"]: _STATUSES[row["status"]] for row in rows}

    changed: dict[UUID, Status] = {}
    for batch in _rounds(results):
        changed |= await _halving(write, batch)
    return changed


def _rounds(results: Sequence[AttemptResult]) -> list[list[AttemptResult]]:
    """The results in batches that have no message twice, each sorted: one statement changes a row only once, and which of
    two verdicts it would take is chance."""
    rounds: list[list[AttemptResult]] = []
    seen: Counter[UUID] = Counter()
    for result in sorted(results, key=lambda result: (result.message, result.number)):
        if seen[result.message] == len(rounds):
            rounds.append([])
        rounds[seen[result.message]].append(result)
        seen[result.message] += 1
    return rounds


async def _halving(
    write: Callable[[Sequence[AttemptResult]], Awaitable[dict[UUID, Status]]], batch: Sequence[AttemptResult]
) -> dict[UUID, Status]:
    try:
        return await write(batch)
    except BadValue:
        if len(batch) == 1:
            one = batch[0]
            plain = AttemptResult(
                message=one.message,
                number=one.number,
                token=one.token,
                endpoint=one.endpoint,
                dispatcher=one.dispatcher,
                verdict=one.verdict,
                status=Status.SENT if one.status is Status.SENT else Status.FAILED,
                http_status=one.http_status,
                reason="internal: its answer could not be stored",
            )
            return await write([plain])
        middle = len(batch) // 2
        return await _halving(write, batch[:middle]) | await _halving(write, batch[middle:])


async def end_unsendable(database: Database, shard: int, messages: Sequence[UUID], status: Status, reason: str) -> int:
    """Ends waiting messages without an attempt as canceled, expired, suppressed or failed. Answers how many."""
    return int(await database.fetchval(_SQL["end_unsendable"], sorted(messages), status.value, reason, shard))


async def count_crashes(database: Database, messages: Sequence[UUID]) -> None:
    """Notes that a dispatcher died with these waiting messages in hand."""
    await database.execute(_SQL["count_crashes"], sorted(messages))


async def killers(database: Database, messages: Sequence[UUID], limit: int) -> list[UUID]:
    """Those waiting messages with which ``limit`` dispatchers have died while they were alone in hand.

    Raises DatabaseUnavailable."""
    return [row["id"] for row in await database.fetch(_SQL["killers"], sorted(messages), ALONE_AFTER + limit)]


async def note_cold_contact(
    database: Database, message: UUID, endpoint: str, seconds: float, contacts: int, hold_seconds: float
) -> bool:
    """Notes that WhatsApp refused an endpoint a new chat: not this recipient through it for ``seconds``; after ``contacts``
    different ones in a day, no new one for ``hold_seconds``. Answers whether the account is held now. Raises
    DatabaseUnavailable."""
    return bool(await database.fetchval(_SQL["note_cold_contact"], message, endpoint, seconds, contacts, hold_seconds))
