"""After a pause has been acknowledged no attempt begins, under load and through all services; a resume sends the rest."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.chaos.conftest import MakePaceline, Truth
from tests.stories.conftest import phones, until

RECIPIENTS = 240
NO_PACE = {
    "RATE_DELAY_MEAN_MS": "0",
    "RATE_DELAY_JITTER_MS": "0",
    "RATE_LIMIT_DELAY_MIN": "0",
    "RATE_LIMIT_DELAY_MAX": "0",
}


async def test_no_attempt_begins_after_the_acknowledgement(paceline: MakePaceline, truth: Truth) -> None:
    whole = await paceline(devices=6, dispatchers=2, **NO_PACE)
    body = {"phone": phones(RECIPIENTS), "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    begun = "select count(*) from messages where campaign = $1 and attempt > 0"
    for number in range(6):
        before = await truth.value(begun, token)

        async def goes_on(before: int = before) -> bool:
            return bool(await truth.value(begun, token) > before)

        await until(goes_on, "the campaign goes on")
        await whole.call("POST", f"/api/campaigns/{token}/pause")
        at_acknowledgement = await truth.value(begun, token)
        # Long enough for what is being typed to come to the gate.
        await asyncio.sleep(0.3)
        assert await truth.value(begun, token) == at_acknowledgement, f"pause {number} was passed by"
        await whole.call("POST", f"/api/campaigns/{token}/resume")
    await whole.campaign_in(token, "finished")
    taken = Counter(send["phone"] for send in await whole.sends() if send["taken"])
    assert (len(taken), set(taken.values())) == (RECIPIENTS, {1})
    await whole.judge()
