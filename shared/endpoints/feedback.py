"""Where an account stands by what its sends came to, and when its messages seem to be dropped. Pure."""

from __future__ import annotations

from enum import StrEnum


class FeedbackState(StrEnum):
    """normal → slowed → suspended → trial → normal; see ``docs/flows/an-account-turns-bad.md``."""

    NORMAL = "normal"
    SLOWED = "slowed"
    """Its pauses between campaign messages are longer; texts go on as before."""
    SUSPENDED = "suspended"
    """No attempt begins through it, until a trial or an operator brings it back."""
    TRIAL = "trial"
    """Slowed still, and watched more closely."""


class Cause(StrEnum):
    """What an account was found bad for."""

    ERRORS = "errors"
    DELIVERIES = "deliveries"


def drops_silently(sent: int, undelivered: int, delivered_share: float, least: int) -> bool:
    """Whether so many of the messages that WhatsApp took are without a receipt that it seems to drop them. ``delivered_share``
    (0 to 1; 0: never) is the least that is good, ``least`` the smallest sample to judge by."""
    return sent >= least and sent - undelivered < delivered_share * sent
