"""One message that does harm, and others beside it that must not suffer."""

from __future__ import annotations

from tests.chaos.conftest import DEAD_AFTER, MakePaceline, Truth, text, typing_shown
from tests.stories.conftest import phones, until


async def test_a_message_that_kills_its_dispatchers_is_quarantined(paceline: MakePaceline, truth: Truth) -> None:
    typing = {"TYPING_DELAY_MIN": "400ms", "TYPING_DELAY_MAX": "400ms"}
    whole = await paceline(devices=1, dispatchers=0, DISPATCHER_DEAD_AFTER=DEAD_AFTER, CRASH_LIMIT="1", **typing)
    poison = await text(whole, "15550100666")
    neighbours = [await text(whole, phone) for phone in phones(3)]
    for _ in range(3):  # twice among others, once alone
        victim = await whole.add_dispatcher()
        await typing_shown(whole, "15550100666")
        victim.kill()
        await whole.simulate("DELETE", "ledger")
    await whole.add_dispatcher()
    message = await whole.message_in(poison, "failed")
    assert "quarantined" in message["reason"]
    assert message["attempts"] == []
    for neighbour in neighbours:
        await whole.message_in(neighbour, "sent")
    assert await truth.value("select max(crashes) from messages where id <> $1", poison) == 0
    assert not [send for send in await whole.sends() if "666" in send["phone"]]
    await whole.judge()


async def test_an_answer_that_postgres_cannot_store_stops_nobody_else(paceline: MakePaceline, truth: Truth) -> None:
    whole = await paceline(devices=3, WORKER_MAX_RETRIES="0")
    mood = {"mood": "answer", "status": 400, "code": "BAD_REQUEST", "message": "broken\0 value " + "x" * 5000}
    await whole.simulate("PUT", "mood", json=mood | {"phone_suffix": "3"})
    body = {"phone": phones(10), "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    campaign = await whole.campaign_in(token, "finished")
    assert (campaign["counts"]["sent"], campaign["counts"]["failed"]) == (9, 1)
    (failed,) = await whole.messages_of(token, "failed")
    assert "\0" not in failed["reason"]

    async def nothing_open() -> bool:
        return not await truth.value("select count(*) from open_attempts")

    await until(nothing_open, "nothing is under way")
    await whole.judge()
