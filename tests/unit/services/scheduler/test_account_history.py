"""The pause of an account whose Redis was lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.scheduler.account_history import burst_limit, pause_by_history
from shared.endpoints.pacing import Pause, RateProfile

MANUAL = RateProfile(
    name="manual", delay_min=2000, delay_max=5000, typing_min=0, typing_max=0, bulk_typing_min=0, bulk_typing_max=0,
    break_interval=4, break_min=30_000, break_max=60_000, mean=10_000, jitter=5000, burst_limit=3, cooldown=200_000,
)  # fmt: skip
BULK = replace(MANUAL, name="bulk")


def test_an_account_that_sent_nothing_may_send() -> None:
    assert pause_by_history(BULK, []) == Pause(0, 0, 0)


@pytest.mark.parametrize(
    ("ages", "pause"),
    [
        # The longest usual pause, less what is over of it.
        ([1000], Pause(4000, 14_000, 1)),
        ([20_000], Pause(0, 0, 1)),
        # A full burst: nobody knows whether its cooldown has begun.
        ([1000, 11_000, 21_000], Pause(4000, 15_000 + 260_000 - 1000, 0)),
        # The gap was a cooldown, so the burst is younger.
        ([1000, 11_000, 300_000], Pause(4000, 14_000, 2)),
        # Long enough ago for everything.
        ([400_000, 401_000, 402_000], Pause(0, 0, 0)),
    ],
)
def test_bulk(ages: list[int], pause: Pause) -> None:
    assert pause_by_history(BULK, ages) == pause


def test_a_slowed_account_is_slow_after_a_loss_too() -> None:
    slowed = replace(BULK, slow_factor=3)
    assert pause_by_history(slowed, [1000]) == Pause(4000, 3 * 15_000 - 1000, 1)
    # Its usual pause of 45 s is no cooldown, though longer than an unslowed one might be.
    short = replace(slowed, cooldown=40_000)
    assert pause_by_history(short, [1000, 46_000, 91_000]) == Pause(4000, 3 * (15_000 + 100_000) - 1000, 0)


def test_manual_keeps_natural_breaks() -> None:
    assert pause_by_history(MANUAL, [1000, 2000, 3000]) == Pause(4000, 4000, 3)
    assert pause_by_history(MANUAL, [1000, 2000, 3000, 4000]) == Pause(4000, 5000 + 60_000 - 1000, 0)
    assert burst_limit(MANUAL) == 4


@pytest.mark.parametrize("changes", [{"cooldown": 0}, {"burst_limit": 0}])
def test_a_pause_that_is_off_stays_off(changes: dict[str, Any]) -> None:
    pause = pause_by_history(replace(BULK, **changes), [1000, 2000, 3000, 4000])
    assert pause.bulk_ready_ms == 14_000
