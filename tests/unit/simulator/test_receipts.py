"""Webhooks are signed, have GOWA's shape, are tried again, and come only when there is somewhere to post to."""

from __future__ import annotations

import hashlib
import hmac

from .conftest import PHONE, Receiver, Start


async def test_delivered_and_read_follow_a_send(start: Start, receiver: Receiver) -> None:
    options = {"webhook": receiver.url, "webhook_secret": "key", "receipt_delay": 0, "read_delay": 0.01}
    gowa = await start(**options)
    receiver.refusals = 1
    message_id = (await gowa.send())[1]["results"]["message_id"]
    seen = {}
    for _ in range(2):
        event, signature, body = await receiver.events.get()
        assert signature == "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
        assert event.keys() == {"event", "device_id", "session_id", "timestamp", "payload"}
        assert (event["event"], event["session_id"]) == ("message.ack", "sales-1")
        assert (event["payload"]["ids"], event["payload"]["from"]) == ([message_id], PHONE)
        seen[event["payload"]["receipt_type"]] = event
    assert seen.keys() == {"delivered", "read"}


async def test_a_message_that_was_taken_without_an_answer_is_acknowledged_too(start: Start, receiver: Receiver) -> None:
    gowa = await start(receipt_delay=0)
    await gowa.client.put("/simulator/webhook", json={"url": receiver.url, "secret": "key"})
    await gowa.mood("504-lost", count=1)
    assert (await gowa.send())[0] == 504
    await gowa.mood("504-taken", count=1)
    assert (await gowa.send())[0] == 504
    event, _, _ = await receiver.events.get()
    assert event["payload"]["ids"] == [(await gowa.lines())[1]["whatsapp_id"]]


async def test_an_inbound_text(start: Start, receiver: Receiver) -> None:
    gowa = await start(webhook=receiver.url)
    response = await gowa.client.post(
        "/simulator/devices/sales-1/inbound", json={"phone": "15550100001", "body": "stop"}
    )
    event, _, _ = await receiver.events.get()
    assert event["event"] == "message"
    assert event["payload"]["id"] == (await response.json())["id"]
    assert (event["payload"]["from"], event["payload"]["body"], event["payload"]["is_from_me"]) == (
        PHONE,
        "stop",
        False,
    )


async def test_an_inbound_text_needs_a_webhook(start: Start) -> None:
    gowa = await start()
    body = {"phone": "15550100001", "body": "stop"}
    assert (await gowa.client.post("/simulator/devices/sales-1/inbound", json=body)).status == 400


async def test_a_chat_that_has_moved_to_lids_is_named_by_its_lid(start: Start, receiver: Receiver) -> None:
    gowa = await start(webhook=receiver.url, receipt_delay=0, read_delay=3600)
    await gowa.send()
    plain = (await receiver.events.get())[0]["payload"]
    assert (plain["chat_id"], plain["from"], "from_lid" in plain) == (PHONE, PHONE, False)
    moved_phone = "15550100002@s.whatsapp.net"
    await gowa.send(phone=moved_phone)
    moved = (await receiver.events.get())[0]["payload"]
    assert (moved["from"], moved["chat_id"].endswith("@lid")) == (moved_phone, True)
    assert moved["chat_id"] == moved["from_lid"]
