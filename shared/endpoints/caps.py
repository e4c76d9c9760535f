"""How many messages an account may send in an hour and in a day: pure rules.

A new account begins with few and grows to its cap day by day. Campaigns leave a share of every cap to single sends, so a
code still gets through when a campaign has used up the day.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.endpoints.pacing import RateProfile

WARMUP_TARGET = 20
"""Without a daily cap a warm-up grows to this many times its first day; after it there is no cap."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Messages in any hour and any day, and of these a campaign's; 0: no cap."""

    hour: int = 0
    day: int = 0
    bulk_hour: int = 0
    bulk_day: int = 0

    def fields(self) -> dict[str, str]:
        """As they stand in the state of an endpoint in Redis."""
        return {
            "cap_hour": str(self.hour),
            "cap_day": str(self.day),
            "bulk_cap_hour": str(self.bulk_hour),
            "bulk_cap_day": str(self.bulk_day),
        }


def daily_cap(profile: RateProfile, age_days: float) -> int:
    """The cap of an account that has been in use for ``age_days``. During the warm-up it grows by the same factor each day,
    from ``warmup_first_day`` to the daily cap, and never beyond that."""
    if not profile.warmup_first_day or age_days >= profile.warmup_days:
        return profile.daily_cap
    target = profile.daily_cap or profile.warmup_first_day * WARMUP_TARGET
    if target <= profile.warmup_first_day:
        return target
    day = int(max(0.0, age_days))
    growth: float = (target / profile.warmup_first_day) ** (day / profile.warmup_days)
    return min(target, round(profile.warmup_first_day * growth))


def caps_of(profile: RateProfile, age_days: float, reserve: float) -> Caps:
    """The caps of an account; ``reserve`` is the share (0 to 1) of each that campaigns leave to single sends. A cap of a few
    messages still lets campaigns have one."""
    hour, day = profile.hourly_cap, daily_cap(profile, age_days)
    return Caps(hour, day, _without(hour, reserve), _without(day, reserve))


def _without(cap: int, reserve: float) -> int:
    return max(1, int(cap * (1 - reserve))) if cap else 0
