"""A recipient opts out: while a campaign runs, by a word and by a caller, under another spelling of the number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.stories.conftest import Paceline, phones, statuses, until

SECRET = "a secret of ours"
# The same person with and without Brazil's ninth digit.
GIVEN, WRITES_AS = "5511987654321", "551187654321"


async def test_a_recipient_opts_out(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    # Everything is in the queue long before its turn comes, and is refused there.
    whole = await paceline(devices=1, WHATSAPP_WEBHOOK_SECRET=SECRET, FEED_HIGH_WATER="1000", RATE_DELAY_MEAN_MS="60")
    hook = {"url": f"{whole.gateway.url}/api/webhooks/gowa", "secret": SECRET}
    await whole.simulate("PUT", "webhook", json=hook)
    told, *others = phones(80)
    recipients = [*others, told, GIVEN]
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": recipients, "message": "news"})
    token = accepted["campaign_token"]
    await whole.message_of_campaign(token, "sent")

    added = await whole.call("PUT", f"/api/optouts/+{told}", json={"scope": "bulk"})
    assert added["source"] == "api"
    await whole.simulate("POST", "devices/account-1/inbound", json={"phone": WRITES_AS, "body": "Parar!"})

    async def is_listed() -> bool:
        listed = (await whole.call("GET", "/api/optouts"))["optouts"]
        return {one["source"] for one in listed} == {"api", "message"}

    await until(is_listed, "the word has been heard")
    counts = (await whole.campaign(token))["counts"]
    assert counts["queued"] > 2, "the campaign was over before anybody could opt out"

    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"] | {"sent": 79, "suppressed": 2} == campaign["counts"]
    messages = await whole.messages_of(token)
    assert {one["phone"] for one in messages if one["status"] == "suppressed"} == {
        f"{phone}@s.whatsapp.net" for phone in (told, GIVEN)
    }
    assert statuses(messages) == {"sent": 79, "suppressed": 2}
    assert not {send["phone"] for send in await whole.sends()} & {f"{told}@s.whatsapp.net", f"{GIVEN}@s.whatsapp.net"}

    # A text is no campaign.
    text = await whole.call("POST", "/api/send/message", 202, json={"phone": told, "message": "your code"})
    await whole.message_in(text["message_id"], "sent")
    await whole.judge()
