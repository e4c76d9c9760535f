"""The states of a message and what moves it between them: statuses, receipts, lanes, verdicts on attempts, refusals.

The lists here, the CHECKs of the tables in ``migrations/`` and ``docs/message-lifecycle.md`` say the same; a test compares
them.
"""

from __future__ import annotations

from enum import StrEnum


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
