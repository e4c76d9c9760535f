"""A GOWA that is killed loses what was under way, and for a while its accounts are paired but have no client."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from .conftest import PHONE, Gowa, Receiver, Start, until


async def restart(gowa: Gowa, boot_ms: float) -> None:
    response = await gowa.client.post("/simulator/restart", json={"boot_ms": boot_ms})
    assert response.status == 200, await response.text()


async def test_while_it_boots_an_account_has_its_jid_and_no_client(gowa: Gowa) -> None:
    assert (await gowa.send())[0] == 200
    jid = (await gowa.results("/devices"))[0]["jid"]
    await restart(gowa, 3_600_000)
    (slot,) = await gowa.results("/devices")
    assert (slot["jid"], slot["state"]) == (jid, "disconnected")
    offline = {"device_id": "sales-1", "is_connected": False, "is_logged_in": False}
    assert await gowa.results("/devices/sales-1/status") == offline
    assert await gowa.results("/app/status") == {**offline, "jid": jid}
    for answer in (
        await gowa.send(),
        await gowa.send("chat-presence", phone=PHONE, action="start"),
        await gowa.get("/user/check", phone=PHONE),
    ):
        assert (answer[0], answer[1]["code"]) == (500, "INVALID_WA_CLI")
    # Fields are checked before the client, and stored chats are there all the time.
    assert (await gowa.send(message=""))[0] == 400
    assert len(await gowa.stored()) == 1
    reconnect = await gowa.client.post("/devices/sales-1/reconnect")
    assert (reconnect.status, "client not initialized" in await reconnect.text()) == (500, True)
    assert (await gowa.get("/health"))[0] == 200
    await restart(gowa, 0)
    assert (await gowa.send(message="again"))[0] == 200


async def test_without_a_body_it_takes_two_seconds(gowa: Gowa) -> None:
    response = await gowa.client.post("/simulator/restart")
    assert [device["is_connected"] for device in (await response.json()).values()] == [False]
    assert (await gowa.send())[1]["code"] == "INVALID_WA_CLI"

    async def is_up() -> bool:
        return bool((await gowa.results("/devices/sales-1/status"))["is_connected"])

    await until(is_up)
    assert (await gowa.send())[0] == 200


async def test_the_first_start_can_have_a_boot_phase_too(start: Start) -> None:
    gowa = await start(boot=3600.0)
    assert (await gowa.send())[1]["code"] == "INVALID_WA_CLI"


async def test_faults_meant_for_sends_are_not_used_up_while_it_boots(gowa: Gowa) -> None:
    await gowa.mood("500", count=1)
    await restart(gowa, 3_600_000)
    assert (await gowa.send())[1]["code"] == "INVALID_WA_CLI"
    await restart(gowa, 0)
    assert [(await gowa.send())[0] for _ in range(2)] == [500, 200]


@pytest.mark.parametrize(("mood", "taken"), [("slow", False), ("504-taken", True), ("hang", True)])
async def test_what_was_in_flight_dies_and_goes_no_further(gowa: Gowa, mood: str, taken: bool) -> None:
    await gowa.mood(mood, count=1, **({} if mood == "hang" else {"latency_ms": 300}))
    dying = asyncio.create_task(gowa.send())

    async def is_under_way() -> bool:
        return any(line["taken"] == taken for line in await gowa.lines())

    await until(is_under_way)
    await restart(gowa, 0)
    with pytest.raises(aiohttp.ClientConnectionError):
        await dying

    async def outcome() -> Any:
        return (await gowa.line())["outcome"]

    assert await until(outcome) in {"killed", "hang"}
    assert (await gowa.line())["taken"] == taken


async def test_rows_and_receipts_on_their_way_are_lost(start: Start, receiver: Receiver) -> None:
    gowa = await start(webhook=receiver.url, storage_delay=0.05, receipt_delay=0.05, read_delay=3600)
    await gowa.send(message="lost")
    await restart(gowa, 0)
    await gowa.send(message="kept")
    kept = (await gowa.lines())[1]["whatsapp_id"]
    assert [row["content"] for row in await until(gowa.stored)] == ["kept"]
    assert (await receiver.events.get())[0]["payload"]["ids"] == [kept]


async def test_a_logged_out_slot_gets_an_empty_client(gowa: Gowa) -> None:
    await gowa.mood("logged-out")
    assert (await gowa.send())[1]["code"] == "INVALID_WA_CLI"
    await restart(gowa, 0)
    status, envelope = await gowa.send()
    assert (status, envelope["code"]) == (401, "AUTHENTICATION_ERROR")
    assert "jid" not in (await gowa.results("/devices"))[0]
    await gowa.mood("ok")
    assert (await gowa.send())[0] == 200


async def test_a_restart_ends_a_frost(gowa: Gowa) -> None:
    await gowa.client.put("/simulator/frozen", json={"frozen": True})
    await restart(gowa, 0)
    assert (await gowa.send())[0] == 200


@pytest.mark.parametrize("boot_ms", ["soon", -1, True])
async def test_a_boot_phase_is_a_number(gowa: Gowa, boot_ms: object) -> None:
    assert (await gowa.client.post("/simulator/restart", json={"boot_ms": boot_ms})).status == 400


async def test_a_session_that_is_dead_on_a_socket_that_is_up(gowa: Gowa) -> None:
    await gowa.mood("not-logged-in")
    (slot,) = await gowa.results("/devices")
    assert (slot["state"], "jid" in slot) == ("connected", True)
    status = await gowa.results("/devices/sales-1/status")
    assert (status["is_connected"], status["is_logged_in"]) == (True, False)
    assert (await gowa.send())[1]["message"] == "you are not logged in"
