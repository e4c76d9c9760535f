"""When an account may send next, judged by what it sent lately: a pure rule for a Redis that knows nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from shared.endpoints.pacing import COOLDOWN_SPREAD_MS, Pause, RateProfile, longest_pause


def burst_limit(profile: RateProfile) -> int:
    """Messages of an account between two long pauses, 0: it takes none."""
    return profile.break_interval if profile.name == "manual" else profile.burst_limit


def pause_by_history(profile: RateProfile, ages_ms: Sequence[int]) -> Pause:
    """``ages_ms``: how long ago each of its last attempts ended, newest first, at least ``burst_limit`` of them if there
    were as many. The pause counts from now.

    Every attempt counts as a campaign's, and every pause as the longest, so that no window holds more than the profile
    allows whatever was lost.
    """
    if not ages_ms:
        return Pause(0, 0, 0)
    shortest, longest = (profile.break_min, profile.break_max)
    if profile.name != "manual":
        shortest, longest = (profile.cooldown, profile.cooldown + COOLDOWN_SPREAD_MS if profile.cooldown else 0)
    # A slowed account's usual pause may be as long as a break was before.
    shortest, longest = shortest * profile.slow_factor, longest * profile.slow_factor
    usual = longest_pause(profile)
    since_break = 1
    for newer, older in pairwise(ages_ms):
        if longest and older - newer >= shortest:
            break
        since_break += 1
    bulk = usual.bulk_ready_ms
    limit = burst_limit(profile)
    if limit and longest and since_break >= limit:
        bulk, since_break = bulk + longest, 0
    return Pause(max(0, usual.ready_ms - ages_ms[0]), max(0, bulk - ages_ms[0]), since_break)
