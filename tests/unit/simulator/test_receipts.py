"""Receipts are signed, have GOWA's shape, are tried again, and come for everything that was taken."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import pytest

from simulator.webhook import Webhook

from .conftest import PHONE, Receiver, Start, until


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


@pytest.mark.parametrize("addressing", ["phone", "lid", "lid-only"])
async def test_how_people_are_named_can_be_chosen(start: Start, receiver: Receiver, addressing: str) -> None:
    gowa = await start(receipt_delay=0, read_delay=3600)
    assert (await gowa.client.put("/simulator/webhook", json={"addressing": "by name"})).status == 400
    await gowa.client.put("/simulator/webhook", json={"url": receiver.url, "addressing": addressing})
    await gowa.send()
    payload = (await receiver.events.get())[0]["payload"]
    assert (payload["from"] == PHONE) == (addressing != "lid-only")
    assert (payload["chat_id"] == PHONE, "from_lid" in payload) == (addressing == "phone", addressing != "phone")


@pytest.mark.parametrize("by", ["mood", "latency"])
async def test_receipts_of_a_send_that_ends_as_504_may_come_first(start: Start, receiver: Receiver, by: str) -> None:
    options = {"latency": 3600} if by == "latency" else {}
    gowa = await start(webhook=receiver.url, receipt_delay=0, read_delay=0, deadline=3600 - 1, **options)
    if by == "mood":
        await gowa.mood("504-taken", latency_ms=3_000_000)
    sending = asyncio.create_task(gowa.send())
    for _ in range(2):
        payload = (await receiver.events.get())[0]["payload"]
        assert (payload["from"], payload["ids"]) == (PHONE, [(await gowa.line())["whatsapp_id"]])
    assert not sending.done()
    sending.cancel()


async def test_an_event_is_lost_after_five_attempts(start: Start, receiver: Receiver) -> None:
    webhook = Webhook(receiver.url, "secret", pauses=(0, 0, 0, 0))
    receiver.refusals = 4
    webhook.post({"event": "kept"})
    assert (await receiver.events.get())[0] == {"event": "kept"}
    receiver.refusals = 5
    webhook.post({"event": "lost"})

    async def is_refused() -> bool:
        return receiver.refusals == 0

    await until(is_refused)
    webhook.post({"event": "next"})
    assert (await receiver.events.get())[0] == {"event": "next"}
    await webhook.close()


async def test_a_receiver_that_is_down_for_all_does_not_keep_later_events_alive(unused_tcp_port: int) -> None:
    """However many events there are, each one's attempts run from its own beginning."""
    webhook = Webhook(f"http://127.0.0.1:{unused_tcp_port}/hook", "secret", pauses=(0, 0, 0, 0))
    for number in range(300):
        webhook.post({"event": str(number)})

    async def is_idle() -> bool:
        return not webhook.pending

    await until(is_idle)
    await webhook.close()


async def test_any_other_event_is_posted_as_it_is(start: Start, receiver: Receiver) -> None:
    gowa = await start(webhook=receiver.url)
    content = {"event": "call.offer", "timestamp": "2026-09-01T10:29:00Z", "payload": {"call_id": "C0FFEE01"}}
    assert (await gowa.client.post("/simulator/devices/sales-1/event", json=content)).status == 200
    event, _, _ = await receiver.events.get()
    assert event == {**content, "device_id": event["device_id"], "session_id": "sales-1"}
    for wrong in ({"event": "x"}, {"payload": {}}):
        assert (await gowa.client.post("/simulator/devices/sales-1/event", json=wrong)).status == 400
