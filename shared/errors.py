"""The errors that cross module borders.

PacelineError
 ├─ SettingError          a setting is missing or wrong; the service does not start
 ├─ StoreUnavailable      Redis or Postgres cannot be reached, does not answer in time or refuses
 │   ├─ QueueUnavailable
 │   └─ DatabaseUnavailable
 └─ RebuildNeeded         Redis does not hold the current epoch; a scheduler will rebuild it
"""

from __future__ import annotations


class PacelineError(Exception):
    """Base of all errors that Paceline raises on purpose."""


class SettingError(PacelineError):
    """A setting is missing or wrong. The text names the variable and says what would be right."""


class StoreUnavailable(PacelineError):
    """Redis or Postgres cannot be reached, did not answer in time or refuses; the caller may repeat what is safe to repeat.

    ``reason``: cause and cure, for anybody: no address, no name of a user. The text adds what the store itself ``said``.
    """

    def __init__(self, reason: str, said: str = "") -> None:
        super().__init__(f"{reason} ({said})" if said else reason)
        self.reason = reason


class QueueUnavailable(StoreUnavailable):
    """Redis."""


class DatabaseUnavailable(StoreUnavailable):
    """Postgres. ``done_nothing``: the statement was refused before it did anything, by a connection that is not used any more,
    so that it may be repeated at once. ``perhaps_one_row``: another statement, about other rows, may well go through."""

    def __init__(self, told: str, said: str = "", done_nothing: bool = False, perhaps_one_row: bool = False) -> None:
        super().__init__(told, said)
        self.done_nothing = done_nothing
        self.perhaps_one_row = perhaps_one_row


class RebuildNeeded(PacelineError):
    """Redis was lost or replaced by an older copy: nothing may be taken until a scheduler has rebuilt it."""
