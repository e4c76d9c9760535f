"""Caps: the warm-up grows day by day and never beyond the cap; campaigns leave the reserve."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.endpoints.caps import WARMUP_TARGET, Caps, caps_of, daily_cap
from shared.endpoints.pacing import profile_of
from shared.settings import PacingSettings

PROFILE = profile_of(PacingSettings())
caps = st.integers(0, 100_000)
ages = st.floats(0, 500)


@given(caps, st.integers(1, 100_000), st.integers(1, 365), ages, ages)
def test_a_warm_up_grows_and_stays_below_its_target(cap: int, first: int, days: int, one: float, other: float) -> None:
    profile = replace(PROFILE, daily_cap=cap, warmup_first_day=first, warmup_days=days)
    target = cap or first * WARMUP_TARGET
    younger, older = (daily_cap(profile, age) for age in sorted((min(one, days - 0.001), min(other, days - 0.001))))
    assert min(first, target) <= younger <= older <= target
    assert daily_cap(profile, 0.99) == min(first, target)


@given(caps, st.integers(0, 100_000), st.integers(1, 365))
def test_after_the_warm_up_there_is_only_the_cap(cap: int, first: int, days: int) -> None:
    profile = replace(PROFILE, daily_cap=cap, warmup_first_day=first, warmup_days=days)
    assert daily_cap(profile, days) == cap


def test_a_warm_up_day_by_day() -> None:
    profile = replace(PROFILE, daily_cap=640, warmup_first_day=10, warmup_days=6)
    assert [daily_cap(profile, day + 0.5) for day in range(8)] == [10, 20, 40, 80, 160, 320, 640, 640]


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.floats(0, 0.99))
def test_campaigns_leave_the_reserve(hour: int, day: int, reserve: float) -> None:
    found = caps_of(replace(PROFILE, hourly_cap=hour, daily_cap=day), 0, reserve)
    assert (found.hour, found.day) == (hour, day)
    for whole, bulk in ((hour, found.bulk_hour), (day, found.bulk_day)):
        assert 1 <= bulk <= whole
        assert bulk == 1 or whole - bulk >= int(whole * reserve)


def test_no_cap_is_none() -> None:
    assert caps_of(PROFILE, 3, 0.1) == Caps()
