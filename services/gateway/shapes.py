"""The shapes of requests and answers, for checking what comes in and for the OpenAPI document. What requests to send hold is
in ``send_requests``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.gateway.text import clean
from shared.endpoints.breaker_state import BreakerState
from shared.messages import CampaignStatus, Kind, Lane, OnUnknown, Receipt, Status, Verdict


def not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("it is empty")
    return value


Text = Annotated[str, AfterValidator(clean)]
ShortText = Annotated[str, Field(max_length=200), AfterValidator(clean)]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class RetryRequest(Request):
    """Which failed messages to send again; all when empty."""

    reason: Text | None = Field(None, description="Only those that failed with exactly this reason")
    chunks: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=100_000)] | None = Field(
        None, description="Only those in these chunks"
    )


class ResolveRequest(Request):
    resolution: Literal["sent", "failed", "resend"] = Field(
        alias="as", description="What the unknown outcome counts as; resend queues it again, which may double it"
    )


class ResolveCampaignRequest(ResolveRequest):
    reason: Text | None = Field(None, description="Only those that are unknown for exactly this reason")


class StopRequest(Request):
    reason: Annotated[ShortText, AfterValidator(not_blank)] = Field(description="Why, for whoever looks at it later")
    lane: Literal["transactional", "bulk"] | None = Field(None, description="Only this lane")


class SuspendRequest(Request):
    reason: Annotated[ShortText, AfterValidator(not_blank)] = Field(description="Why, for whoever looks at it later")


class ReleaseRequest(Request):
    reason: Annotated[ShortText, AfterValidator(not_blank)] = Field(description="Why, for whoever looks at it later")


class StartRequest(Request):
    lane: Literal["transactional", "bulk"] | None = Field(None, description="Only this lane")


class OptOutRequest(Request):
    scope: Literal["bulk", "all"] = Field("bulk", description="bulk: no campaigns; all: nothing at all")
    lid: ShortText | None = Field(
        None,
        description="The hidden id of this person, as `unresolved` lists it: what they say under it counts from now on",
        examples=["204800000000001@lid"],
    )


class GowaEvent(Request):
    """An event as GOWA 7, 8 or 9 posts it. Receipts (``message.ack``) and what people write (``message``,
    ``message.reaction``, ``message.edited``) count, all else is answered and ignored."""

    model_config = ConfigDict(extra="allow")

    event: Any = Field(None, examples=["message.ack"])
    payload: Any = Field(None, examples=[{"ids": ["3EB0A1B2C3D4E5F6071829"], "receipt_type": "delivered"}])


class RateProfileChange(Request):
    """Fields to change, times in milliseconds, those of quiet hours in minutes of the day; null takes a change back. Fields
    left out stay as they are."""

    name: Literal["manual", "bulk"] | None = None
    delay_min: int | None = None
    delay_max: int | None = None
    typing_min: int | None = None
    typing_max: int | None = None
    bulk_typing_min: int | None = None
    bulk_typing_max: int | None = None
    break_interval: int | None = None
    break_min: int | None = None
    break_max: int | None = None
    mean: int | None = None
    jitter: int | None = None
    burst_limit: int | None = None
    cooldown: int | None = None
    hourly_cap: int | None = None
    daily_cap: int | None = None
    warmup_first_day: int | None = None
    warmup_days: int | None = None
    quiet_from: int | None = None
    quiet_until: int | None = None
    recipient_gap: int | None = None
    slow_factor: int | None = None


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldError(Answer):
    field: str
    reason: str


class Errors(Answer):
    errors: list[FieldError]
    device_id: str | None = Field(None, description="With DEVICE_NOT_FOUND: the device that was asked for")


class Refused(Answer):
    """Every error; ``results`` names the fields that are wrong."""

    code: str = Field(examples=["VALIDATION_ERROR"])
    message: str
    results: Errors | None = None


class AcceptedMessage(Answer):
    """One recipient."""

    message_id: str = Field(json_schema_extra={"format": "uuid"})
    status: Status


class Rejected(Answer):
    phone: str
    reason: str


class AcceptedCampaign(Answer):
    """Several recipients."""

    campaign_token: str = Field(json_schema_extra={"format": "uuid"})
    status: CampaignStatus
    accepted: int
    rejected: list[Rejected]
    duplicates: int
    total: int = Field(description="Messages of the campaign")


class Attempt(Answer):
    number: int
    endpoint: str
    verdict: Verdict | None = Field(description="null while it is under way")
    http_status: int | None
    reason: str | None
    started_at: str
    finished_at: str | None


class MessageItem(Answer):
    message_id: str
    status: Status
    receipt: Receipt
    phone: str
    type: Kind
    campaign_token: str | None
    endpoint: str | None = Field(description="Id of the account of the last attempt")
    attempt: int = Field(description="Number of the last attempt")
    reason: str | None
    reference: str | None
    created_at: str


class Message(MessageItem):
    lane: Lane
    on_unknown: OnUnknown
    chosen_endpoint: str | None
    possible_duplicate: bool
    changed_at: str | None
    send_at: str | None = Field(description="It does not begin before; null: it need not wait")
    expires_at: str | None
    attempts: list[Attempt]
    whatsapp_id: str | None


class MessageList(Answer):
    messages: list[MessageItem]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; null: this is the last. A page may be empty and not the last"
    )


class CanceledMessage(Answer):
    message_id: str
    status: Status


class ResolvedMessage(Answer):
    message_id: str
    status: Status


class Counts(Answer):
    queued: int
    sending: int
    retrying: int
    sent: int
    failed: int
    unknown: int
    canceled: int
    expired: int
    suppressed: int


class Receipts(Answer):
    delivered: int
    read: int


class CampaignItem(Answer):
    campaign_token: str
    status: CampaignStatus
    type: Kind
    lane: Lane
    reference: str | None
    total: int = Field(description="Messages of the campaign")
    accepted: int
    rejected: int = Field(description="Recipients refused when it was accepted")
    duplicates: int
    counts: Counts
    receipts: Receipts
    possible_duplicates: int
    created_at: str
    send_at: str | None = Field(description="It is scheduled until then; null: it ran at once")
    expires_at: str
    finished_at: str | None


class CampaignList(Answer):
    campaigns: list[CampaignItem]
    next_cursor: str | None


class Chunk(Answer):
    number: int
    size: int
    status: Literal["waiting", "fed", "closed"]


class ChunkTotals(Answer):
    total: int
    waiting: int
    fed: int
    closed: int


class FailureReason(Answer):
    reason: str
    messages: int


class Campaign(CampaignItem):
    rate: float = Field(description="Messages sent a minute, over the last five")
    eta: float | None = Field(description="Seconds until it is through, from the pacing; null: unknown or not running")
    waiting: str | None = Field(description="Why nothing is sent now, if so")
    endpoint: str | None = Field(description="The only account it may use")
    chunks: list[Chunk] = Field(description="The first 200")
    chunk_totals: ChunkTotals
    reasons: list[FailureReason] = Field(description="The commonest reasons of failures; up to a minute old")


class CampaignMoved(Answer):
    campaign_token: str
    status: CampaignStatus


class CampaignRetried(Answer):
    campaign_token: str
    retried: int


class CampaignResolved(Answer):
    campaign_token: str
    resolved: int


class RateProfileValues(Answer):
    """Times in milliseconds; see the settings of the same meaning."""

    name: Literal["manual", "bulk"]
    delay_min: int
    delay_max: int
    typing_min: int
    typing_max: int
    bulk_typing_min: int
    bulk_typing_max: int
    break_interval: int
    break_min: int
    break_max: int
    mean: int
    jitter: int
    burst_limit: int
    cooldown: int
    hourly_cap: int = Field(description="Messages of an account in any hour, at most; 0: no limit")
    daily_cap: int = Field(description="Messages of an account in any day, at most; 0: no limit")
    warmup_first_day: int = Field(description="Messages of a new account on its first day; 0: no warm-up")
    warmup_days: int = Field(description="Days until a new account may send as many as daily_cap says")
    quiet_from: int = Field(description="Campaigns are quiet from this minute of the recipient's day")
    quiet_until: int = Field(description="Until this minute; the same: never quiet")
    recipient_gap: int = Field(description="Least time between two messages to one recipient; 0: none")
    slow_factor: int = Field(description="Pauses between campaign messages are that many times as long")


class RateProfileAnswer(Answer):
    profile: RateProfileValues = Field(description="What is in force")
    changes: dict[str, Any] = Field(description="What of it differs from the settings")
    warnings: list[str] = Field(description="What of it is a danger to an account")
    messages_per_minute: float | None = Field(description="What one account sends of a campaign; null: no limit")


class BreakerReport(Answer):
    state: BreakerState
    reason: str | None
    since: str | None


class Caps(Answer):
    """Messages in any hour and any day, at most, and how many of them campaigns may use; 0: no cap."""

    cap_hour: int
    cap_day: int
    bulk_cap_hour: int
    bulk_cap_day: int


class FeedbackStanding(Answer):
    """Where the account stands by what its sends came to."""

    state: Literal["normal", "slowed", "suspended", "trial"]
    since: str | None = Field(description="null: it was never anything but normal")
    until: str | None = Field(description="When a suspension by feedback ends by a trial")
    reason: str | None = Field(description="Of the last change")


class EndpointItem(Answer):
    id: str
    label: str
    suspended: bool
    suspend_reason: str | None
    suspended_at: str | None
    suspended_by: Literal["operator", "feedback"] | None
    feedback: FeedbackStanding
    held_until: str | None = Field(
        description="WhatsApp lets the account open no new chats: it gets no new contacts until then; known ones go on"
    )
    breaker: BreakerReport | None = Field(description="null: Redis cannot be reached")
    caps: Caps | None
    capped_until: str | None = Field(description="A cap is used up until then; null: none is, as far as anybody asked")
    bulk_capped_until: str | None = Field(description="The same for campaigns")
    profile: RateProfileValues = Field(description="The pace in force for this account")
    changes: dict[str, Any] = Field(description="What of it differs from the common rate profile")


class EndpointList(Answer):
    endpoints: list[EndpointItem]


class Stopped(Answer):
    stopped_lanes: list[Lane]
    reason: str | None


class Started(Stopped):
    confirmed: str | None = Field(
        description="Everything was stopped since Postgres had gone back in time: what this start has confirmed; or null"
    )


class OptOut(Answer):
    phone: str
    scope: Literal["bulk", "all"] = Field(description="bulk: no campaigns; all: nothing at all")
    source: Literal["api", "message"] = Field(description="message: the person wrote a word such as STOP")
    created_at: str


class UnresolvedOptOut(Answer):
    """Somebody wrote a word such as STOP, and WhatsApp hides the number."""

    lid: str = Field(description="Their hidden id")
    endpoint: str = Field(description="The account that they wrote to; empty: it is not known")
    said_at: str


class OptOutList(Answer):
    optouts: list[OptOut]
    unresolved: list[UnresolvedOptOut] = Field(
        description="On the first page: who opted out under a hidden number that no event has named yet, the oldest 100"
    )
    next_cursor: str | None


class OptedIn(Answer):
    phone: str


class Heard(Answer):
    """Committed, or ignored."""


def envelope(results: type[Answer]) -> dict[str, Any]:
    """The JSON schema of a successful answer around ``results``."""
    return {
        "type": "object",
        "required": ["code", "message", "results"],
        "properties": {
            "code": {"const": "SUCCESS"},
            "message": {"type": "string"},
            "results": {"$ref": f"#/components/schemas/{results.__name__}"},
        },
    }
