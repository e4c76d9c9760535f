"""Quiet hours in the recipient's time zone, which the number tells: a pure rule.

A country with several zones gives several where the number does not say which; it is quiet while it is in any of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone as number_zones

_DAY = 1440


@lru_cache(maxsize=20_000)
def zones_of(phone: str) -> tuple[ZoneInfo, ...]:
    """The time zones of a number (digits, a server part may follow); none for groups and what has no zone."""
    digits, _, server = phone.partition("@")
    if server not in ("", "s.whatsapp.net") or not digits.isdigit():
        return ()
    try:
        names = number_zones.time_zones_for_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return ()
    zones = []
    for name in names:
        try:
            zones.append(ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError):
            continue
    return tuple(zones)


def quiet_seconds(phone: str, begin: int, end: int, now: datetime) -> float:
    """Seconds until it is not quiet for this number any more, 0: it is not quiet. ``begin`` and ``end`` in minutes of the
    day, equal for never quiet; ``now`` with a time zone. A number without a zone is judged by UTC."""
    if begin == end:
        return 0.0
    waited = timedelta(0)
    # The end of one zone's quiet may lie in another's; a day holds all of them.
    while waited < timedelta(days=1):
        left = max(_left(now + waited, zone, begin, end) for zone in zones_of(phone) or (ZoneInfo("UTC"),))
        if left <= 0:
            break
        waited += timedelta(seconds=left)
    return waited.total_seconds()


def _left(now: datetime, zone: ZoneInfo, begin: int, end: int) -> float:
    local = now.astimezone(zone)
    length = (end - begin) % _DAY
    into = (local.hour * 60 + local.minute - begin) % _DAY
    if into >= length:
        return 0.0
    # By the clock on the wall, which may have changed by then.
    ends = local.replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=length - into)
    return (ends.replace(tzinfo=zone).astimezone(UTC) - now).total_seconds()
