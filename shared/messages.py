"""What a message is: its states, its lanes, the verdicts on its attempts, and the line that stands for it in a stream.

The lists here, the CHECKs of the tables in ``migrations/`` and ``docs/message-lifecycle.md`` say the same; a test compares
them. Nothing in this module does I/O.
"""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

# The UUID that Postgres' rows come with, a subclass of Python's: made, written and sent in a tenth of the time.
from asyncpg.pgproto.pgproto import UUID as _DatabaseUuid


class Status(StrEnum):
    """Where a message stands. ``sending`` includes an outcome that is not known yet and is still being checked."""

    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELED = "canceled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


WAITING = frozenset({Status.QUEUED, Status.RETRYING})
TERMINAL = frozenset({Status.SENT, Status.FAILED, Status.UNKNOWN, Status.CANCELED, Status.EXPIRED, Status.SUPPRESSED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(
        # Sent without sending: a failed message was put back, then evidence came that it had been sent.
        {Status.SENDING, Status.SENT, Status.CANCELED, Status.EXPIRED, Status.SUPPRESSED, Status.FAILED}
    ),
    Status.SENDING: frozenset({Status.SENT, Status.FAILED, Status.UNKNOWN, Status.RETRYING, Status.CANCELED}),
    Status.RETRYING: frozenset(
        {Status.SENDING, Status.SENT, Status.FAILED, Status.CANCELED, Status.EXPIRED, Status.SUPPRESSED}
    ),
    # Until somebody resolves it, or late evidence shows that it was sent after all.
    Status.UNKNOWN: frozenset({Status.SENT, Status.FAILED, Status.QUEUED}),
    # A retry of the campaign puts failed messages back.
    Status.FAILED: frozenset({Status.QUEUED, Status.SENT}),
    Status.SENT: frozenset(),
    Status.CANCELED: frozenset({Status.SENT}),
    Status.EXPIRED: frozenset({Status.SENT}),
    Status.SUPPRESSED: frozenset({Status.SENT}),
}
"""Which status may follow which. Sent wins: evidence of an earlier attempt makes any message ``sent``."""


class Receipt(StrEnum):
    """What the recipient's phone said; only ever moves forward."""

    NONE = "none"
    DELIVERED = "delivered"
    READ = "read"


class CampaignStatus(StrEnum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELED = "canceled"


class Lane(StrEnum):
    """Single sends go ahead of campaigns."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class Kind(StrEnum):
    """What is sent; the last part of the sender's path ``/send/<kind>``."""

    MESSAGE = "message"
    IMAGE = "image"
    FILE = "file"


class OnUnknown(StrEnum):
    """What becomes of a message whose outcome cannot be known."""

    HOLD = "hold"
    RESEND = "resend"


class Verdict(StrEnum):
    """What an attempt came to."""

    SENT = "sent"
    NOT_SENT = "not_sent"
    """Nothing was written to the endpoint; the next attempt may follow at once."""
    REFUSED = "refused"
    """The endpoint works and says that this message cannot be sent."""
    ELSEWHERE = "elsewhere"
    """The account works and cannot send this message, a group's that it is not in; another account may."""
    UNFETCHED = "unfetched"
    """The sender could not fetch the message's URL just now; no account is to blame."""
    TRANSIENT = "transient"
    """Certainly not sent; worth another try later."""
    LOGGED_OUT = "logged_out"
    """The account is not connected; the message is not to blame."""
    MISCONFIGURED = "misconfigured"
    """Our credentials, device id or base URL are wrong for this endpoint."""
    COLD_CONTACT_LOCKED = "cold_contact_locked"
    """WhatsApp does not let this account open new chats for now."""
    UNKNOWN = "unknown"
    """It may have been sent."""


class Refusal(StrEnum):
    """Why peek or gate let a message not begin."""

    MOVED_ON = "moved_on"
    EXPIRED = "expired"
    CAMPAIGN_NOT_RUNNING = "campaign_not_running"
    STOPPED = "stopped"
    SUPPRESSED = "suppressed"


_OWN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def own_message_id(given: object) -> UUID | None:
    """The id of a message of Paceline's, as its answers write it; None: it is another's, WhatsApp's have no dashes."""
    text = given.strip() if isinstance(given, str) else ""
    return UUID(text) if _OWN_ID.fullmatch(text) else None


ENTRY_VERSION = "1"
ALONE_AFTER = 2
"""Deaths of dispatchers with a message in hand after which it is handled alone. One death accuses nobody: where a node fails,
hundreds are in hand, and one by one they would hold up everything for minutes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message's line in a stream: which message, and the attempt number it is for.

    ``excluded`` names the endpoints that this round has already tried; ``crashes`` counts the dispatchers that died with
    it in hand. The content stays in Postgres, so an entry is small and never out of date.
    """

    message: UUID
    attempt: int
    lane: Lane
    endpoint: str = ""
    """Id of the endpoint to which the entry is bound, empty for none."""
    chosen: bool = False
    """Bound because the caller named the endpoint, so it waits for it; otherwise it may be moved."""
    crashes: int = 0
    excluded: tuple[str, ...] = field(default=())

    @property
    def alone(self) -> bool:
        """Whether it must be the only one in hand, since it may be what kills."""
        return self.crashes >= ALONE_AFTER

    def fields(self) -> dict[str, str]:
        """The entry as stream fields, the shortest that says it; ``lane`` is the stream's own."""
        fields = {"v": ENTRY_VERSION, "m": self.message.hex, "n": str(self.attempt)}
        if self.endpoint:
            fields["e"] = self.endpoint
        if self.chosen:
            fields["chosen"] = "1"
        if self.crashes:
            fields["c"] = str(self.crashes)
        if self.excluded:
            fields["x"] = ",".join(self.excluded)
        return fields

    @classmethod
    def from_fields(cls, fields: dict[str, str], lane: Lane) -> Entry:
        """Raises KeyError or ValueError where the fields are not an entry of version 1."""
        if fields["v"] != ENTRY_VERSION:
            raise ValueError(f"entry version {fields['v']} is not {ENTRY_VERSION}")
        excluded = fields.get("x", "")
        return cls(
            message=UUID(hex=fields["m"]),
            attempt=int(fields["n"]),
            lane=lane,
            endpoint=fields.get("e", ""),
            chosen=fields.get("chosen") == "1",
            crashes=int(fields.get("c", "0")),
            excluded=tuple(excluded.split(",")) if excluded else (),
        )


_HALVES = struct.Struct(">QQ")
_TAIL = (1 << 62) - 1
_ASKED_AT_ONCE = 256


class MessageIds:
    """Makes UUIDv7 (RFC 9562) that only ever grow within this process, so that a campaign's ids are one narrow range.

    48 bits of Unix milliseconds, then a 12-bit counter, then 62 random bits. When the counter is used up within a
    millisecond the time part runs ahead of the clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._random: list[int] = []

    def make(self, count: int = 1) -> list[UUID]:
        """``count`` new ids in ascending order."""
        with self._lock:
            # The clock part and the counter are one 60-bit number, so running over carries into the milliseconds.
            first = max(self._last + 1, int(time.time() * 1000) << 12)
            self._last = first + count - 1
            if len(self._random) < count:
                # The system's chance, asked for many at once: a call of its own costs more than the rest of an id.
                size = max(count, _ASKED_AT_ONCE)
                self._random += struct.unpack(f">{size}Q", os.urandom(8 * size))
            tails = self._random[-count:]
            del self._random[-count:]
        return [
            _DatabaseUuid(_HALVES.pack((stamp & ~0xFFF) << 4 | 7 << 12 | stamp & 0xFFF, 2 << 62 | tail & _TAIL))
            for stamp, tail in enumerate(tails, first)
        ]


new_message_ids = MessageIds().make
