"""A receipt comes in: what was sent is delivered and read, of a text and of a whole campaign."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.stories.conftest import Paceline, phones, until

SECRET = "a secret of ours"


async def test_a_receipt_comes_in(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(
        devices=2, dispatchers=2, WHATSAPP_WEBHOOK_SECRET=SECRET, SILENT_DROP_AFTER="1ms", HEALTH_CHECK_INTERVAL="1s"
    )
    hook = {"url": f"{whole.gateway.url}/api/webhooks/gowa", "secret": SECRET}
    await whole.simulate("PUT", "webhook", json=hook)
    text = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550109999", "message": "hello"})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(40), "message": "news"})
    token = accepted["campaign_token"]

    async def is_read() -> dict[str, Any] | None:
        found = await whole.message(text["message_id"])
        return found if found["receipt"] == "read" else None

    async def all_read() -> dict[str, Any] | None:
        campaign = await whole.campaign(token)
        return campaign if campaign["receipts"]["read"] == 40 else None

    assert (await until(is_read, "the text is read"))["status"] == "sent"
    campaign = await until(all_read, "all of the campaign are read")
    assert (campaign["counts"]["sent"], campaign["receipts"]) == (40, {"delivered": 40, "read": 40})
    assert {message["receipt"] for message in await whole.messages_of(token)} == {"read"}

    # From here on the accounts take messages and nobody gets them.
    await whole.simulate("PUT", "webhook", json={"url": ""})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(20, 100), "message": "more"})
    await whole.campaign_in(accepted["campaign_token"], "finished")

    async def is_noticed() -> bool:
        figures = [await whole.endpoint_figures(device) for device in whole.devices]
        return all(line["undelivered_share"] and line["undelivered_share"] > 0.05 for line in figures)

    await until(is_noticed, "messages without a receipt are noticed")
    await whole.judge()


async def test_it_proves_a_send_that_the_sender_gave_up(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    """Answered 504 and never in its chat storage, but the recipient has it: not sent again."""
    whole = await paceline(devices=2, WHATSAPP_WEBHOOK_SECRET=SECRET, CIRCUIT_BREAKER_FAILURE_THRESHOLD="10")
    await whole.simulate("PUT", "webhook", json={"url": f"{whole.gateway.url}/api/webhooks/gowa", "secret": SECRET})
    await whole.simulate("PUT", "mood", json={"mood": "504-taken", "count": 1})
    accepted = await whole.call(
        "POST", "/api/send/message", 202, json={"phone": "15550109999", "message": "hello", "on_unknown": "resend"}
    )
    message = await whole.message_in(accepted["message_id"], "sent", "failed", "unknown")
    assert [attempt["verdict"] for attempt in message["attempts"]] == ["sent"]
    (send,) = await whole.sends()
    assert (message["status"], message["whatsapp_id"]) == ("sent", send["whatsapp_id"])
    assert message["possible_duplicate"] is False
    await whole.judge()
