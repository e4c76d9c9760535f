"""Slots are made, paired and removed as in GOWA, its traps included."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Gowa, Start, content


async def ask(gowa: Gowa, method: str, path: str, **options: Any) -> tuple[int, Any]:
    response = await gowa.client.request(method, path, **options)
    return response.status, await content(response)


async def test_a_new_slot_waits_for_its_pairing(gowa: Gowa) -> None:
    status, envelope = await ask(gowa, "POST", "/devices", json={"device_id": "sales-2"})
    assert (status, envelope["message"]) == (200, "Device added")
    assert envelope["results"].keys() == {"id", "display_name", "jid", "state", "created_at"}
    assert (envelope["results"]["jid"], envelope["results"]["state"]) == ("", "disconnected")
    assert [slot["id"] for slot in await gowa.results("/devices")] == ["sales-1", "sales-2"]
    assert (await gowa.send(device="sales-2"))[1]["code"] == "INVALID_WA_CLI"
    status, envelope = await ask(gowa, "GET", "/devices/sales-2/login")
    assert (status, envelope["results"].keys()) == (200, {"device_id", "qr_link", "qr_duration"})
    status, envelope = await ask(gowa, "POST", "/devices/sales-2/login/code?phone=15550100001")
    assert (status, bool(envelope["results"]["pair_code"])) == (200, True)
    await gowa.client.post("/simulator/devices/sales-2/login")
    assert (await gowa.send(device="sales-2"))[0] == 200
    assert (await ask(gowa, "GET", "/devices/sales-2/login"))[1]["code"] == "ALREADY_LOGGED_IN"
    assert len(await gowa.results("/app/devices", device_id="sales-1")) == 2


async def test_a_slot_that_exists_is_not_made_again(gowa: Gowa) -> None:
    status, envelope = await ask(gowa, "POST", "/devices", json={"device_id": "sales-1"})
    assert (status, envelope["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert (await gowa.send())[0] == 200


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"device_id": 5}'])
async def test_a_body_that_makes_no_sense(gowa: Gowa, body: bytes) -> None:
    status, envelope = await ask(gowa, "POST", "/devices", data=body)
    assert (status, envelope["code"]) == (400, "BAD_REQUEST")


async def test_without_an_id_one_is_made_up(gowa: Gowa) -> None:
    made = (await ask(gowa, "POST", "/devices"))[1]["results"]["id"]
    assert made in [slot["id"] for slot in await gowa.results("/devices")]


async def test_a_logout_keeps_the_slot_and_a_removal_does_not(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    assert (await ask(gowa, "POST", "/devices/sales-1/logout"))[1] == {"code": "SUCCESS", "message": "Logout requested"}
    assert "jid" not in await gowa.results("/devices/sales-1")
    for _ in range(2):
        assert (await ask(gowa, "DELETE", "/devices/sales-1"))[0] == 200
    assert [slot["id"] for slot in await gowa.results("/devices")] == ["sales-2"]
    assert (await ask(gowa, "POST", "/devices/sales-1/logout"))[0] == 500
    await ask(gowa, "POST", "/devices", json={"device_id": "sales-1"})
    assert (await gowa.send(device="sales-1"))[1]["code"] == "INVALID_WA_CLI"


async def test_a_login_of_an_unknown_slot_makes_one_that_is_broken(gowa: Gowa) -> None:
    assert (await ask(gowa, "GET", "/devices/new%20slot/login"))[0] == 200
    assert [slot["id"] for slot in await gowa.results("/devices")] == ["sales-1", "new%20slot"]
    headers = {"X-Device-Id": "new%2520slot"}
    status, envelope = await ask(gowa, "GET", "/app/status", headers=headers)
    assert (status, envelope["code"]) == (500, "INTERNAL_SERVER_ERROR")


async def test_all_of_it_asks_for_the_login(start: Start) -> None:
    gowa = await start(basic_auth=("user:pass",))
    for method, path in (("POST", "/devices"), ("DELETE", "/devices/sales-1"), ("POST", "/devices/sales-1/logout")):
        assert (await ask(gowa, method, path))[0] == 401
