"""A GOWA that stands still says nothing, forgets nothing, and goes on when it is thawed."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import aiohttp
import pytest
from aiohttp import FormData

from .conftest import PHONE, PNG, Gowa, Receiver, Start, until
from .test_process import running


async def freeze(gowa: Gowa, how: str, is_frozen: bool) -> None:
    if how == "device":
        await gowa.mood("frozen" if is_frozen else "ok")
    else:
        response = await gowa.client.put("/simulator/frozen", json={"frozen": is_frozen})
        assert await response.json() == {"frozen": is_frozen}


def asked(gowa: Gowa, device: str = "sales-1") -> list[asyncio.Task[Any]]:
    """A send, a typing notice, and what a client asks of a device."""
    query = {"device_id": device}
    return [
        asyncio.create_task(request)
        for request in (
            gowa.send(device=device),
            gowa.send("chat-presence", device=device, phone=PHONE, action="start"),
            gowa.get("/user/check", phone=PHONE, **query),
            gowa.get("/app/status", **query),
            gowa.get(f"/devices/{device}/status"),
            gowa.get(f"/chat/{PHONE}/messages", **query),
        )
    ]


@pytest.mark.parametrize("how", ["device", "whole"])
async def test_everything_waits_and_is_answered_after_the_thaw(start: Start, how: str) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    await freeze(gowa, how, True)
    waiting = asked(gowa)
    if how == "whole":
        waiting += [asyncio.create_task(gowa.get(path)) for path in ("/health", "/devices", "/app/info", "/nowhere")]
    await until(lambda: _has_lines(gowa, 2))
    if how == "device":
        # The neighbour, and what concerns no device, go on.
        assert [status for status, _ in await asyncio.gather(*asked(gowa, "sales-2"))] == [200] * 6
        assert (await gowa.get("/devices"))[0] == 200
    assert not any(task.done() for task in waiting)
    await freeze(gowa, how, False)
    answers = await asyncio.gather(*waiting)
    assert [status for status, _ in answers] == [200] * 6 + ([200, 200, 200, 400] if how == "whole" else [])


async def _has_lines(gowa: Gowa, count: int) -> bool:
    return len(await gowa.lines(device="sales-1")) == count


@pytest.mark.parametrize("how", ["device", "whole"])
@pytest.mark.parametrize("is_upload", [False, True])
async def test_a_send_goes_out_after_the_thaw_although_its_client_has_left(
    gowa: Gowa, how: str, is_upload: bool
) -> None:
    await freeze(gowa, how, True)
    if is_upload:
        form = FormData({"phone": PHONE, "caption": "look"})
        form.add_field("image", PNG, filename="a.png", content_type="image/png")
        leaving = asyncio.create_task(gowa.client.post("/send/image", data=form))
    else:
        leaving = asyncio.create_task(gowa.send())  # type: ignore[arg-type]

    async def is_read() -> bool:
        return [line["phone"] for line in await gowa.lines()] == [PHONE]

    await until(is_read)
    leaving.cancel()

    async def is_left() -> bool:
        return (await gowa.get("/simulator/devices"))[1]["sales-1"]["in_flight"] == 0

    await until(is_left)
    assert not (await gowa.line())["taken"]
    await freeze(gowa, how, False)

    async def is_taken() -> bool:
        return bool((await gowa.line())["taken"])

    await until(is_taken)
    assert len(await gowa.stored()) == 1


async def test_a_send_that_is_on_its_way_stops_there(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"), latency=1.0, deadline=1.1)
    sending = asyncio.create_task(gowa.send(device="sales-1"))
    await until(gowa.lines)
    await gowa.mood("frozen")
    # The neighbour's send, begun later, is over: so would this one be.
    for _ in range(2):
        await gowa.send(device="sales-2")
    assert (sending.done(), (await gowa.lines())[0]["taken"]) == (False, False)
    await gowa.mood("ok")
    # GOWA's clock went on meanwhile: the frame is out, the deadline over.
    assert (await sending)[1]["code"] == "GATEWAY_TIMEOUT"
    assert (await gowa.lines())[0]["taken"]
    assert (await gowa.results(f"/chat/{PHONE}/messages", device_id="sales-1"))["data"] == []


async def test_what_comes_after_the_frost_is_the_next_mood(gowa: Gowa) -> None:
    await gowa.mood("frozen")
    sending = asyncio.create_task(gowa.send())
    await until(gowa.lines)
    await gowa.mood("500", count=1)
    assert (await sending)[0] == 500


async def test_receipts_wait_too(start: Start, receiver: Receiver) -> None:
    gowa = await start(devices=("sales-1", "sales-2"), webhook=receiver.url, receipt_delay=0.05, read_delay=3600)
    await gowa.send(device="sales-1")
    await gowa.mood("frozen")
    await gowa.send(device="sales-2")
    assert (await receiver.events.get())[0]["session_id"] == "sales-2"
    await gowa.mood("ok")
    assert (await receiver.events.get())[0]["session_id"] == "sales-1"


async def test_what_people_write_arrives_after_the_thaw(start: Start, receiver: Receiver) -> None:
    gowa = await start(devices=("sales-1", "sales-2"), webhook=receiver.url)
    await gowa.mood("frozen")
    for device in ("sales-1", "sales-2"):
        body = {"phone": "15550100001", "body": "hello"}
        assert (await gowa.client.post(f"/simulator/devices/{device}/inbound", json=body)).status == 200
    assert (await receiver.events.get())[0]["session_id"] == "sales-2"
    await gowa.mood("ok")
    assert (await receiver.events.get())[0]["session_id"] == "sales-1"
    stored = await gowa.results(f"/chat/{PHONE}/messages", device_id="sales-1")
    assert [row["content"] for row in stored["data"]] == ["hello"]


@pytest.mark.parametrize("content", [{"frozen": "yes"}, {}, {"frozen": None}])
async def test_frozen_is_true_or_false(gowa: Gowa, content: dict[str, Any]) -> None:
    assert (await gowa.client.put("/simulator/frozen", json=content)).status == 400
    mood = {"mood": "frozen", "count": 2}
    assert (await gowa.client.put("/simulator/devices/sales-1/mood", json=mood)).status == 400


async def test_frozen_from_the_start(start: Start) -> None:
    gowa = await start(moods=("sales-1=frozen",))
    sending = asyncio.create_task(gowa.send())
    await until(gowa.lines)
    assert not sending.done()
    await gowa.mood("ok")
    assert (await sending)[0] == 200


async def test_a_process_that_is_stopped_does_the_same() -> None:
    arguments = ("--listen", "127.0.0.1:0", "--devices", "sales-1", "--latency", "0")
    async with running(*arguments) as (process, address), aiohttp.ClientSession(address) as session:
        process.send_signal(signal.SIGSTOP)
        impatient = aiohttp.ClientTimeout(total=0.1)
        for number in range(5):
            body = {"phone": PHONE, "message": f"{number} " + "x" * 20_000}
            with pytest.raises(TimeoutError):
                await session.post("/send/message", json=body, timeout=impatient)
        process.send_signal(signal.SIGCONT)

        async def are_taken() -> bool:
            async with session.get("/simulator/summary") as summary:
                return bool((await summary.json())["taken"] == 5)

        await until(are_taken)
