"""A text is sent: accepted, typed, sent, with every field exactly as the caller gave it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.stories.conftest import Paceline

FIELDS = {
    "message": "Hello, Ana 👋\nyour code is 1234",
    "reply_message_id": "3EB0A1B2C3D4E5F60718",
    "is_forwarded": True,
    "duration": 86400,
    "mentions": ["15550100099"],
}


async def test_a_text_is_sent(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2)
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": "+1 555-010-0001", **FIELDS})
    assert accepted["status"] == "queued"

    message = await whole.message_in(accepted["message_id"], "sent")
    assert [attempt["number"] for attempt in message["attempts"]] == [1]
    assert message["attempts"][0]["verdict"] == "sent"
    assert message["attempts"][0]["http_status"] == 200

    (send,) = await whole.sends()
    assert send["kind"] == "message"
    assert send["fields"] == {"phone": "15550100001@s.whatsapp.net", **FIELDS}
    assert send["whatsapp_id"] == message["whatsapp_id"]
    lines = (await whole.simulate("GET", "ledger"))["entries"]
    presence = [line["fields"]["action"] for line in lines if line["kind"] == "chat-presence"]
    assert presence == ["start", "stop"], "the recipient saw typing, and it ended"
    await whole.judge()


async def test_a_text_goes_ahead_of_a_campaign(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=1)
    recipients = [f"1555010{number:04d}" for number in range(100, 200)]
    campaign = await whole.call("POST", "/api/send/message", 202, json={"phone": recipients, "message": "news"})
    first = await whole.message_of_campaign(campaign["campaign_token"], "sent")
    text = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "code 1"})
    await whole.message_in(text["message_id"], "sent")
    counts = (await whole.campaign(campaign["campaign_token"]))["counts"]
    assert first
    assert counts["queued"] > 50, "the text did not wait for the campaign"
    await whole.call("POST", f"/api/campaigns/{campaign['campaign_token']}/cancel")
    await whole.campaign_in(campaign["campaign_token"], "canceled")
    await whole.judge()
