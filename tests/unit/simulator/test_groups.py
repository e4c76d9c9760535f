"""A group takes messages of its members alone, and several people acknowledge each."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Gowa, Receiver, Start

GROUP = "120363000000000001@g.us"
OTHER = "15550100001-1600000000@g.us"
NO_MEMBER = "failed to get group members: you're not participating in that group"


async def set_groups(gowa: Gowa, **content: Any) -> Any:
    response = await gowa.client.put("/simulator/groups", json=content)
    return response.status, await response.json()


@pytest.mark.parametrize("phone", [GROUP, "120363000000000001"])
async def test_only_members_get_through(start: Start, phone: str) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    assert (await gowa.send(device="sales-1", phone=phone))[0] == 200
    assert (await set_groups(gowa, members={GROUP: ["sales-2"]}))[0] == 200
    status, envelope = await gowa.send(device="sales-1", phone=phone, message="2")
    assert (status, envelope) == (500, {"code": "INTERNAL_SERVER_ERROR", "message": NO_MEMBER})
    assert (await gowa.send(device="sales-2", phone=phone, message="2"))[0] == 200
    assert [line["taken"] for line in await gowa.lines()] == [True, False, True]
    # Other groups, persons and typing are not concerned.
    assert (await gowa.send(device="sales-1", phone=OTHER))[0] == 200
    assert (await gowa.send(device="sales-1"))[0] == 200
    assert (await gowa.send("chat-presence", device="sales-1", phone=GROUP, action="start"))[0] == 200
    await set_groups(gowa, members={})
    assert (await gowa.send(device="sales-1", phone=phone, message="3"))[0] == 200


async def test_a_group_without_any_of_ours_and_one_that_does_not_exist(gowa: Gowa) -> None:
    await set_groups(gowa, members={GROUP: []}, missing=[OTHER])
    assert (await gowa.send(phone=GROUP))[1]["message"] == NO_MEMBER
    assert (await gowa.send(phone=OTHER))[1]["message"] == "failed to get group members: that group does not exist"
    assert (await gowa.get("/simulator/groups"))[1] == {"members": {GROUP: []}, "missing": [OTHER]}


@pytest.mark.parametrize(
    "content", [{"members": {GROUP: ["nobody"]}}, {"members": [GROUP]}, {"missing": GROUP}, {"missing": ["1555"]}]
)
async def test_groups_that_make_no_sense_change_nothing(gowa: Gowa, content: dict[str, Any]) -> None:
    assert (await set_groups(gowa, **content))[0] == 400
    assert (await gowa.get("/simulator/groups"))[1] == {"members": {}, "missing": []}


async def test_each_participant_acknowledges_with_the_group_as_chat(start: Start, receiver: Receiver) -> None:
    gowa = await start(webhook=receiver.url, receipt_delay=0, read_delay=0)
    message_id = (await gowa.send(phone=GROUP))[1]["results"]["message_id"]
    seen = set()
    for _ in range(4):
        event, _, _ = await receiver.events.get()
        payload = event["payload"]
        assert (event["event"], payload["ids"], payload["chat_id"]) == ("message.ack", [message_id], GROUP)
        assert payload["from"].endswith("@s.whatsapp.net")
        seen.add((payload["from"], payload["receipt_type"]))
    assert len(seen) == 4
    assert len({person for person, _ in seen}) == 2
