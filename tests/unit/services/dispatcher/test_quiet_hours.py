"""Quiet hours in the recipient's zone: at their end it is not quiet, before it is, also where the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.quiet_hours import quiet_seconds, zones_of

BERLIN = "4930123456@s.whatsapp.net"
NEW_YORK = "12125550100@s.whatsapp.net"
FREEPHONE = "18005550100"
"""Toll free, so of no place: everywhere in North America."""
minutes = st.integers(0, 1439)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


def at(zone: str, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[arg-type, misc]


def quiet(phone: str, now: datetime, begin: str = "21:00", end: str = "08:00") -> float:
    first, last = (int(time[:2]) * 60 + int(time[3:]) for time in (begin, end))
    return quiet_seconds(phone, first, last, now)


@pytest.mark.parametrize(
    ("phone", "zone"), [(BERLIN, "Europe/Berlin"), (NEW_YORK, "America/New_York"), ("919810000000", "Asia/Kolkata")]
)
def test_it_goes_by_the_number(phone: str, zone: str) -> None:
    assert quiet(phone, at(zone, 2026, 6, 10, 12)) == 0
    assert quiet(phone, at(zone, 2026, 6, 10, 20, 59)) == 0
    assert quiet(phone, at(zone, 2026, 6, 10, 21)) == 11 * 3600
    assert quiet(phone, at(zone, 2026, 6, 11, 7, 30)) == 1800
    assert quiet(phone, at(zone, 2026, 6, 11, 8)) == 0


@pytest.mark.parametrize(
    ("evening", "hours"),
    [((2026, 3, 28, 22), 9), ((2026, 10, 24, 22), 11), ((2026, 6, 28, 22), 10)],
    ids=["clocks go forward", "clocks go back", "an ordinary night"],
)
def test_a_night_in_which_the_clocks_change_ends_by_the_clock(evening: tuple[int, ...], hours: int) -> None:
    now = at("Europe/Berlin", *evening)
    assert quiet(BERLIN, now) == hours * 3600


def test_a_number_of_several_zones_is_quiet_while_any_is() -> None:
    assert len(zones_of(FREEPHONE)) > 3
    # Five in the evening in New York, and noon in Honolulu; the first of the zones to sleep is the one that counts.
    now = at("America/New_York", 2026, 6, 10, 22)
    left = quiet(FREEPHONE, now, "21:00", "08:00")
    ends = now + timedelta(seconds=left)
    assert all(not (local.hour >= 21 or local.hour < 8) for local in (ends.astimezone(z) for z in zones_of(FREEPHONE)))


def test_what_has_no_zone_is_judged_by_utc() -> None:
    assert zones_of("120363025246125486@g.us") == ()
    assert quiet("120363025246125486@g.us", datetime(2026, 6, 10, 23, tzinfo=UTC)) == 9 * 3600
    assert quiet("no number", datetime(2026, 6, 10, 12, tzinfo=UTC)) == 0


@given(
    st.sampled_from([BERLIN, NEW_YORK, "5511987654321", "61291234567", "120363025246125486@g.us"]),
    minutes,
    minutes,
    moments,
)
def test_nobody_is_written_to_at_night_and_nobody_waits_for_longer(
    phone: str, begin: int, end: int, now: datetime
) -> None:
    def is_quiet(moment: datetime) -> bool:
        for zone in zones_of(phone) or (ZoneInfo("UTC"),):
            local = moment.astimezone(zone)
            into = (local.hour * 60 + local.minute - begin) % 1440
            if into < (end - begin) % 1440:
                return True
        return False

    left = quiet_seconds(phone, begin, end, now)
    assert 0 <= left <= 25 * 3600
    assert (left > 0) == is_quiet(now)
    if len(zones_of(phone)) <= 1:
        assert not is_quiet(now + timedelta(seconds=left))
        # An end that the clock leaps over is an hour late.
        before = (now + timedelta(seconds=left) - timedelta(hours=hour, seconds=1) for hour in (0, 1))
        assert left < 1 or any(is_quiet(moment) for moment in before)
