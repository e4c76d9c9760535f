"""The ids of messages: made in ascending order, and read back out of what callers give."""

from __future__ import annotations

import os
import re
import struct
import threading
import time
from uuid import UUID

# The UUID that Postgres' rows come with, a subclass of Python's: made, written and sent in a tenth of the time.
from asyncpg.pgproto.pgproto import UUID as _DatabaseUuid

_OWN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def own_message_id(given: object) -> UUID | None:
    """The id of a message of Paceline's, as its answers write it; None: it is another's, WhatsApp's have no dashes."""
    text = given.strip() if isinstance(given, str) else ""
    return UUID(text) if _OWN_ID.fullmatch(text) else None


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
