"""A text is sent: accepted, typed, sent, with every field exactly as the caller gave it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

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


async def test_a_text_for_later_waits_for_its_time(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2)
    send_at = datetime.now(UTC) + timedelta(seconds=4)
    body = {"phone": "15550100001", "message": "later", "send_at": send_at.isoformat()}
    later = (await whole.call("POST", "/api/send/message", 202, json=body))["message_id"]
    now = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100002", "message": "now"})
    await whole.message_in(now["message_id"], "sent")
    message = await whole.message_in(later, "sent")
    (attempt,) = message["attempts"]
    assert datetime.fromisoformat(attempt["started_at"]) >= send_at
    assert sorted(send["fields"]["message"] for send in await whole.sends()) == ["later", "now"]
    await whole.judge()


async def test_a_text_that_expires_is_not_sent(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2)
    await whole.call("POST", "/api/stop", json={"lane": "transactional", "reason": "an inspection"})
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    body = {"phone": "15550100001", "message": "code 1", "expires_at": expires_at.isoformat()}
    code = (await whole.call("POST", "/api/send/message", 202, json=body))["message_id"]
    lasting = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100002", "message": "code 2"})
    message = await whole.message_in(code, "expired")
    assert message["attempts"] == []
    await whole.call("POST", "/api/start")
    await whole.message_in(lasting["message_id"], "sent")
    assert [send["fields"]["message"] for send in await whole.sends()] == ["code 2"]
    assert (await whole.message(code))["status"] == "expired"
    await whole.judge()
