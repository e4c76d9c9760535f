"""What the simulator remembers: numbers, chat storage, the ledger and its summary."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from .conftest import PHONE, Gowa, Start, until


async def test_a_number_that_is_not_on_whatsapp(start: Start) -> None:
    gowa = await start(not_on_whatsapp_suffix="13")
    await gowa.client.put("/simulator/numbers", json={"not_on_whatsapp": ["15550100002"]})
    for number in ("15550100002", "15550100013"):
        status, envelope = await gowa.send(phone=f"{number}@s.whatsapp.net")
        assert (status, envelope["code"]) == (400, "INVALID_JID")
        assert envelope["message"] == f"Phone {number}@s.whatsapp.net is not on whatsapp"
        assert await gowa.results("/user/check", phone=number) == {"is_on_whatsapp": False}
        typing = await gowa.send("chat-presence", phone=f"{number}@s.whatsapp.net", action="start")
        assert typing[0] == 400
    assert (await gowa.send())[0] == 200
    assert await gowa.results("/user/check", phone=PHONE) == {"is_on_whatsapp": True}


@pytest.mark.parametrize("phone", ["", "120363000000000001@g.us", "1234567890123456"])
async def test_the_check_is_true_for_what_is_not_looked_up(gowa: Gowa, phone: str) -> None:
    assert await gowa.results("/user/check", phone=phone) == {"is_on_whatsapp": True}


async def test_a_lookup_that_fails_once(gowa: Gowa) -> None:
    await gowa.client.put("/simulator/numbers", json={"lookup_fails": {"15550100001": 1}})
    assert (await gowa.send("chat-presence", phone=PHONE, action="start"))[0] == 200
    assert (await gowa.send())[1]["code"] == "INVALID_JID"
    assert await gowa.results("/user/check", phone="15550100001") == {"is_on_whatsapp": True}
    assert (await gowa.send())[0] == 200


async def test_send_and_check_agree_on_a_share_of_numbers(gowa: Gowa) -> None:
    await gowa.mood("not-on-whatsapp", rate=0.5)
    found = set()
    for n in range(20):
        status, _ = await gowa.send(phone=f"155501000{n:02}@s.whatsapp.net")
        check = await gowa.results("/user/check", phone=f"155501000{n:02}")
        assert check == {"is_on_whatsapp": status == 200}
        found.add(status)
    assert found == {200, 400}


async def test_without_account_validation_an_unknown_number_is_500(start: Start) -> None:
    gowa = await start(account_validation=False, not_on_whatsapp_suffix="1")
    status, envelope = await gowa.send()
    assert (status, envelope["message"]) == (500, f"no LID found for {PHONE} from server")


async def test_storage_comes_after_the_answer(start: Start) -> None:
    slow, quick = await start(storage_delay=3600), await start(storage_delay=0.01)
    for gowa in (slow, quick):
        assert (await gowa.send())[0] == 200
    assert [row["content"] for row in await until(quick.stored)] == ["hello"]
    assert await slow.stored() == []


async def test_messages_of_a_chat_are_filtered(start: Start) -> None:
    gowa = await start(fetch_urls=False)
    for n in range(5):
        await gowa.send(message=f"text {n}")
    await gowa.send("image", phone=PHONE, image_url="https://example.com/a.jpg")
    page = await gowa.results(f"/chat/{PHONE}/messages", limit="2", offset="1")
    assert page["pagination"] == {"limit": 2, "offset": 1, "total": 6}
    assert len(page["data"]) == 2
    assert page["chat_info"]["jid"] == PHONE
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    ago, ahead = (now - hour).isoformat(), (now + hour).isoformat()
    assert len(await gowa.stored(start_time=ago, end_time=ahead, is_from_me="true")) == 6
    assert await gowa.stored(start_time=ahead) == []
    assert await gowa.stored(end_time=ago) == []
    assert await gowa.stored(is_from_me="false") == []
    assert [row["content"] for row in await gowa.stored(media_only="true")] == ["🖼️ Image"]
    # With a search nothing else counts but the limit.
    assert [row["content"] for row in await gowa.stored(search="TEXT 3", start_time=ago, offset="9")] == ["text 3"]


async def test_wrong_filters_and_an_unknown_chat(gowa: Gowa) -> None:
    unknown = await gowa.results("/chat/15550100099@s.whatsapp.net/messages")
    assert unknown["data"] == []
    nothing = {"name": "", "last_message_time": "", "ephemeral_expiration": 0, "created_at": "", "updated_at": ""}
    assert unknown["chat_info"] == {"jid": "15550100099@s.whatsapp.net", "archived": False, **nothing}
    await gowa.send()
    path = f"/chat/{PHONE}/messages"
    assert (await gowa.get(path, start_time="yesterday"))[0] == 500
    for limit in ("101", "-1"):
        assert (await gowa.get(path, limit=limit))[1]["code"] == "VALIDATION_ERROR"


async def test_chats(gowa: Gowa) -> None:
    await gowa.send()
    await gowa.send(phone="15550100002@s.whatsapp.net")
    chats = await gowa.results("/chats")
    assert {chat["jid"] for chat in chats["data"]} == {PHONE, "15550100002@s.whatsapp.net"}
    assert chats["pagination"]["total"] == 2
    assert len((await gowa.results("/chats", search="0002"))["data"]) == 1
    assert (await gowa.results("/chats", has_media="true"))["data"] == []


async def test_sends_of_a_device_wait_for_each_other_and_not_for_others(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    await gowa.mood("slow", latency_ms=30_000)
    waiting = [asyncio.create_task(gowa.send(device="sales-1", message=str(n))) for n in range(2)]
    await until(lambda: _has(gowa, 2))
    # Its own mood would let this one through at once, but the lock is taken.
    await gowa.mood("ok")
    waiting.append(asyncio.create_task(gowa.send(device="sales-1")))
    await until(lambda: _has(gowa, 3))
    assert (await gowa.send(device="sales-2"))[0] == 200
    summary = await gowa.summary()
    assert (summary["devices"]["sales-1"]["pending"], summary["devices"]["sales-1"]["max_in_flight"]) == (3, 3)
    assert [line["in_flight"] for line in await gowa.lines()] == [1, 2, 3, 1]
    for send in waiting:
        send.cancel()


async def _has(gowa: Gowa, lines: int) -> bool:
    return len(await gowa.lines()) == lines


async def test_sends_that_waited_leave_one_after_the_other(start: Start) -> None:
    gowa = await start(latency=0.05)
    answers = await asyncio.gather(*(gowa.send(message=str(n)) for n in range(3)))
    assert [status for status, _ in answers] == [200, 200, 200]
    ends = sorted(line["finished_at"] for line in await gowa.lines())
    # No less than the latency lies between two, however slow the machine.
    assert all(later - earlier > 0.045 for earlier, later in pairwise(ends))
    await gowa.send()
    assert (await gowa.lines())[-1]["in_flight"] == 1


async def test_doubles_are_the_same_message_taken_again(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    await gowa.send(device="sales-1")
    await gowa.send(device="sales-1", message="another")
    await gowa.send(device="sales-1", phone="15550100002@s.whatsapp.net")
    await gowa.mood("500", device="sales-2", count=1)
    await gowa.send(device="sales-2")
    assert (await gowa.summary())["doubles"] == 0
    await gowa.send(device="sales-2")
    summary = await gowa.summary()
    assert (summary["doubles"], summary["double_lines"]) == (1, [[1, 5]])
    assert [summary["devices"][device]["doubles"] for device in ("sales-1", "sales-2")] == [0, 1]


async def test_the_ledger_is_filtered_and_cleared(gowa: Gowa) -> None:
    await gowa.send()
    await gowa.send("chat-presence", phone=PHONE, action="start")
    await gowa.send(message="2")
    assert [line["sequence"] for line in await gowa.lines(kind="message")] == [1, 3]
    assert [line["sequence"] for line in await gowa.lines(since="2")] == [3]
    assert await gowa.lines(device="sales-9") == []
    first = (await gowa.lines())[0]
    assert first["arrived_at"] <= first["finished_at"]
    assert (await gowa.client.delete("/simulator/ledger")).status == 200
    assert (await gowa.get("/simulator/ledger"))[1] == {"entries": [], "last": 3}
    await gowa.send()
    assert [line["sequence"] for line in await gowa.lines()] == [4]


MALFORMED = [
    ("message", {"phone": PHONE, "message": "x", "lane": "bulk"}, "unknown field lane"),
    ("message", {"phone": PHONE, "message": "a\x00b"}, "message holds a NUL"),
    ("message", {"phone": PHONE, "message": "x", "reply_message_id": ""}, "reply_message_id is empty"),
    ("message", {"phone": PHONE, "message": "x", "duration": None}, "field duration is null"),
    ("message", {"phone": "15550100001@lid", "message": "x"}, "phone is not digits@s.whatsapp.net nor a group"),
    ("image", {"phone": PHONE, "image_url": "example.com/a.jpg"}, "image_url is no http(s) address"),
    ("contact", {"phone": PHONE, "contact_name": "A", "contact_phone": "+1 555"}, "contact_phone is not"),
    ("presence", {}, "type is missing"),
]


@pytest.mark.parametrize(("kind", "fields", "reason"), MALFORMED)
async def test_what_gowa_takes_and_a_careful_client_never_sends(
    start: Start, kind: str, fields: dict[str, object], reason: str
) -> None:
    gowa = await start(fetch_urls=False)
    response = await gowa.client.post(f"/send/{kind}", json=fields)
    assert response.status == 200
    assert any(reason in found for found in (await gowa.line())["malformed"])


@pytest.mark.parametrize("body", [b"[]", b"{"])
async def test_the_control_api_refuses_what_is_no_object(gowa: Gowa, body: bytes) -> None:
    assert (await gowa.client.put("/simulator/numbers", data=body)).status == 400
    assert (await gowa.client.put("/simulator/devices/none/mood", json={"mood": "ok"})).status == 400
