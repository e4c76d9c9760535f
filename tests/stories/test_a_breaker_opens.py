"""A breaker opens: an account that keeps failing gets nothing more, others take over, and it comes back by trials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.stories.conftest import Paceline, phones


async def test_a_breaker_opens(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2, dispatchers=2, CIRCUIT_BREAKER_OPEN_TIMEOUT="3s", WORKER_MAX_RETRIES="10")
    await whole.simulate("PUT", "devices/account-1/mood", json={"mood": "500"})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(60), "message": "hello"})
    await whole.breaker_is("account-1", "open")
    failures = [send for send in await whole.sends() if send["device"] == "account-1"]
    assert len(failures) == 3, "three failures in a row open it, over all dispatchers together"
    health = await whole.health()
    assert health["status"] == "degraded"

    await whole.simulate("PUT", "devices/account-1/mood", json={"mood": "ok"})
    campaign = await whole.campaign_in(accepted["campaign_token"], "finished")
    assert campaign["counts"]["sent"] == 60
    await whole.account_closes("account-1")
    assert any(send["device"] == "account-1" and send["taken"] for send in await whole.sends())
    await whole.judge()
