"""One message that does harm, and others beside it that must not suffer."""

from __future__ import annotations

from collections import Counter
from typing import Any

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


async def test_neighbours_in_hand_beside_it_are_sent_once(paceline: MakePaceline, truth: Truth) -> None:
    """Two accounts type at once. The neighbour dies with the poison twice, so both are suspects; then each is alone."""
    typing = {"TYPING_DELAY_MIN": "1s", "TYPING_DELAY_MAX": "1s"}
    whole = await paceline(devices=2, dispatchers=0, DISPATCHER_DEAD_AFTER=DEAD_AFTER, CRASH_LIMIT="1", **typing)
    poison = await text(whole, "15550100666")
    # No third one before both are suspects, or chance would say who is beside it.
    neighbours = [await text(whole, phone) for phone in phones(1)]
    since = 0

    async def lines() -> list[dict[str, Any]]:
        found = (await whole.simulate("GET", "ledger"))["entries"]
        return [line for line in found if line["sequence"] > since]

    async def typed_to() -> set[str]:
        """To whom this dispatcher is typing, if to the poison among them."""
        found: set[str] = set()
        for line in await lines():
            if line["kind"] == "chat-presence":
                (found.add if line["fields"]["action"] == "start" else found.discard)(line["phone"].partition("@")[0])
        return found if "15550100666" in found else set()

    async def two_typed_to() -> set[str]:
        found = await typed_to()
        return found if len(found) == 2 else set()

    async def crashes(count: int) -> bool:
        return bool(await truth.value("select crashes = $1 from messages where id = $2::text::uuid", count, poison))

    beside: Counter[str] = Counter()
    for death in (1, 2):
        victim = await whole.add_dispatcher()
        beside.update(await until(two_typed_to, "typing to the poison and to another"))
        victim.kill()
        since = max(line["sequence"] for line in await lines())
        await until(lambda count=death: crashes(count), f"death {death} is counted")  # type: ignore[misc]
    del beside["15550100666"]
    assert beside == {phones(1)[0]: 2}
    neighbours += [await text(whole, phone) for phone in phones(3, 1)]
    victim = await whole.add_dispatcher()
    assert await until(typed_to, "typing to the poison") == {"15550100666"}, "it is alone now"
    victim.kill()
    since = max(line["sequence"] for line in await lines())
    await whole.add_dispatcher()
    message = await whole.message_in(poison, "failed")
    assert "quarantined" in message["reason"]
    for neighbour in neighbours:
        found = await whole.message_in(neighbour, "sent")
        assert [(attempt["number"], attempt["verdict"]) for attempt in found["attempts"]] == [(1, "sent")]
    assert await truth.value("select max(crashes) from messages where id <> $1::text::uuid", poison) == 2
    since = 0
    sent = Counter(send["phone"].partition("@")[0] for send in await whole.sends())
    assert sent == Counter(phones(4))
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
