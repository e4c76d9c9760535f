"""What happens when WhatsApp does not say who is there: GOWA calls everybody absent, its own number among them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import PHONE, Gowa, Start, until

NUMBER = PHONE.partition("@")[0]
GROUP = "120363000000000001@g.us"


async def own_number(gowa: Gowa) -> str:
    return str((await gowa.results("/devices"))[0]["jid"]).partition("@")[0]


async def is_there(gowa: Gowa, phone: str) -> bool:
    return bool((await gowa.results("/user/check", phone=phone))["is_on_whatsapp"])


@pytest.mark.parametrize("mood", ["lookups-out", "lookup-fails"])
async def test_an_outage_makes_everybody_absent_the_own_number_too(gowa: Gowa, mood: str) -> None:
    own = await own_number(gowa)
    assert (await gowa.send(phone=PHONE))[0] == 200
    await gowa.mood(mood)
    for number in (NUMBER, own, f"+{NUMBER}", PHONE):
        assert not await is_there(gowa, number)
    # What is no person is not looked up.
    for phone in ("", GROUP, "204800000000001@lid"):
        assert await is_there(gowa, phone)
    status, envelope = await gowa.send()
    assert (status, envelope) == (400, {"code": "INVALID_JID", "message": f"Phone {PHONE} is not on whatsapp"})
    assert (await gowa.send(phone=GROUP))[0] == 200
    await gowa.mood("ok")
    assert await is_there(gowa, own)
    assert (await gowa.send(message="again"))[0] == 200


async def test_typing_meets_the_outage_too(gowa: Gowa) -> None:
    await gowa.mood("lookups-out")
    status, envelope = await gowa.send("chat-presence", phone=PHONE, action="start")
    assert (status, envelope["code"]) == (400, "INVALID_JID")


async def test_an_account_without_lookups_does_not_trouble_its_neighbour(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    await gowa.mood("lookups-out", device="sales-1")
    assert (await gowa.send(device="sales-2"))[0] == 200
    check = await gowa.results("/user/check", phone=NUMBER, device_id="sales-2")
    assert check == {"is_on_whatsapp": True}


async def test_a_number_that_is_absent_says_nothing_about_the_account(gowa: Gowa) -> None:
    own = await own_number(gowa)
    await gowa.client.put("/simulator/numbers", json={"not_on_whatsapp": [NUMBER]})
    assert (await is_there(gowa, NUMBER), await is_there(gowa, own)) == (False, True)
    await gowa.mood("not-on-whatsapp")
    assert (await is_there(gowa, "15550100002"), await is_there(gowa, own)) == (False, True)


@pytest.mark.parametrize("count", [1, 3])
async def test_so_many_sends_meet_the_outage_and_checks_use_none_up(gowa: Gowa, count: int) -> None:
    await gowa.mood("lookups-out", count=count)
    for _ in range(count):
        assert not await is_there(gowa, NUMBER)
        assert (await gowa.send("chat-presence", phone=PHONE, action="start"))[0] == 400
        assert (await gowa.send())[0] == 400
    assert (await gowa.send())[0] == 200


async def test_checks_do_not_change_which_sends_are_struck(gowa: Gowa) -> None:
    async def statuses(with_checks: bool) -> list[int]:
        await gowa.mood("lookup-fails", rate=0.5, seed=3)
        found = []
        for n in range(20):
            if with_checks:
                await is_there(gowa, NUMBER)
            found.append((await gowa.send(message=str(n)))[0])
        return found

    first = await statuses(False)
    assert set(first) == {200, 400}
    assert await statuses(True) == first


async def test_hanging_lookups_end_at_the_limit_as_absence(start: Start) -> None:
    gowa = await start(lookup_limit=0.05)
    await gowa.mood("lookups-hang")
    for fields in ({"kind": "message"}, {"kind": "chat-presence", "phone": PHONE, "action": "stop"}):
        assert (await gowa.send(**fields))[1]["code"] == "INVALID_JID"
    assert not await is_there(gowa, NUMBER)
    lines = await gowa.lines()
    assert all(line["finished_at"] - line["arrived_at"] > 0.045 for line in lines)


async def test_nothing_is_said_before_the_limit(start: Start) -> None:
    gowa = await start(lookup_limit=3600)
    await gowa.mood("lookups-hang")
    waiting: list[asyncio.Task[Any]] = [
        asyncio.create_task(gowa.send()),
        asyncio.create_task(gowa.get("/user/check", phone=NUMBER)),
    ]
    await until(gowa.lines)
    # Whatever is not looked up goes by.
    assert (await gowa.send(phone=GROUP))[0] == 200
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()


async def test_without_account_validation_only_new_chats_need_a_lookup(start: Start) -> None:
    gowa = await start(account_validation=False)
    assert (await gowa.send())[0] == 200
    await gowa.mood("lookups-out")
    assert (await gowa.send(message="again"))[0] == 200
    status, envelope = await gowa.send(phone="15550100002@s.whatsapp.net")
    assert (status, "failed to send usync query" in envelope["message"]) == (500, True)
    assert (await gowa.send("chat-presence", phone="15550100002", action="start"))[0] == 200
    # The check asks WhatsApp all the same.
    assert not await is_there(gowa, NUMBER)


async def test_the_sentence_keeps_a_leading_plus(gowa: Gowa) -> None:
    await gowa.mood("lookups-out")
    assert (await gowa.send(phone=f"+{NUMBER}"))[1]["message"] == f"Phone +{PHONE} is not on whatsapp"
    await gowa.mood("ok")
    await gowa.client.put("/simulator/numbers", json={"not_on_whatsapp": [NUMBER]})
    assert (await gowa.send(phone=f"+{NUMBER}"))[1]["message"] == f"Phone +{PHONE} is not on whatsapp"
