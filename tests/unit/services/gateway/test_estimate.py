"""How long a campaign still takes, out of pacing and counts."""

from typing import Any

import pytest

from services.gateway.routes.campaigns import estimated_seconds
from shared.database.campaigns import Progress

NOTHING = dict.fromkeys(
    ("sent", "failed", "unknown", "canceled", "expired", "suppressed", "under_way", "checking", "retrying"), 0
)


def progress(rate: float = 0.0, **changes: Any) -> Progress:
    row: Any = {"status": "running", "total": 100, "running_campaigns": 1, **NOTHING, **changes}
    return Progress(row, [], {}, set(), rate)


@pytest.mark.parametrize(
    ("campaign", "usable", "gap_ms", "seconds"),
    [
        (progress(), 1, 6000, 600),
        (progress(), 3, 6000, 200),
        (progress(sent=40, failed=10, retrying=5, under_way=1), 1, 6000, 300),
        (progress(running_campaigns=2), 1, 6000, 1200),
        (progress(status="paused"), 1, 6000, None),
        (progress(status="finished", sent=100), 1, 6000, None),
        (progress(rate=50.0), 1, 0, 120),
        (progress(), 1, 0, None),
    ],
)
def test_estimate(campaign: Progress, usable: int, gap_ms: float, seconds: float | None) -> None:
    assert estimated_seconds(campaign, usable, gap_ms) == seconds
