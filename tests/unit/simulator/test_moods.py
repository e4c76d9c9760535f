"""Each mood shows its fault, takes and stores what it should, and ends when it should."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from aiohttp import FormData

from .conftest import JPEG, PHONE, Gowa, Start, until

# mood, status, code (None: plain text or no JSON), part of the message, taken, stored
ANSWERED = [
    ("slow", 200, "SUCCESS", "Message sent", True, True),
    ("500", 500, "INTERNAL_SERVER_ERROR", "failed to send usync query", False, False),
    ("500-after", 500, "INTERNAL_SERVER_ERROR", "disconnected before message send returned response", True, False),
    ("401-json", 401, "AUTHENTICATION_ERROR", "not connect", False, False),
    ("401-not-logged-in", 401, "AUTHENTICATION_ERROR", "not logged in", False, False),
    ("401-text", 401, None, "Unauthorized", False, False),
    ("invalid-wa-cli", 500, "INVALID_WA_CLI", "invalid or empty", False, False),
    ("logged-out", 500, "INVALID_WA_CLI", "invalid or empty", False, False),
    ("offline", 401, "AUTHENTICATION_ERROR", "not connect", False, False),
    ("404-device", 404, "DEVICE_NOT_FOUND", "device not found", False, False),
    ("not-on-whatsapp", 400, "INVALID_JID", f"Phone {PHONE} is not on whatsapp", False, False),
    ("lookup-fails", 400, "INVALID_JID", f"Phone {PHONE} is not on whatsapp", False, False),
    ("429-timelock", 429, "WA_REACHOUT_TIMELOCK", "463", False, False),
    ("504-taken", 504, "GATEWAY_TIMEOUT", "Request timed out", True, False),
    ("504-lost", 504, "GATEWAY_TIMEOUT", "Request timed out", False, False),
    ("413", 413, None, "Too Large", False, False),
    ("garbage", 200, None, "<html>", False, False),
]


@pytest.mark.parametrize(("mood", "status", "code", "sentence", "taken", "stored"), ANSWERED)
async def test_a_mood_that_answers(
    gowa: Gowa, mood: str, status: int, code: str | None, sentence: str, taken: bool, stored: bool
) -> None:
    await gowa.mood(mood, count=1, latency_ms=1)
    answer, body = await gowa.send(device="sales-1")
    assert answer == status
    if code is None:
        assert sentence in body
    else:
        assert body["code"] == code
        assert sentence in body["message"]
    line = await gowa.line()
    assert (line["outcome"], line["taken"], line["malformed"]) == (status, taken, [])
    assert (line["whatsapp_id"] is not None) == taken
    assert [row["id"] for row in await gowa.stored()] == ([line["whatsapp_id"]] if stored else [])
    # It was for one send only.
    assert (await gowa.send(message="again"))[0] == 200


@pytest.mark.parametrize("mood", ["cut-before", "cut-after"])
async def test_a_cut_connection(gowa: Gowa, mood: str) -> None:
    await gowa.mood(mood, count=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await gowa.send()
    line = await gowa.line()
    is_after = mood == "cut-after"
    assert (line["outcome"], line["taken"], len(await gowa.stored())) == (mood, is_after, int(is_after))
    assert line["phone"] == PHONE


@pytest.mark.parametrize("taken", [True, False])
async def test_a_hang_ends_when_the_client_leaves(gowa: Gowa, taken: bool) -> None:
    await gowa.mood("hang", count=1, taken=taken)
    hanging = asyncio.create_task(gowa.send())
    await until(lambda: gowa.lines())
    assert (await gowa.line())["outcome"] is None
    assert (await gowa.summary())["pending"] == 1
    hanging.cancel()

    async def ended() -> bool:
        return (await gowa.line())["outcome"] == "hang"

    await until(ended)
    assert (await gowa.line())["taken"] == taken
    assert len(await gowa.stored()) == int(taken)


async def test_a_send_that_its_client_left_is_not_in_flight(start: Start) -> None:
    gowa = await start(latency=30)
    leaving = asyncio.create_task(gowa.send())
    await until(lambda: gowa.lines())
    leaving.cancel()

    async def is_idle() -> bool:
        return (await gowa.get("/simulator/devices"))[1]["sales-1"]["in_flight"] == 0

    await until(is_idle)
    second = asyncio.create_task(gowa.send())
    (line,) = await until(lambda: gowa.lines(since="1"))
    assert line["in_flight"] == 1
    second.cancel()


async def test_an_upload_is_cut_at_the_file(gowa: Gowa) -> None:
    await gowa.mood("cut-before", count=1)
    form = FormData({"phone": PHONE})
    form.add_field("image", BytesIO(JPEG + bytes(5_000_000)), filename="a.jpg", content_type="image/jpeg")
    with pytest.raises(aiohttp.ClientError):
        await gowa.client.post("/send/image", data=form)
    line = await gowa.line()
    assert (line["outcome"], line["phone"], line["file"], line["taken"]) == ("cut-before", PHONE, None, False)


async def test_a_client_that_leaves_does_not_stop_its_send(start: Start) -> None:
    gowa = await start(latency=0.5)
    leaving = asyncio.create_task(gowa.send())
    await until(lambda: gowa.lines())
    leaving.cancel()

    async def ended() -> bool:
        return (await gowa.line())["finished_at"] is not None

    await until(ended)
    line = await gowa.line()
    assert (line["outcome"], line["taken"], len(await gowa.stored())) == ("client-gone", True, 1)


async def test_any_answer_of_the_error_table(gowa: Gowa) -> None:
    await gowa.mood("answer", status=503, code="DEVICE_MANAGER_UNAVAILABLE", message="starting", count=1)
    status, envelope = await gowa.send()
    assert (status, envelope) == (503, {"code": "DEVICE_MANAGER_UNAVAILABLE", "message": "starting"})
    await gowa.mood("500", message="server returned error 479")
    assert (await gowa.send())[1]["message"] == "server returned error 479"


async def test_logged_out_and_in_again(gowa: Gowa) -> None:
    assert (await gowa.send())[0] == 200
    await gowa.client.post("/simulator/devices/sales-1/logout")
    (slot,) = await gowa.results("/devices")
    assert ("jid" in slot, slot["state"]) == (False, "disconnected")
    status = await gowa.results("/devices/sales-1/status")
    assert (status["is_connected"], status["is_logged_in"]) == (False, False)
    reconnect = await gowa.client.post("/devices/sales-1/reconnect")
    assert (reconnect.status, "session deleted" in await reconnect.text()) == (500, True)
    for _ in range(3):
        assert (await gowa.send())[1]["code"] == "INVALID_WA_CLI"
    assert (await gowa.send("chat-presence", phone=PHONE, action="start"))[1]["code"] == "INVALID_WA_CLI"
    assert (await gowa.get("/user/check", phone="15550100001"))[1]["code"] == "INVALID_WA_CLI"
    # GOWA files chats under the JID: without one the chat looks empty.
    assert await gowa.stored() == []
    await gowa.client.post("/simulator/devices/sales-1/login")
    assert (await gowa.send(message="2"))[0] == 200
    assert len(await gowa.stored()) == 2


async def test_offline_keeps_the_pairing_and_the_stale_state(gowa: Gowa) -> None:
    await gowa.mood("offline")
    (slot,) = await gowa.results("/devices")
    assert (slot["state"], "jid" in slot) == ("logged_in", True)
    status = await gowa.results("/devices/sales-1/status")
    assert (status["is_connected"], status["is_logged_in"]) == (False, True)
    assert (await gowa.get("/user/check", phone="15550100001"))[0] == 401
    assert (await gowa.client.post("/devices/sales-1/reconnect")).status == 200
    assert (await gowa.send())[0] == 401


async def test_a_slot_that_is_gone(gowa: Gowa) -> None:
    await gowa.mood("404-device")
    assert await gowa.results("/devices") is None
    assert (await gowa.get("/devices/sales-1/status"))[0] == 500
    assert (await gowa.send(device="sales-1"))[0] == 404
    assert (await gowa.send())[1]["code"] == "DEVICE_ID_REQUIRED"


@pytest.mark.parametrize("by", ["api", "command line"])
async def test_an_account_logs_out_after_so_many_sends(start: Start, by: str) -> None:
    gowa = await start(moods=("sales-1=logout-after:2",) if by == "command line" else ())
    if by == "api":
        await gowa.mood("ok", logout_after=2)
    assert [(await gowa.send(message=str(n)))[0] for n in range(4)] == [200, 200, 500, 500]
    assert "jid" not in (await gowa.results("/devices"))[0]


async def test_moods_from_the_command_line(start: Start) -> None:
    moods = ("sales-1=500:rate=0.3:seed=7", "sales-2=slow:1ms", "sales-2=logout-after:9", "sales-3=401-json:count=1")
    gowa = await start(devices=("sales-1", "sales-2", "sales-3"), moods=moods)
    devices = (await gowa.get("/simulator/devices"))[1]
    assert (devices["sales-1"]["mood"], devices["sales-1"]["rate"], devices["sales-1"]["seed"]) == ("500", 0.3, 7)
    assert (devices["sales-2"]["latency_ms"], devices["sales-2"]["logout_after"]) == (1, 9)
    assert devices["sales-3"]["count"] == 1
    statuses = [(await gowa.send(device="sales-1", message=str(n)))[0] for n in range(100)]
    assert set(statuses) == {200, 500}
    # The same seed hits the same sends.
    await gowa.mood("500", rate=0.3, seed=7)
    assert statuses == [(await gowa.send(device="sales-1", message=str(n)))[0] for n in range(100)]


async def test_a_mood_for_certain_recipients(gowa: Gowa) -> None:
    await gowa.mood("500", phone_suffix="77")
    assert (await gowa.send(phone="15550100077@s.whatsapp.net"))[0] == 500
    assert (await gowa.send(phone=PHONE))[0] == 200


async def test_typing_uses_up_no_fault_of_a_send(gowa: Gowa) -> None:
    await gowa.mood("500", count=1)
    assert (await gowa.send("chat-presence", phone=PHONE, action="start"))[0] == 200
    assert (await gowa.send())[0] == 500
    await gowa.mood("500", kinds=["chat-presence"])
    assert (await gowa.send())[0] == 200
    assert (await gowa.send("chat-presence", phone=PHONE, action="start"))[0] == 500


async def test_a_mood_for_all_devices(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    assert (await gowa.client.put("/simulator/mood", json={"mood": "500"})).status == 200
    assert [(await gowa.send(device=device))[0] for device in ("sales-1", "sales-2")] == [500, 500]


async def test_the_time_lock_leaves_known_chats_alone(gowa: Gowa) -> None:
    assert (await gowa.send())[0] == 200
    await gowa.mood("429-timelock")
    assert (await gowa.send(message="again"))[0] == 200
    assert (await gowa.send(phone="15550100002@s.whatsapp.net"))[0] == 429


@pytest.mark.parametrize(
    "mood",
    [
        {"mood": "angry"},
        {"mood": "500", "colour": "red"},
        {"mood": "500", "rate": 2},
        {"mood": "500", "count": "three"},
        {"mood": "offline", "rate": 0.5},
        {"mood": "slow"},
        {"mood": "answer"},
        {"mood": "500", "kinds": ["letter"]},
        {"mood": "ok", "logout_after": 0},
    ],
)
async def test_a_mood_that_makes_no_sense_is_refused(gowa: Gowa, mood: dict[str, Any]) -> None:
    response = await gowa.client.put("/simulator/devices/sales-1/mood", json=mood)
    assert (response.status, bool((await response.json())["error"])) == (400, True)
    assert (await gowa.get("/simulator/devices"))[1]["sales-1"]["mood"] == "ok"


@pytest.mark.parametrize(("deadline", "taken"), [(0.05, True), (0, False)])
async def test_past_the_deadline_comes_a_504_and_no_row(start: Start, deadline: float, taken: bool) -> None:
    # Taken when the time ran out with the frame on the wire, not when it ran out in the queue before the lock.
    gowa = await start(latency=30, deadline=deadline)
    status, envelope = await gowa.send()
    assert (status, envelope["code"]) == (504, "GATEWAY_TIMEOUT")
    assert (await gowa.line())["taken"] == taken
    assert await gowa.stored() == []
