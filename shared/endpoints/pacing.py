"""How fast an account may send: pure rules, with clock and chance passed in.

An account has two next times. A text waits only for the short manual pause; a campaign's message also for the profile's
long ones. Profile ``manual`` gives campaigns the manual pause and a natural break every so many messages; profile ``bulk``
gives them mean plus or minus jitter and a cooldown after each burst. An account that is slowed has ``slow_factor`` times the
pauses of campaigns; a text has somebody waiting for it, and the few that there are strain an account least. The count since
the last long pause is the account's and is kept in Redis, so any number of dispatchers sends no faster than one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Any

from shared.messages import Lane
from shared.settings import PacingSettings, milliseconds

COOLDOWN_SPREAD_MS = 60_000
"""A cooldown lasts the setting to this much longer."""
MOST_SLOWED = 100
"""The largest ``slow_factor``: a pause of seconds becomes one of minutes, a cooldown of minutes one of hours."""
_MAX_PAUSE_MS = 24 * 3600 * 1000
_MAX_TYPING_MS = 60_000


@dataclass(frozen=True, slots=True)
class RateProfile:
    """All times in milliseconds. ``break_interval`` and ``burst_limit`` 0: never pause for long. Caps (messages in any hour
    and any day), ``warmup_first_day`` (messages), ``recipient_gap`` 0: none. Campaigns are quiet from minute ``quiet_from`` of
    the recipient's day to minute ``quiet_until``; equal: never. ``slow_factor``: pauses between campaign messages are that
    many times as long."""

    name: str
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
    hourly_cap: int = 0
    daily_cap: int = 0
    warmup_first_day: int = 0
    warmup_days: int = 14
    quiet_from: int = 0
    quiet_until: int = 0
    recipient_gap: int = 0
    slow_factor: int = 1

    def with_changes(self, changes: dict[str, Any]) -> RateProfile:
        """The profile with some fields replaced. Raises ValueError naming the field: ``<field>: <reason>``."""
        if not isinstance(changes, dict):
            raise ValueError("an object with the values to change is wanted")
        known = {field.name for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"{name}: there is no such value; known are {', '.join(sorted(known))}")
            if name == "name":
                if value not in ("manual", "bulk"):
                    raise ValueError("name: manual or bulk is wanted")
            elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}: a whole number, 0 or more, is wanted")
            elif name in ("quiet_from", "quiet_until") and value >= 1440:
                raise ValueError(f"{name}: a minute of the day, 0 to 1439, is wanted")
            elif name == "slow_factor" and not 1 <= value <= MOST_SLOWED:
                raise ValueError(f"slow_factor: 1 to {MOST_SLOWED} is possible")
            elif name == "warmup_days" and not 1 <= value <= 365:
                raise ValueError("warmup_days: 1 to 365 days are possible")
            elif "typing" in name and value > _MAX_TYPING_MS:
                raise ValueError(f"{name}: {_MAX_TYPING_MS} ms is the most")
            elif value > _MAX_PAUSE_MS:
                raise ValueError(f"{name}: a day ({_MAX_PAUSE_MS} ms) is the most")
        changed = replace(self, **changes)
        for low, high in (
            ("delay_min", "delay_max"),
            ("typing_min", "typing_max"),
            ("bulk_typing_min", "bulk_typing_max"),
            ("break_min", "break_max"),
            ("jitter", "mean"),
        ):
            if getattr(changed, low) > getattr(changed, high):
                raise ValueError(f"{low}: it is more than {high}")
        return changed

    def warnings(self) -> list[str]:
        """What of the profile is a danger to an account."""
        if self.name != "bulk":
            return []
        found = []
        if self.mean - self.jitter < 5000:
            found.append("the shortest pause between campaign messages is under 5 s")
        if self.burst_limit > 50 or self.burst_limit == 0:
            found.append("more than 50 campaign messages are sent before a cooldown")
        if self.cooldown < 180_000:
            found.append("the cooldown is shorter than 180 s")
        return found

    @property
    def paced(self) -> bool:
        """Whether an account rests between two messages."""
        return self.delay_max > 0 or (self.name == "bulk" and self.mean > 0)

    @property
    def typing_most(self) -> int:
        return max(self.typing_max, self.bulk_typing_max)


def profile_of(settings: PacingSettings) -> RateProfile:
    return RateProfile(
        name=settings.rate_profile,
        delay_min=milliseconds(settings.rate_limit_delay_min),
        delay_max=milliseconds(settings.rate_limit_delay_max),
        typing_min=milliseconds(settings.typing_delay_min),
        typing_max=milliseconds(settings.typing_delay_max),
        bulk_typing_min=milliseconds(settings.bulk_typing_delay_min),
        bulk_typing_max=milliseconds(settings.bulk_typing_delay_max),
        break_interval=settings.natural_break_interval,
        break_min=milliseconds(settings.natural_break_duration_min),
        break_max=milliseconds(settings.natural_break_duration_max),
        mean=settings.rate_delay_mean_ms,
        jitter=settings.rate_delay_jitter_ms,
        burst_limit=settings.rate_burst_limit,
        cooldown=settings.rate_cooldown_seconds * 1000,
        hourly_cap=settings.hourly_cap,
        daily_cap=settings.daily_cap,
        warmup_first_day=settings.warmup_first_day,
        warmup_days=settings.warmup_days,
        quiet_from=settings.quiet_minutes()[0],
        quiet_until=settings.quiet_minutes()[1],
        recipient_gap=milliseconds(settings.recipient_gap),
    )


@dataclass(frozen=True, slots=True)
class Pause:
    """After a message: ms until the account's next text, ms until its next campaign message, and the count of messages
    since its last long pause."""

    ready_ms: int
    bulk_ready_ms: int
    since_break: int


def typing_ms(profile: RateProfile, lane: Lane, chance: random.Random) -> int:
    """How long the account is shown as typing before a message."""
    if lane is Lane.BULK and profile.name == "bulk":
        return chance.randint(profile.bulk_typing_min, profile.bulk_typing_max)
    return chance.randint(profile.typing_min, profile.typing_max)


def pause_after(profile: RateProfile, lane: Lane, since_break: int, chance: random.Random) -> Pause:
    """The pause after a message of ``lane`` by an account that had sent ``since_break`` since its last long pause.

    A text delays a campaign by the manual pause only; settling keeps a longer one that is already running.
    """
    ready = chance.randint(profile.delay_min, profile.delay_max)
    if lane is Lane.TRANSACTIONAL:
        return Pause(ready, ready, since_break)
    count = since_break + 1
    slower = profile.slow_factor
    if profile.name == "manual":
        bulk = ready * slower
        if profile.break_interval and count >= profile.break_interval:
            return Pause(ready, bulk + chance.randint(profile.break_min, profile.break_max) * slower, 0)
        return Pause(ready, bulk, count)
    bulk = max(ready, chance.randint(profile.mean - profile.jitter, profile.mean + profile.jitter)) * slower
    if profile.burst_limit and profile.cooldown and count >= profile.burst_limit:
        return Pause(ready, bulk + (profile.cooldown + chance.randint(0, COOLDOWN_SPREAD_MS)) * slower, 0)
    return Pause(ready, bulk, count)


def longest_pause(profile: RateProfile) -> Pause:
    """The pause to keep when nobody knows what an account did lately: no burst may follow a loss."""
    usual = profile.delay_max if profile.name == "manual" else max(profile.delay_max, profile.mean + profile.jitter)
    return Pause(profile.delay_max, usual * profile.slow_factor, 0)


def expected_bulk_gap_ms(profile: RateProfile) -> float:
    """Mean ms between two campaign messages of one account, typing and long pauses included; for estimates."""
    if profile.name == "manual":
        typing = (profile.typing_min + profile.typing_max) / 2
        gap = (profile.delay_min + profile.delay_max) / 2
        if profile.break_interval:
            gap += (profile.break_min + profile.break_max) / 2 / profile.break_interval
        return typing + gap * profile.slow_factor
    typing = (profile.bulk_typing_min + profile.bulk_typing_max) / 2
    gap = float(profile.mean)
    if profile.burst_limit and profile.cooldown:
        gap += (profile.cooldown + COOLDOWN_SPREAD_MS / 2) / profile.burst_limit
    return typing + gap * profile.slow_factor
