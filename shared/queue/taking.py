"""What a dispatcher does with Redis: take assignments, settle them, beat, wait to be woken."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from uuid import UUID

import orjson
from msgspec import Struct

from shared.endpoints.breaker_state import BreakerOutcome, BreakerState
from shared.messages import Entry, Lane, Verdict
from shared.queue.connection import QueueConnection
from shared.queue.keys import stream_of
from shared.settings import BreakerSettings, milliseconds

_COUNTED = frozenset({Verdict.SENT.value, Verdict.UNKNOWN.value})
"""What counts toward an account's caps: what was sent, or may have been."""


class Assignment(Struct, frozen=True):
    """An entry together with the slot of the endpoint it was given.

    ``token`` owns the slot. ``ready_at`` and ``bulk_ready_at`` (ms since 1970) are when the slot might have sent a text
    and a campaign's message; a slot that is given back without a send gets them again. ``generation`` is the breaker's
    when it was taken, ``since_break`` the messages of the endpoint since its last long pause.
    """

    stream: str
    entry_id: str
    slot: str
    token: str
    ready_at: str
    bulk_ready_at: str
    breaker: BreakerState
    generation: str
    since_break: int
    epoch: int
    entry: Entry

    @property
    def endpoint(self) -> str:
        return self.slot.rpartition("/")[0]

    @property
    def slot_number(self) -> int:
        return int(self.slot.rpartition("/")[2])

    @property
    def lane(self) -> Lane:
        return self.entry.lane


class Taken(Struct, frozen=True):
    """``wait_ms``: when a slot may send next while entries wait; None: nothing waits, and whoever adds an entry wakes."""

    assignments: list[Assignment]
    wait_ms: int | None
    control_version: str


class FollowUp(Struct, frozen=True):
    """The entry that follows an attempt: into its stream after ``due_ms``, or with ``rebind`` at once to another
    endpoint that it does not exclude, and only where there is none after ``otherwise_ms``."""

    entry: Entry
    due_ms: int = 0
    rebind: bool = False
    otherwise_ms: int = 0


class Settlement(Struct, frozen=True):
    """What becomes of an assignment in Redis; see ``lua/settle.lua``. ``ready_ms`` < 0 gives the slot back as it was."""

    assignment: Assignment
    ready_ms: int = -1
    bulk_ready_ms: int = 0
    since_break: int | None = None
    outcome: BreakerOutcome = BreakerOutcome.IGNORE
    reason: str = ""
    verdict: str = ""
    answer_ms: int = 0
    follow_up: FollowUp | None = None


class BreakerChange(Struct, frozen=True):
    endpoint: str
    before: BreakerState
    after: BreakerState
    reason: str


def _readable(fields: dict[str, str], lane: Lane) -> Entry:
    """The entry; one that cannot be read stands for no message and is dropped as such. To raise would lose the slots and
    entries of the whole batch."""
    try:
        return Entry.from_fields(fields, lane)
    except (KeyError, ValueError):
        return Entry(UUID(int=0), 0, lane)


class Taking:
    """Take and settle for one dispatcher. ``known`` are the ids of the endpoints in its settings."""

    def __init__(
        self,
        queue: QueueConnection,
        dispatcher: str,
        known: Iterable[str],
        lease_ms: int,
        breaker: BreakerSettings,
        slots_per_endpoint: int,
    ) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._ids = list(known)
        self._known = orjson.dumps(dict.fromkeys(self._ids, 1)).decode()
        self._lease_ms = lease_ms
        self._trial_ms = milliseconds(breaker.circuit_breaker_half_open_timeout)
        self._slots = slots_per_endpoint
        self._in_hand: dict[str, Assignment] = {}
        self.seen_beat = 0
        """The highest beat number met in Redis: a Postgres that has less went back in time."""
        self._breaker = orjson.dumps(
            {
                "enabled": breaker.circuit_breaker_enabled,
                "failure_threshold": breaker.circuit_breaker_failure_threshold,
                "success_threshold": breaker.circuit_breaker_success_threshold,
                "open_timeout_ms": milliseconds(breaker.circuit_breaker_open_timeout),
                # With the breaker off, a logged-out account is looked at again after this.
                "recheck_ms": 5000,
            }
        ).decode()

    async def take(self, wanted: int, now_ms: int | None = None) -> Taken:
        """Up to ``wanted`` assignments. Raises QueueUnavailable, RebuildNeeded. An answer that is lost leaves entries
        pending and slots leased; both come back by themselves."""
        tokens = [secrets.token_hex(16) for _ in range(wanted)]
        answer = await self._queue.run(
            "take",
            "" if now_ms is None else now_ms,
            self._queue.keys.prefix,
            self._queue.group,
            self._dispatcher,
            self._lease_ms,
            self._trial_ms,
            self._known,
            *tokens,
        )
        _, epoch, _, wait_ms, version, lines, beat = answer
        self.seen_beat = max(self.seen_beat, int(beat))
        assignments: list[Assignment] = []
        for suffix, entry_id, slot, token, ready_at, bulk_ready_at, breaker, generation, since_break, fields in lines:
            lane, _ = stream_of(suffix)
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            assignments.append(
                Assignment(
                    stream=suffix,
                    entry_id=entry_id,
                    slot=slot,
                    token=token,
                    ready_at=ready_at,
                    bulk_ready_at=bulk_ready_at,
                    breaker=BreakerState(breaker),
                    generation=generation,
                    since_break=int(since_break),
                    epoch=int(epoch),
                    entry=_readable(pairs, lane),
                )
            )
        self._in_hand |= {taken.token: taken for taken in assignments}
        return Taken(assignments, int(wait_ms) if wait_ms >= 0 else None, str(version))

    async def settle(self, settlements: Sequence[Settlement], now_ms: int | None = None) -> list[BreakerChange]:
        """Ends assignments in one step. Raises QueueUnavailable; may then be repeated."""
        lines = []
        for item in settlements:
            taken = item.assignment
            line: dict[str, object] = {
                "stream": taken.stream,
                "id": taken.entry_id,
                "slot": taken.slot,
                "token": taken.token,
                "lane": taken.lane.value,
                "ready": item.ready_ms,
                "bulk": item.bulk_ready_ms,
                "ready_at": float(taken.ready_at),
                "bulk_ready_at": float(taken.bulk_ready_at),
                "outcome": item.outcome,
                "generation": taken.generation,
                "reason": item.reason,
                "verdict": item.verdict,
                "ms": item.answer_ms,
                "counts": int(item.verdict in _COUNTED),
            }
            if item.since_break is not None:
                line["since_break"] = item.since_break
            if item.follow_up:
                line["next"] = {
                    "fields": item.follow_up.entry.fields(),
                    "lane": item.follow_up.entry.lane.value,
                    "due": item.follow_up.due_ms,
                    "rebind": int(item.follow_up.rebind),
                    "otherwise": item.follow_up.otherwise_ms,
                }
            lines.append(line)
        answer = await self._queue.run(
            "settle",
            "" if now_ms is None else now_ms,
            self._queue.keys.prefix,
            self._queue.group,
            self._breaker,
            orjson.dumps(lines).decode(),
            self._known,
        )
        for item in settlements:
            self._in_hand.pop(item.assignment.token, None)
        return [
            BreakerChange(endpoint, BreakerState(before), BreakerState(after), reason)
            for endpoint, before, after, reason in answer
        ]

    async def take_back(self, suffixes: Sequence[str], now_ms: int | None = None) -> tuple[int, int]:
        """Gives back what a take whose answer was lost has given to this dispatcher: (slots, entries). Raises
        QueueUnavailable."""
        known = {
            "tokens": dict.fromkeys(self._in_hand, 1),
            "entries": {f"{taken.stream} {taken.entry_id}": 1 for taken in self._in_hand.values()},
        }
        slots, entries = await self._queue.run(
            "take_back",
            "" if now_ms is None else now_ms,
            self._queue.keys.prefix,
            self._queue.group,
            self._dispatcher,
            orjson.dumps(known).decode(),
            *suffixes,
        )
        return int(slots), int(entries)

    async def beat(self, now_ms: int | None = None) -> None:
        """Says that this dispatcher lives. Raises QueueUnavailable, RebuildNeeded."""
        await self._queue.run(
            "beat",
            "" if now_ms is None else now_ms,
            self._queue.keys.prefix,
            self._dispatcher,
            self._slots,
            *self._ids,
        )
