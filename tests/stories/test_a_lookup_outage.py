"""A lookup outage: the sender calls everybody "not on WhatsApp". Nobody is believed to be absent who is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.stories.conftest import Paceline, phones, until

ABSENT = 4


async def test_a_lookup_outage(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    # With no retry at all, one wrong word would fail a message for good.
    whole = await paceline(devices=2, dispatchers=2, WORKER_MAX_RETRIES="0", FEEDBACK_ENABLED="false")
    people = phones(60)
    absent = people[:: len(people) // ABSENT][:ABSENT]
    await whole.simulate("PUT", "numbers", json={"not_on_whatsapp": absent, "lookup_fails": {}})

    # One account's lookups are out: the other takes its messages.
    await whole.simulate("PUT", "devices/account-1/mood", json={"mood": "lookups-out"})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": people, "message": "hello"})
    token = accepted["campaign_token"]
    await whole.breaker_is("account-1", "open")
    assert "lookups are out" in (await whole.endpoint_figures("account-1"))["circuit_breaker"]["reason"]
    await whole.message_of_campaign(token, "sent")

    # Then all are: sending stops, and trial after trial finds it out anew.
    await whole.simulate("PUT", "mood", json={"mood": "lookups-out"})
    await whole.breaker_is("account-2", "open")
    before = len(await whole.sends())

    async def tried_again() -> bool:
        return len(await whole.sends()) >= before + 4

    await until(tried_again, "four trials in the outage")
    failed = {message["phone"].partition("@")[0] for message in await whole.messages_of(token, "failed")}
    assert failed <= set(absent), "somebody who is on WhatsApp was called absent"
    reasons = [(await whole.endpoint_figures(device))["circuit_breaker"]["reason"] for device in whole.devices]
    assert all("lookups are out" in reason for reason in reasons if reason), reasons

    await whole.simulate("PUT", "mood", json={"mood": "ok"})
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == len(people) - ABSENT
    failed = {message["phone"].partition("@")[0] for message in await whole.messages_of(token, "failed")}
    assert failed == set(absent)
    assert sum(line["messages"] for line in campaign["reasons"]) == campaign["counts"]["failed"]
    await whole.judge()
