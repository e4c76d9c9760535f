"""The wall clocks of services are wrong, and jump while messages are on their way: nothing depends on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp

from tests.chaos.conftest import DEAD_AFTER, MakePaceline, Truth, text
from tests.chaos.wall_clock import WallClock
from tests.stories.conftest import phones, until

HOUR = 3600.0
RECIPIENTS = 40
GAP = 0.1
PACE = {
    "RATE_DELAY_MEAN_MS": "100",
    "RATE_DELAY_JITTER_MS": "0",
    "RATE_LIMIT_DELAY_MIN": "100ms",
    "RATE_LIMIT_DELAY_MAX": "100ms",
}
BRITISH = [f"44770090000{number}" for number in range(10)]
"""Recipients in one time zone, where it will be quiet soon."""


def _quiet_by_a_clock_that_is_ahead() -> str:
    now = datetime.now(ZoneInfo("Europe/London"))
    return f"{now + timedelta(minutes=20):%H:%M}-{now + timedelta(minutes=100):%H:%M}"


async def test_wall_clocks_decide_nothing(paceline: MakePaceline, truth: Truth, tmp_path: Path) -> None:
    ahead = WallClock(tmp_path / "ahead.clock", HOUR)
    behind = WallClock(tmp_path / "behind.clock", -HOUR)
    # Gateway, monitor, scheduler and one dispatcher are ahead; the other dispatcher is behind, the sender right.
    whole = await paceline(
        devices=2,
        DISPATCHER_DEAD_AFTER=DEAD_AFTER,
        RETRY_BASE_DELAY="1s",
        QUIET_HOURS=_quiet_by_a_clock_that_is_ahead(),
        **PACE,
        **ahead.environment,
    )
    await whole.add_dispatcher(**behind.environment)
    said = (await whole.call("GET", "/api/statistics"))["timestamp"]
    assert datetime.fromisoformat(said) > datetime.now(UTC) + timedelta(minutes=50), "the clock is not moved"

    await whole.simulate("PUT", "mood", json={"mood": "500", "rate": 0.2, "seed": 1})
    body = {"phone": [*phones(RECIPIENTS - len(BRITISH)), *BRITISH], "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    single = await text(whole, "15550109001")

    async def under_way() -> bool:
        return bool((await whole.campaign(token))["counts"]["sent"] >= 5)

    await until(under_way, "some are sent")
    ahead.move(-HOUR)
    behind.move(HOUR)
    await whole.simulate("PUT", "mood", json={"mood": "ok"})
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == RECIPIENTS
    await whole.message_in(single, "sent")

    taken = [str(send["phone"]) for send in await whole.sends() if send["taken"]]
    assert len(taken) == len(set(taken)) == RECIPIENTS + 1
    for device in whole.devices:
        sends = [send for send in await whole.sends() if send["device"] == device]
        gaps = [after["arrived_at"] - before["finished_at"] for before, after in pairwise(sends)]
        assert min(gaps) >= GAP * 0.99, "no account sent sooner than its pace allows"
    times = await truth.value(
        "select bool_and(at between clock_timestamp() - interval '5 minutes' and clock_timestamp()) from ("
        "select created_at as at from messages union all select started_at from attempts"
        " union all select finished_at from attempts) t"
    )
    assert times, "all times are those of Postgres"
    async with aiohttp.ClientSession() as session, session.get(f"{whole.scheduler.url}/metrics") as response:
        assert "paceline_dispatchers_dead_total 0.0" in await response.text()
    assert (await whole.health())["status"] == "ok"
    await whole.judge()
