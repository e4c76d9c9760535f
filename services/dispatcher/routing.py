"""Whether a message may go through the account it was given, now: a pure rule over what peek has seen.

A recipient stays with the account that they wrote to last, or else that last wrote to them, while that account works. An
account that WhatsApp does not let write to a new contact is not used for that contact again for a while, and, after several
contacts, for no new one; who wrote to it is none. Campaigns keep quiet hours in the recipient's own time zone and a gap
between two messages to one person.

What does not fit goes to one account that fits or waits until one may; never back into the lane, where it would be taken
again at once. Which account can send at all is known to the script that settles; here only who may write to whom.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from services.dispatcher.quiet_hours import quiet_seconds
from shared.database.attempts import PeekedMessage
from shared.endpoints.pacing import RateProfile
from shared.messages import Entry, Lane


@dataclass(frozen=True, slots=True)
class Fits:
    """It may go as it is."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """To ``endpoint`` while its breaker is closed, else to the account that may send soonest and is not ``excluded``; if
    there is none, again in ``otherwise`` seconds."""

    endpoint: str
    excluded: tuple[str, ...]
    otherwise: float


@dataclass(frozen=True, slots=True)
class Later:
    """Not before ``seconds`` from now. ``held``: or until the recipient writes, or a hold is released."""

    seconds: float
    reason: str
    held: bool = False


Fit = Fits | Elsewhere | Later
FITS = Fits()
LOOK_AGAIN = 30.0
"""Seconds until a message is looked at again that only accounts may send which cannot now."""


def fit(
    entry: Entry,
    endpoint: str,
    message: PeekedMessage,
    profile: RateProfile,
    endpoints: Collection[str],
) -> Fit:
    """``endpoints``: those of the settings."""
    if entry.lane is Lane.BULK:
        later = _later(message, profile)
        if later is not None:
            return later
    closed = _closed_to(message, endpoints)
    sticky = next((name for name in message.talked_to_by if name in endpoints), "")
    if sticky in entry.excluded or sticky in closed:
        sticky = ""
    excluded = tuple(dict.fromkeys((*entry.excluded, *closed)))
    if endpoint in entry.excluded or endpoint in closed:
        if entry.chosen:
            # The caller wants this account and no other.
            wait = closed.get(endpoint, LOOK_AGAIN)
            return Later(wait, "the account may not write to this contact yet", held=endpoint in closed)
        if closed.keys() >= set(endpoints):
            soonest = min(closed[name] for name in endpoints)
            return Later(soonest, "no account may write to this contact yet", held=True)
        return Elsewhere(sticky, excluded, LOOK_AGAIN)
    if sticky and sticky != endpoint and not entry.endpoint:
        return Elsewhere(sticky, excluded, LOOK_AGAIN)
    return FITS


def another_may_send(entry: Entry, endpoint: str, message: PeekedMessage, endpoints: Collection[str]) -> bool:
    """Whether an account is left for a message that ``endpoint`` works for but cannot send, being in none of its groups."""
    return not entry.chosen and not set(endpoints) <= {endpoint, *message.not_through}


def _closed_to(message: PeekedMessage, endpoints: Collection[str]) -> dict[str, float]:
    """Endpoints that must not write to this recipient, with the seconds until they may."""
    known: Collection[str] = message.talked_to_by
    held = {name: left for name, left in message.held_endpoints.items() if name not in known}
    # When those that have not said so were taken out of the settings, the answer of any of the others ends the message.
    unable = {} if set(endpoints) <= set(message.not_through) else dict.fromkeys(message.not_through, LOOK_AGAIN)
    return {**held, **message.locked_endpoints, **unable}


def _later(message: PeekedMessage, profile: RateProfile) -> Later | None:
    quiet = quiet_seconds(message.phone, profile.quiet_from, profile.quiet_until, message.looked_at)
    if quiet > 0:
        return Later(quiet, "quiet hours")
    if profile.recipient_gap and message.seconds_since_last is not None:
        left = profile.recipient_gap / 1000 - message.seconds_since_last
        if left > 0:
            return Later(left, "the recipient had a message a short while ago")
    return None
