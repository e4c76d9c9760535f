"""What was asked of this GOWA and what came of it: one line for every request to ``/send/*``, in memory, in order of
arrival.

A line exists from the moment of arrival, so a test can see a send in flight; ``outcome`` and ``finished_at`` are null
until it is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.downloads import Fetched
from simulator.rules import File, recipient_jid


@dataclass(slots=True)
class Line:
    """One request. Times are unix seconds.

    ``outcome`` is the HTTP status, or how it ended without an answer (``cut-before``, ``cut-after``, ``hang``,
    ``reset``, ``killed``, ``client-gone``); ``in_flight`` counts the device's sends on HTTP level when it arrived,
    itself included; ``fetched`` is what GOWA fetched itself; ``quote_found`` is null without a ``reply_message_id``,
    and false when the message goes out without its quote.
    """

    sequence: int
    device: str | None
    kind: str
    arrived_at: float
    in_flight: int = 0
    phone: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    file: File | None = None
    fetched: Fetched | None = None
    quote_found: bool | None = None
    finished_at: float | None = None
    outcome: int | str | None = None
    taken: bool = False
    whatsapp_id: str | None = None
    malformed: list[str] = field(default_factory=list)

    def content_key(self) -> tuple[str, str, bytes, str]:
        """Equal for two requests that put the same message before the same recipient."""
        jid = recipient_jid(self.phone or "").removeprefix("+")
        content = {name: value for name, value in self.fields.items() if name != "phone"}
        digest = self.file.sha256 if self.file is not None else ""
        return (self.kind, jid, orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest)

    def shown(self) -> dict[str, Any]:
        """For the control API: everything but the first bytes of the file."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        if self.file is not None:
            shown["file"] = {
                "field": self.file.field,
                "filename": self.file.filename,
                "content_type": self.file.content_type,
                "size": self.file.size,
                "sha256": self.file.sha256,
            }
        shown["fetched"] = None if self.fetched is None else self.fetched.shown()
        return shown


class Ledger:
    """The lines since the start or the last clearing; sequence numbers go on over a clearing."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._last = 0

    def open(self, kind: str, device: str | None, arrived_at: float) -> Line:
        """A new line for a request that has just arrived."""
        self._last += 1
        line = Line(self._last, device, kind, arrived_at)
        self._lines.append(line)
        return line

    def clear(self) -> None:
        """Forget all lines; sends still in flight finish unseen."""
        self._lines = []

    @property
    def last(self) -> int:
        """The highest sequence number given so far."""
        return self._last

    def lines(self, since: int = 0, kind: str | None = None, device: str | None = None) -> Iterator[Line]:
        """Lines after ``since``, of one kind, of one device."""
        for line in self._lines:
            if line.sequence > since and kind in {None, line.kind} and device in {None, line.device}:
                yield line


def summed_up(lines: Iterable[Line], devices: Iterable[str]) -> dict[str, Any]:
    """Counts over all and per device. Typing and presence are counted apart, and are never doubles.

    A double is a message that WhatsApp took when it had already taken one of the same kind, recipient, fields and file,
    on whatever device; it is charged to the device that took it later.
    """
    total = _Counts()
    per_device = {device: _Counts() for device in devices}
    seen: dict[tuple[str, str, bytes, str], int] = {}
    groups: dict[tuple[str, str, bytes, str], list[int]] = {}
    for line in lines:
        counts = [total]
        if line.device is not None:
            counts.append(per_device.setdefault(line.device, _Counts()))
        is_double = False
        if line.taken:
            key = line.content_key()
            if key in seen:
                is_double = True
                groups.setdefault(key, [seen[key]]).append(line.sequence)
            else:
                seen[key] = line.sequence
        for count in counts:
            count.add(line, is_double)
    return {
        **total.shown(),
        "devices": {device: counts.shown() for device, counts in per_device.items()},
        "double_lines": list(groups.values())[:100],
    }


@dataclass(slots=True)
class _Counts:
    sends: int = 0
    presence: int = 0
    taken: int = 0
    doubles: int = 0
    malformed: int = 0
    pending: int = 0
    max_in_flight: int = 0
    by_status: Counter[str] = field(default_factory=Counter)

    def add(self, line: Line, is_double: bool) -> None:
        self.malformed += bool(line.malformed)
        if line.kind in {"presence", "chat-presence"}:
            self.presence += 1
            return
        self.sends += 1
        self.taken += line.taken
        self.doubles += is_double
        self.max_in_flight = max(self.max_in_flight, line.in_flight)
        if line.outcome is None:
            self.pending += 1
        else:
            self.by_status[str(line.outcome)] += 1

    def shown(self) -> dict[str, Any]:
        return {
            "sends": self.sends,
            "presence": self.presence,
            "taken": self.taken,
            "doubles": self.doubles,
            "malformed": self.malformed,
            "pending": self.pending,
            "max_in_flight": self.max_in_flight,
            "by_status": dict(self.by_status),
        }
