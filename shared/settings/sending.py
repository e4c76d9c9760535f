"""The accounts, their pace, and what becomes of a send that fails."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.messages import KINDS, Kind, OnUnknown
from shared.settings.declaring import (
    CommaList,
    Duration,
    Settings,
    comma_list,
    seconds,
)


class EndpointSettings(Settings):
    whatsapp_base_url: str = Field("", description="Base URL of the one sender (GOWA), such as http://gowa:3000")
    whatsapp_auth: SecretStr = Field(
        SecretStr(""), description="Its login: user:password, or a header value of a scheme and one token (Bearer …)"
    )
    whatsapp_endpoints: CommaList = Field(
        default=[], description="Base URLs of several accounts, comma separated, in place of WHATSAPP_BASE_URL"
    )
    whatsapp_auths: Annotated[SecretStr, Field(description="Their logins, comma separated, as many")] = SecretStr("")
    whatsapp_device_ids: CommaList = Field(
        default=[], description="Their device ids (X-Device-Id), comma separated, as many; empty parts allowed"
    )
    endpoint_concurrency: int = Field(
        1, ge=1, le=100, description="Sends in flight per account; the sender serialises them, so leave it at 1"
    )
    whatsapp_connect_timeout: Duration = Field(timedelta(seconds=5), description="Time to connect to a sender")
    whatsapp_text_timeout: Duration = Field(
        timedelta(seconds=70), description="Time for the answer to a text; the sender itself may take 45 s and more"
    )
    whatsapp_media_timeout: Duration = Field(timedelta(seconds=180), description="Time for the answer to media")

    @model_validator(mode="after")
    def _lists_agree(self) -> EndpointSettings:
        urls = self.whatsapp_endpoints or ([self.whatsapp_base_url] if self.whatsapp_base_url else [])
        name = "WHATSAPP_ENDPOINTS" if self.whatsapp_endpoints else "WHATSAPP_BASE_URL"
        if not urls:
            raise ValueError("WHATSAPP_ENDPOINTS (or WHATSAPP_BASE_URL): at least one sender is wanted")
        for url in urls:
            if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", url):
                raise ValueError(
                    f"{name}: '{url.split('@')[-1]}' is not an http(s) URL without login; put the login into WHATSAPP_AUTHS"
                )
        wrong = [*self._of_one_or_several(), *self._unequal(len(urls))] or self._twice(urls)
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _of_one_or_several(self) -> Iterator[str]:
        """One sender has its variables, several have theirs; half of either would be dropped silently."""
        if self.whatsapp_endpoints and self.whatsapp_base_url:
            yield "WHATSAPP_BASE_URL: WHATSAPP_ENDPOINTS is set too; name all accounts there, or one here"
        if self.whatsapp_endpoints and self.whatsapp_auth.get_secret_value():
            yield "WHATSAPP_AUTH: it is for WHATSAPP_BASE_URL; the logins of WHATSAPP_ENDPOINTS are WHATSAPP_AUTHS"
        if not self.whatsapp_endpoints and self.whatsapp_auths.get_secret_value():
            yield "WHATSAPP_AUTHS: it is for WHATSAPP_ENDPOINTS; the login of WHATSAPP_BASE_URL is WHATSAPP_AUTH"

    def _unequal(self, accounts: int) -> Iterator[str]:
        auths = self.auth_list()
        if self.whatsapp_endpoints and auths and len(auths) != accounts:
            yield f"WHATSAPP_AUTHS: {len(auths)} logins for {accounts} endpoints"
        if self.whatsapp_device_ids and len(self.whatsapp_device_ids) != accounts:
            yield f"WHATSAPP_DEVICE_IDS: {len(self.whatsapp_device_ids)} ids for {accounts} endpoints"

    def _twice(self, urls: list[str]) -> list[str]:
        """One account twice would have twice its pace, or be taken for one and have its second login dropped."""
        accounts = [
            (url.rstrip("/").lower(), device)
            for url, device in zip(urls, self.whatsapp_device_ids or [""] * len(urls), strict=True)
        ]
        return [
            f"WHATSAPP_ENDPOINTS: {url} is there {count} times with the device id '{device}'; WHATSAPP_DEVICE_IDS must tell "
            "its accounts apart"
            for (url, device), count in Counter(accounts).items()
            if count > 1
        ]

    @field_validator("whatsapp_connect_timeout", "whatsapp_text_timeout", "whatsapp_media_timeout")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if not value:
            # 0 would mean to wait for ever.
            raise ValueError("it must be longer than 0")
        return value

    def request_seconds(self, kind: Kind) -> float:
        """How long an answer may take. The sender's own limit is 45 s, looking up and uploading not counted; to hang up
        earlier would turn certain outcomes into unknown ones."""
        traits = KINDS[kind]
        return (
            seconds(self.whatsapp_media_timeout if traits.file else self.whatsapp_text_timeout) + traits.extra_seconds
        )

    def longest_request_seconds(self) -> float:
        return max(self.request_seconds(kind) for kind in KINDS)

    def url_list(self) -> list[str]:
        return self.whatsapp_endpoints or [self.whatsapp_base_url]

    def auth_list(self) -> list[str]:
        """One login per endpoint, or none at all."""
        if not self.whatsapp_endpoints:
            single = self.whatsapp_auth.get_secret_value()
            return [single] if single else []
        parts = comma_list(self.whatsapp_auths.get_secret_value())
        return parts if isinstance(parts, list) else []


class PacingSettings(Settings):
    """Defaults of the rate profile; what is set at run time goes before them."""

    rate_profile: str = Field("manual", description="manual (few messages) or bulk (campaigns); may change at run time")
    rate_limit_delay_min: Duration = Field(timedelta(seconds=2), description="Shortest pause after a message")
    rate_limit_delay_max: Duration = Field(timedelta(seconds=5), description="Longest pause after a message")
    typing_delay_min: Duration = Field(timedelta(seconds=1), description="Shortest time shown as typing")
    typing_delay_max: Duration = Field(timedelta(seconds=3), description="Longest time shown as typing")
    bulk_typing_delay_min: Duration = Field(
        timedelta(seconds=3), description="Shortest typing time of campaigns in profile bulk"
    )
    bulk_typing_delay_max: Duration = Field(
        timedelta(seconds=8), description="Longest typing time of campaigns in profile bulk"
    )
    typing_presence: bool = Field(True, description="Show the recipient that the account is typing")
    natural_break_interval: int = Field(
        50, ge=0, description="Profile manual: campaigns take a break after so many messages of an account; 0: never"
    )
    natural_break_duration_min: Duration = Field(timedelta(seconds=30), description="Shortest break")
    natural_break_duration_max: Duration = Field(timedelta(minutes=1), description="Longest break")
    rate_delay_mean_ms: int = Field(10000, ge=0, description="Profile bulk: mean pause after a message, milliseconds")
    rate_delay_jitter_ms: int = Field(5000, ge=0, description="Profile bulk: the pause is the mean plus or minus this")
    rate_burst_limit: int = Field(20, ge=0, description="Profile bulk: cooldown after so many messages; 0: never")
    rate_cooldown_seconds: int = Field(
        210, ge=0, description="Profile bulk: the cooldown lasts this to 60 s longer, seconds; 0: never"
    )

    hourly_cap: int = Field(0, ge=0, description="Messages of an account in any hour, at most; 0: no cap")
    daily_cap: int = Field(0, ge=0, description="Messages of an account in any 24 hours, at most; 0: no cap")
    transactional_reserve: float = Field(
        0.1, ge=0, lt=1, description="Share of the caps that campaigns leave to single sends"
    )
    warmup_first_day: int = Field(
        0, ge=0, description="Daily cap of an account on its first day; it grows day by day to DAILY_CAP; 0: no warm-up"
    )
    warmup_days: int = Field(14, ge=1, le=365, description="Days of the warm-up")
    quiet_hours: str = Field(
        "",
        description="Campaigns send nothing in these hours of the recipient's day, such as 21:00-08:00; empty: never quiet",
    )
    recipient_gap: Duration = Field(
        timedelta(0),
        le=timedelta(days=1),
        description="Shortest time between two campaign messages to one person; 0: none",
    )

    @field_validator("quiet_hours")
    @classmethod
    def _two_times(cls, value: str) -> str:
        if value and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError("two times of the day such as 21:00-08:00 are wanted")
        if value and value[:5] == value[6:]:
            raise ValueError("it begins when it ends, so nothing would be quiet; leave it empty for that")
        return value

    def quiet_minutes(self) -> tuple[int, int]:
        """(from, until) in minutes of the day; equal: never quiet."""
        if not self.quiet_hours:
            return 0, 0
        begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in self.quiet_hours.split("-"))
        return begin, end

    @model_validator(mode="after")
    def _ranges(self) -> PacingSettings:
        if self.rate_profile not in ("manual", "bulk"):
            raise ValueError("RATE_PROFILE: manual or bulk is wanted")
        for low, high in (
            ("rate_limit_delay_min", "rate_limit_delay_max"),
            ("typing_delay_min", "typing_delay_max"),
            ("bulk_typing_delay_min", "bulk_typing_delay_max"),
            ("natural_break_duration_min", "natural_break_duration_max"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low.upper()}: it is longer than {high.upper()}")
        for name in ("typing_delay_max", "bulk_typing_delay_max"):
            if getattr(self, name) > timedelta(minutes=1):
                raise ValueError(f"{name.upper()}: 1m is the most")
        if self.rate_delay_jitter_ms > self.rate_delay_mean_ms:
            raise ValueError("RATE_DELAY_JITTER_MS: it is more than RATE_DELAY_MEAN_MS")
        return self


class BreakerSettings(Settings):
    circuit_breaker_enabled: bool = Field(True, description="Take an account that keeps failing out of the rota")
    circuit_breaker_failure_threshold: int = Field(3, ge=1, description="Failures in a row that open the breaker")
    circuit_breaker_success_threshold: int = Field(2, ge=1, description="Successes that close it again")
    circuit_breaker_open_timeout: Duration = Field(timedelta(minutes=2), description="Time before a trial")
    circuit_breaker_half_open_timeout: Duration = Field(
        timedelta(seconds=30), description="A trial without an answer for so long opens the breaker again"
    )


class FeedbackSettings(Settings):
    feedback_enabled: bool = Field(
        True, description="Slow an account that turns bad, then suspend it; off: those it holds are released"
    )
    feedback_window: Duration = Field(
        timedelta(minutes=30),
        ge=timedelta(seconds=1),
        le=timedelta(hours=24),
        description="Attempts of this time are judged together; who was slowed is judged again after as long",
    )
    feedback_min_sample: int = Field(
        15, ge=2, le=500, description="Fewer attempts, or messages that could have been delivered, are not judged"
    )
    feedback_error_share: float = Field(
        0.3, ge=0, le=1, description="Share of attempts that fail from which an account is bad, 0 to 1; 0: not judged"
    )
    feedback_delivered_share: float = Field(
        0.5, ge=0, le=1, description="Share of messages delivered below which an account is bad, 0 to 1; 0: not judged"
    )
    feedback_slow_factor: int = Field(
        3, ge=1, le=100, description="Pauses between campaign messages of a slowed account are that many times as long"
    )
    feedback_suspension: Duration = Field(
        timedelta(hours=6),
        ge=timedelta(seconds=1),
        description="A suspension by feedback ends by a trial after this; each further one lasts twice as long, a day at most",
    )
    feedback_trial_size: int = Field(
        10, ge=1, le=500, description="Messages that must go well on trial until an account is as the others again"
    )
    silent_drop_after: Duration = Field(
        timedelta(hours=6),
        description="A message sent so long ago without a receipt counts as undelivered; 0: none does",
    )


class UnknownSettings(Settings):
    unknown_check_delay: Duration = Field(
        timedelta(seconds=75), description="An outcome that is not known is looked up after this (text)"
    )
    unknown_check_delay_media: Duration = Field(timedelta(seconds=240), description="The same for media")
    unknown_check_limit: Duration = Field(
        timedelta(minutes=30), description="How long looking up is repeated while the account cannot be reached"
    )
    on_unknown_bulk: OnUnknown = Field(
        OnUnknown.HOLD, description="Campaigns: hold (ends as unknown) or resend (may double)"
    )
    on_unknown_transactional: OnUnknown = Field(
        OnUnknown.RESEND, description="Single sends: resend (may double) or hold (ends as unknown)"
    )

    def check_seconds(self) -> dict[str, float]:
        """Seconds from an unknown outcome to its check, by kind of message."""
        return {
            kind.value: seconds(self.unknown_check_delay_media if traits.file else self.unknown_check_delay)
            + traits.extra_seconds
            for kind, traits in KINDS.items()
        }
