"""How fast an account may send: bounds of both profiles, breaks and cooldowns, and that a text never waits for a campaign."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.endpoints.pacing import (
    COOLDOWN_SPREAD_MS,
    RateProfile,
    expected_bulk_gap_ms,
    longest_pause,
    pause_after,
    profile_of,
    typing_ms,
)
from shared.messages import Lane
from shared.settings import PacingSettings

DEFAULT = profile_of(PacingSettings())
BULK = replace(DEFAULT, name="bulk")
NAMES = [field.name for field in fields(RateProfile) if field.name != "name"]

times = st.integers(0, 100_000)
ranges = st.tuples(times, times).map(sorted)


@st.composite
def profiles(draw: st.DrawFn, name: str | None = None) -> RateProfile:
    delay, typing, bulk_typing, pause, spread = (draw(ranges) for _ in range(5))
    return RateProfile(
        name=name or draw(st.sampled_from(["manual", "bulk"])),
        delay_min=delay[0],
        delay_max=delay[1],
        typing_min=typing[0],
        typing_max=typing[1],
        bulk_typing_min=bulk_typing[0],
        bulk_typing_max=bulk_typing[1],
        break_interval=draw(st.integers(0, 60)),
        break_min=pause[0],
        break_max=pause[1],
        mean=spread[1],
        jitter=spread[0],
        burst_limit=draw(st.integers(0, 60)),
        cooldown=draw(times),
    )


chances = st.integers().map(random.Random)
lanes = st.sampled_from(Lane)
counts = st.integers(0, 100)


@given(profiles(), lanes, chances)
def test_typing_stays_within_its_bounds(profile: RateProfile, lane: Lane, chance: random.Random) -> None:
    shown = typing_ms(profile, lane, chance)
    if profile.name == "bulk" and lane is Lane.BULK:
        assert profile.bulk_typing_min <= shown <= profile.bulk_typing_max
    else:
        assert profile.typing_min <= shown <= profile.typing_max
    assert shown <= profile.typing_most


@given(profiles(), counts, chances)
def test_after_a_text_only_the_short_pause_is_kept(profile: RateProfile, count: int, chance: random.Random) -> None:
    pause = pause_after(profile, Lane.TRANSACTIONAL, count, chance)
    assert profile.delay_min <= pause.ready_ms <= profile.delay_max
    assert pause.bulk_ready_ms == pause.ready_ms
    assert pause.since_break == count, "a text is no part of a campaign's burst"


@given(profiles(), lanes, counts, chances)
def test_a_text_never_waits_for_a_campaigns_pause(
    profile: RateProfile, lane: Lane, count: int, chance: random.Random
) -> None:
    pause = pause_after(profile, lane, count, chance)
    assert profile.delay_min <= pause.ready_ms <= profile.delay_max
    assert pause.ready_ms <= pause.bulk_ready_ms, "a campaign is never quicker than a text"


@given(profiles("manual"), counts, chances)
def test_manual(profile: RateProfile, count: int, chance: random.Random) -> None:
    pause = pause_after(profile, Lane.BULK, count, chance)
    if profile.break_interval and count + 1 >= profile.break_interval:
        assert pause.since_break == 0
        assert profile.delay_min + profile.break_min <= pause.bulk_ready_ms <= profile.delay_max + profile.break_max
    else:
        assert pause.since_break == count + 1
        assert pause.bulk_ready_ms == pause.ready_ms


@given(profiles("bulk"), counts, chances)
def test_bulk(profile: RateProfile, count: int, chance: random.Random) -> None:
    pause = pause_after(profile, Lane.BULK, count, chance)
    least = max(pause.ready_ms, profile.mean - profile.jitter)
    most = max(pause.ready_ms, profile.mean + profile.jitter)
    if profile.burst_limit and profile.cooldown and count + 1 >= profile.burst_limit:
        assert pause.since_break == 0
        least += profile.cooldown
        most += profile.cooldown + COOLDOWN_SPREAD_MS
    else:
        assert pause.since_break == count + 1
    assert least <= pause.bulk_ready_ms <= most


def long_pauses(profile: RateProfile, messages: int) -> list[int]:
    """After which of so many campaign messages in a row the long pause comes."""
    chance, count, found = random.Random(1), 0, []
    for number in range(1, messages + 1):
        pause = pause_after(profile, Lane.BULK, count, chance)
        if pause.bulk_ready_ms > 25_000:
            found.append(number)
        count = pause.since_break
    return found


def test_the_break_comes_every_so_many_messages() -> None:
    assert long_pauses(DEFAULT, 170) == [50, 100, 150]
    assert long_pauses(BULK, 70) == [20, 40, 60]
    assert long_pauses(replace(DEFAULT, break_interval=0), 500) == []
    assert long_pauses(replace(BULK, burst_limit=0), 500) == []
    assert long_pauses(replace(BULK, cooldown=0), 500) == []


def test_the_bulk_pause_is_spread_over_its_whole_range() -> None:
    chance = random.Random(1)
    pauses = [pause_after(BULK, Lane.BULK, 0, chance).bulk_ready_ms for _ in range(2000)]
    assert min(pauses) < 5_100
    assert max(pauses) > 14_900
    assert 9_700 < sum(pauses) / len(pauses) < 10_300


def test_defaults_come_from_the_settings_in_milliseconds() -> None:
    assert (
        RateProfile(
            name="manual",
            delay_min=2000,
            delay_max=5000,
            typing_min=1000,
            typing_max=3000,
            bulk_typing_min=3000,
            bulk_typing_max=8000,
            break_interval=50,
            break_min=30_000,
            break_max=60_000,
            mean=10_000,
            jitter=5000,
            burst_limit=20,
            cooldown=210_000,
        )
        == DEFAULT
    )


@given(profiles())
def test_the_estimate_and_the_longest_pause_fit(profile: RateProfile) -> None:
    longest = longest_pause(profile)
    assert longest.since_break == 0
    chance = random.Random(1)
    usual = pause_after(replace(profile, break_interval=0, burst_limit=0), Lane.BULK, 0, chance)
    assert usual.ready_ms <= longest.ready_ms
    assert usual.bulk_ready_ms <= longest.bulk_ready_ms
    assert expected_bulk_gap_ms(profile) >= 0


def test_the_estimate_is_the_mean_of_what_happens() -> None:
    chance = random.Random(1)
    for profile in (DEFAULT, BULK):
        total, count, rounds = 0, 0, 20_000
        for _ in range(rounds):
            pause = pause_after(profile, Lane.BULK, count, chance)
            total += pause.bulk_ready_ms + typing_ms(profile, Lane.BULK, chance)
            count = pause.since_break
        assert expected_bulk_gap_ms(profile) == pytest.approx(total / rounds, rel=0.02)


@given(profiles(), st.integers(1, 20), counts, st.integers())
def test_a_slowed_account_pauses_so_many_times_as_long_between_campaign_messages_alone(
    profile: RateProfile, factor: int, since_break: int, seed: int
) -> None:
    slowed = replace(profile, slow_factor=factor)
    usual, slow = (pause_after(one, Lane.BULK, since_break, random.Random(seed)) for one in (profile, slowed))
    assert slow.bulk_ready_ms == factor * usual.bulk_ready_ms
    assert (slow.ready_ms, slow.since_break) == (usual.ready_ms, usual.since_break)
    usual, slow = (pause_after(one, Lane.TRANSACTIONAL, since_break, random.Random(seed)) for one in (profile, slowed))
    assert slow == usual, "somebody waits for a text"
    assert longest_pause(slowed).bulk_ready_ms == factor * longest_pause(profile).bulk_ready_ms
    assert longest_pause(slowed).ready_ms == longest_pause(profile).ready_ms
    assert expected_bulk_gap_ms(replace(slowed, typing_min=0, typing_max=0, bulk_typing_min=0, bulk_typing_max=0)) == (
        pytest.approx(
            factor
            * expected_bulk_gap_ms(replace(profile, typing_min=0, typing_max=0, bulk_typing_min=0, bulk_typing_max=0))
        )
    )


def test_changes() -> None:
    changed = DEFAULT.with_changes({"name": "bulk", "mean": 0, "jitter": 0})
    assert (changed.name, changed.mean, changed.jitter) == ("bulk", 0, 0)
    assert (DEFAULT.name, DEFAULT.mean) == ("manual", 10_000), "the defaults stay what they are"
    assert DEFAULT.with_changes({}) == DEFAULT


@given(
    profiles(),
    st.sampled_from(NAMES),
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.integers(max_value=-1)),
)
def test_a_wrong_value_is_named(profile: RateProfile, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        profile.with_changes({name: value})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"speed": 1}, "speed: "),
        ({"name": "fast"}, "name: "),
        ({"name": None}, "name: "),
        ({"typing_max": 60_001}, "typing_max: "),
        ({"bulk_typing_max": 60_001}, "bulk_typing_max: "),
        ({"mean": 24 * 3600 * 1000 + 1}, "mean: "),
        ({"delay_min": 5001}, "delay_min: "),
        ({"typing_min": 3001}, "typing_min: "),
        ({"bulk_typing_min": 8001}, "bulk_typing_min: "),
        ({"break_min": 60_001}, "break_min: "),
        ({"jitter": 10_001}, "jitter: "),
    ],
)
def test_errors_name_the_field(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        DEFAULT.with_changes(changes)


@pytest.mark.parametrize("changes", [None, [], "bulk", 5])
def test_what_is_no_object_is_an_error_too(changes: object) -> None:
    """Somebody's wrong copy in Redis must not stop a dispatcher."""
    with pytest.raises(ValueError, match="object"):
        DEFAULT.with_changes(changes)  # type: ignore[arg-type]


@given(profiles())
def test_warnings(profile: RateProfile) -> None:
    found = profile.warnings()
    if profile.name == "manual":
        assert found == []
        return
    unlimited = profile.burst_limit > 50 or profile.burst_limit == 0
    wanted = (profile.mean - profile.jitter < 5000, unlimited, profile.cooldown < 180_000)
    assert [any(word in text for text in found) for word in ("shortest", "50", "cooldown is shorter")] == list(wanted)


def test_the_shipped_profiles_are_no_danger() -> None:
    assert DEFAULT.warnings() == BULK.warnings() == []
