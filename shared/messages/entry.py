"""A message's line in a stream, and how it is written there."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from shared.messages.states import Lane
from shared.traceparent import trace_id_of

ENTRY_VERSION = "1"
_FIELDS = frozenset({"v", "m", "n", "e", "chosen", "c", "x", "t"})
ALONE_AFTER = 2
"""Deaths of dispatchers with a message in hand after which it is handled alone. One death accuses nobody: where a node fails,
hundreds are in hand, and one by one they would hold up everything for minutes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message's line in a stream: which message, and the attempt number it is for.

    ``excluded`` names the endpoints that this round has already tried; ``crashes`` counts the dispatchers that died with
    it in hand. The content stays in Postgres, so an entry is small and never out of date. Lines of the log may be about one.
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
    trace: str = ""
    """``traceparent`` of the request that asked for the message; empty for none, and where Postgres wrote the entry anew."""
    others: tuple[tuple[str, str], ...] = ()
    """Fields of a newer version, carried along unread: what follows an attempt has them as well."""

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
        if self.trace:
            fields["t"] = self.trace
        if self.others:
            fields.update(self.others)
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
            trace=fields.get("t", ""),
            others=tuple(sorted((name, fields[name]) for name in fields.keys() - _FIELDS)),
        )

    def log_fields(self) -> dict[str, object]:
        """What each line about the message carries, for ``shared.observability.log_context``."""
        about: dict[str, object] = {"message": str(self.message)}
        if self.trace:
            about["trace_id"] = trace_id_of(self.trace)
        return about

    def ids(self) -> dict[str, list[str]]:
        return {"message_ids": [str(self.message)]}
