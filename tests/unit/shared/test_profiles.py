"""Changes for all accounts and for single ones, and what becomes of those that make no sense."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.endpoints.pacing import longest_pause, profile_of
from shared.endpoints.profiles import Profiles, profiles_of
from shared.settings import PacingSettings

DEFAULT = profile_of(PacingSettings())


def test_an_account_has_its_own_changes_on_top_of_the_common_ones() -> None:
    found = profiles_of(DEFAULT, {"daily_cap": 9, "hourly_cap": 2, "endpoints": {"a": {"daily_cap": 5}}})
    assert found.of("b") == found.usual == replace(DEFAULT, daily_cap=9, hourly_cap=2)
    assert found.of("a") == replace(DEFAULT, daily_cap=5, hourly_cap=2)


def test_nothing_changed_is_the_settings() -> None:
    assert profiles_of(DEFAULT, {}) == Profiles(DEFAULT)


def test_own_changes_that_do_not_go_with_the_common_ones_are_left_out() -> None:
    found = profiles_of(DEFAULT, {"delay_min": 9000, "delay_max": 9000, "endpoints": {"a": {"delay_max": 8000}}})
    assert found.of("a") == found.usual
    assert found.usual.delay_max == 9000


def test_what_only_a_newer_version_knows_is_passed_over_and_the_rest_holds() -> None:
    published = {
        "delay_min": 9000,
        "delay_max": 9000,
        "of_next_version": 1,
        "endpoints": {"a": {"daily_cap": 5, "of_next_version": "x"}},
    }
    found = profiles_of(DEFAULT, published)
    assert found.usual == replace(DEFAULT, delay_min=9000, delay_max=9000)
    assert found.of("a") == replace(DEFAULT, delay_min=9000, delay_max=9000, daily_cap=5)


@pytest.mark.parametrize("published", [[], "text", {"delay_min": "soon"}, {"endpoints": [1]}])
def test_what_nobody_can_read_is_an_error(published: object) -> None:
    with pytest.raises(ValueError, match="wanted"):
        profiles_of(DEFAULT, published)  # type: ignore[arg-type]


def test_the_longest_pause_is_that_of_the_slowest_account() -> None:
    slow = {"delay_max": 500_000}
    found = profiles_of(DEFAULT, {"endpoints": {"a": slow}})
    assert found.longest_pause_ms() == longest_pause(DEFAULT.with_changes(slow)).bulk_ready_ms
