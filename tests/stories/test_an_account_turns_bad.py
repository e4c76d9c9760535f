"""An account turns bad: too many of its sends fail, so it is slowed, then suspended, and it comes back by a trial."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.stories.conftest import Paceline, phones, until


async def feedback_is(whole: Paceline, device: str, state: str) -> dict[str, Any]:
    """Waits until feedback has the account there; answers its figures."""

    async def there() -> dict[str, Any] | None:
        figures = await whole.endpoint_figures(device)
        return figures if figures["feedback"]["state"] == state else None

    found: dict[str, Any] = await until(there, f"{device} is {state}")
    return found


async def alert_is_on(whole: Paceline, name: str, device: str) -> dict[str, Any]:
    async def is_on() -> dict[str, Any] | None:
        alerts = (await whole.call("GET", "/api/statistics/alerts"))["alerts"]
        return next((one for one in alerts if (one["name"], one["endpoint"]) == (name, whole.endpoint(device))), None)

    found: dict[str, Any] = await until(is_on, f"the alert {name} of {device}")
    return found


async def sends_of(whole: Paceline, device: str) -> int:
    return sum(send["device"] == device for send in await whole.sends())


async def test_an_account_turns_bad(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(
        devices=2,
        dispatchers=2,
        FEEDBACK_WINDOW="2s",
        FEEDBACK_MIN_SAMPLE="10",
        FEEDBACK_SUSPENSION="5s",
        FEEDBACK_TRIAL_SIZE="5",
        WORKER_MAX_RETRIES="20",
        # It fails too seldom in a row for its breaker.
        CIRCUIT_BREAKER_FAILURE_THRESHOLD="1000",
    )
    await whole.simulate("PUT", "devices/account-1/mood", json={"mood": "500", "rate": 0.6})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(500), "message": "news"})

    slowed = await feedback_is(whole, "account-1", "slowed")
    assert slowed["feedback"]["reason"].endswith("attempts failed within 2 s")
    assert slowed["feedback"]["slow_factor"] == 3
    assert not slowed["suspended"]
    assert (await alert_is_on(whole, "account_slowed", "account-1"))["text"].startswith("slowed 3 times: ")

    suspended = await feedback_is(whole, "account-1", "suspended")
    reason = suspended["feedback"]["reason"]
    assert reason.endswith("attempts failed although it was slowed")
    assert (suspended["suspended"], suspended["suspended_by"], suspended["suspend_reason"]) == (
        True,
        "feedback",
        reason,
    )
    assert (await alert_is_on(whole, "account_suspended", "account-1"))["text"] == f"suspended: {reason}"
    assert (await whole.health())["status"] == "degraded"
    before, taken_by_other = await sends_of(whole, "account-1"), await sends_of(whole, "account-2")

    async def other_goes_on() -> bool:
        return await sends_of(whole, "account-2") >= taken_by_other + 10

    await until(other_goes_on, "the other account takes its traffic")
    assert await sends_of(whole, "account-1") == before, "nothing is sent through it"

    await whole.simulate("PUT", "devices/account-1/mood", json={"mood": "ok"})
    trial = await feedback_is(whole, "account-1", "trial")
    assert (trial["feedback"]["reason"], trial["suspended"]) == ("its suspension is over", False)
    number = 0

    async def is_normal() -> bool:
        nonlocal number
        number += 1
        # The campaign may be over; a trial needs something to send.
        body = {"phone": f"1555011{number:04d}", "message": f"trial {number}"}
        await whole.call("POST", "/api/send/message", 202, json=body)
        return bool((await whole.endpoint_figures("account-1"))["feedback"]["state"] == "normal")

    await until(is_normal, "account-1 is as the others again")
    assert (await whole.endpoint_figures("account-1"))["feedback"]["reason"].endswith("attempts went well on trial")
    assert (await whole.endpoint_figures("account-2"))["feedback"]["state"] == "normal"
    campaign = await whole.campaign_in(accepted["campaign_token"], "finished")
    assert campaign["counts"]["sent"] == 500

    async def alerts_are_over() -> bool:
        alerts = (await whole.call("GET", "/api/statistics/alerts"))["alerts"]
        return not any(one["endpoint"] == whole.endpoint("account-1") for one in alerts)

    await until(alerts_are_over, "its alerts are over")
    await whole.judge()
