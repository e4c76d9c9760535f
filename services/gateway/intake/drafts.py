"""What is asked for becomes a draft: lane, expiry, account and every other default are decided here, once for single sends and
campaigns.

Pure: settings, clock and what was looked up are arguments, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from services.gateway.intake.asked import Asked
from services.gateway.intake.fields import Wish, read_wish
from services.gateway.intake.phones import Recipients
from services.gateway.settings import GatewaySettings
from shared.database.messages import Draft
from shared.endpoints.identity import Endpoint, endpoints_of
from shared.messages import KINDS, Kind, Lane, OnUnknown
from shared.runtime.envelope import InvalidInput
from shared.settings import seconds

_ERRORS_SHOWN = 100
_LATEST_SEND = timedelta(days=366)
_JUST_NOW = timedelta(seconds=60)
"""A send for a moment this long ago is one for now: the request was on its way, or its clock is slow."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say of messages to come. ``region``: of phones without a country code; ``expires_after``: seconds."""

    endpoints: dict[str, Endpoint]
    region: str
    on_unknown: dict[Lane, OnUnknown]
    expires_after: dict[Lane, float]


def rules_of(settings: GatewaySettings) -> Rules:
    return Rules(
        endpoints_of(settings),
        settings.default_region,
        {Lane.TRANSACTIONAL: settings.on_unknown_transactional, Lane.BULK: settings.on_unknown_bulk},
        {
            Lane.TRANSACTIONAL: seconds(settings.transactional_expires_after),
            Lane.BULK: seconds(settings.bulk_expires_after),
        },
    )


def plan(asked: Asked, rules: Rules, now: datetime) -> tuple[Recipients, Draft]:
    """To whom and what: several go as a campaign. Raises InvalidInput naming everything that is wrong."""
    errors = list(asked.errors)
    recipients, draft = asked.recipients, None
    if recipients is not None and not recipients.accepted:
        errors += [
            ("phone", f"{phone}: {reason}" if phone else reason)
            for phone, reason in recipients.rejected[:_ERRORS_SHOWN]
        ]
    if asked.values is not None:
        lane = Lane.BULK if recipients is not None and recipients.several else Lane.TRANSACTIONAL
        uploaded = asked.upload is not None
        try:
            wish = read_wish(asked.kind, dict(asked.values), rules.endpoints, uploaded, rules.region)
            draft = draft_of(asked.kind, wish, lane, rules, now)
        except InvalidInput as error:
            errors += error.errors
    if errors or recipients is None or draft is None:
        raise InvalidInput(*errors)
    return recipients, draft


def draft_of(kind: Kind, wish: Wish, lane: Lane, rules: Rules, now: datetime) -> Draft:
    """``lane``: the one to take where the wish names none; it brings its defaults along. Raises InvalidInput where the times
    cannot be."""
    lane = wish.lane or lane
    if wish.expires_at is not None and wish.expires_at <= now:
        raise InvalidInput(("expires_at", "it is in the past"))
    return Draft(
        kind=kind,
        lane=lane,
        content=wish.content,
        on_unknown=wish.on_unknown or KINDS[kind].on_unknown or rules.on_unknown[lane],
        expires_after=rules.expires_after[lane],
        expires_at=wish.expires_at,
        send_at=None if wish.send_at is None else _begin(wish.send_at, wish.expires_at, now),
        endpoint=wish.endpoint,
        reference=wish.reference,
    )


def _begin(send_at: datetime, expires_at: datetime | None, now: datetime) -> datetime | None:
    """None: at once."""
    if send_at < now - _JUST_NOW:
        raise InvalidInput(("send_at", f"it is more than {_JUST_NOW.seconds} seconds in the past"))
    if send_at > now + _LATEST_SEND:
        raise InvalidInput(("send_at", f"it is more than {_LATEST_SEND.days} days ahead"))
    if send_at <= now:
        return None
    if expires_at is not None and expires_at <= send_at:
        raise InvalidInput(("expires_at", "it must be after send_at"))
    return send_at


def bound_to_original(draft: Draft, having: Sequence[str], rules: Rules) -> Draft:
    """The draft, through the account that has the message it answers, since any other drops the quote. ``having``: those that
    do, the best first. Raises InvalidInput where the caller chose another."""
    known = [endpoint for endpoint in having if endpoint in rules.endpoints]
    if not known or draft.endpoint in known:
        return draft
    if draft.endpoint is None:
        return replace(draft, endpoint=known[0])
    told = "another account has the message that is answered; leave out endpoint, or this"
    raise InvalidInput(("reply_message_id", told), ("endpoint", f"only {known[0]} can quote reply_message_id"))
