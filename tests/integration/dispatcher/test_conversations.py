"""Chats that people begin, with real processes: answers are let through a hold at once, and quote through the right account."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.database.conversations import Person, hear
from shared.database.endpoints import release_hold
from shared.messages import Lane, Status
from tests.integration.accepting import accept_campaign
from tests.integration.dispatcher.stage import TEXT, Stage, eventually

ANNA, BEN, CARL = "15550440001", "15550440002", "15550440003"
STRANGER = "15550440004"
"""Whom no account has a chat with, whatever the other tests have sent."""


async def built(stage: Stage) -> None:
    """Waits until the scheduler has built Redis."""

    async def look() -> Any:
        return await stage.queue.ask("HGET", stage.queue.keys.epoch, "number")

    await eventually(look, "a rebuild")


async def wrote(stage: Stage, phone: str, device: str) -> None:
    await hear(stage.store, stage.endpoint(device), Person(f"{phone}@s.whatsapp.net", phone), "", "", None)


async def hold(stage: Stage, *devices: str) -> None:
    for device in devices:
        await stage.store.execute(
            "insert into endpoints (id, cold_held_until) values ($1, clock_timestamp() + interval '1 day')"
            " on conflict (id) do update set cold_held_until = excluded.cold_held_until",
            stage.endpoint(device),
        )


async def waiting_for(stage: Stage, *messages: UUID) -> None:
    """Waits until all of these are held for their recipients."""

    async def look() -> bool:
        held = await stage.store.fetch("select message from due where held_for is not null")
        return {row["message"] for row in held} >= set(messages)

    await eventually(look, "waiting for the contact")


async def test_who_wrote_is_written_to_by_the_account_they_wrote_to(stage: Stage) -> None:
    await stage.build()
    await wrote(stage, ANNA, "b")
    await hold(stage, "b")
    await stage.dispatcher()
    messages = [await stage.send(ANNA) for _ in range(6)]
    await stage.all_sent(messages)
    assert {account for message in messages for _, account, _ in await stage.attempts(message)} == {"b"}
    strangers = [await stage.send(f"1555045{number:04}") for number in range(6)]
    await stage.all_sent(strangers)
    assert "b" not in {account for message in strangers for _, account, _ in await stage.attempts(message)}


async def test_an_account_that_is_held_hands_on_to_the_one_they_wrote_to(stage: Stage) -> None:
    await stage.build()
    await hold(stage, "a")
    await wrote(stage, ANNA, "c")
    messages = [await stage.send(ANNA, device="a") for _ in range(6)]
    await stage.dispatcher()
    await stage.all_sent(messages)
    assert {account for message in messages for _, account, _ in await stage.attempts(message)} == {"c"}


async def test_answers_that_a_hold_kept_back_go_at_once_when_somebody_writes(stage: Stage) -> None:
    await stage.scheduler("a")
    await built(stage)
    await hold(stage, "a")
    await stage.dispatcher("a")
    answer, other = await stage.send(ANNA), await stage.send(BEN)
    campaign = await accept_campaign(stage.store, 1, first_phone=int(ANNA))
    await waiting_for(stage, answer, other, *campaign.messages)
    await wrote(stage, ANNA, "a")
    await stage.all_sent([answer, *campaign.messages])
    assert (await stage.row(other))["status"] == Status.QUEUED
    # And whoever writes first is answered as if there were no hold.
    await wrote(stage, CARL, "a")
    await stage.ended(await stage.send(CARL))
    assert (await stage.row(other))["status"] == Status.QUEUED


async def test_what_whatsapp_refused_for_hours_goes_when_the_recipient_writes(stage: Stage) -> None:
    await stage.scheduler("a")
    await built(stage)
    await stage.sender.mood("429-timelock", "a")
    await stage.dispatcher("a", COLD_CONTACT_DELAY="6h")
    message = await stage.send(STRANGER, device="a", chosen=True)
    await stage.ended(message, Status.RETRYING)
    await waiting_for(stage, message)
    await stage.sender.mood("ok", "a")
    await wrote(stage, STRANGER, "a")
    await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", "cold_contact_locked"), (2, "a", "sent")]


async def test_a_hold_that_is_released_lets_everything_go_that_waited(stage: Stage) -> None:
    await stage.scheduler("a")
    await built(stage)
    await hold(stage, "a")
    await stage.dispatcher("a")
    single = await stage.send(ANNA)
    campaign = await accept_campaign(stage.store, 3)
    await waiting_for(stage, single, *campaign.messages)
    assert await stage.sender.sends() == []
    assert await release_hold(stage.store, stage.endpoint("a"))
    await stage.all_sent([single, *campaign.messages])


def answer_to(original: UUID | str) -> dict[str, Any]:
    return TEXT | {"reply_message_id": str(original)}


async def later(stage: Stage, phone: str) -> UUID:
    """A message that nobody enqueues before the test does."""
    message = await stage.accept(phone)
    await stage.store.execute("update due set due_at = due_at + interval '1 hour' where message = $1", message)
    return message


async def test_an_answer_to_a_message_of_ours_waits_for_it_and_quotes_it(stage: Stage) -> None:
    original = await later(stage, ANNA)
    await stage.scheduler()
    await built(stage)
    await stage.dispatcher()
    answer = await stage.send(ANNA, answer_to(original))

    async def waits() -> bool:
        found = "select count(*) from due where message = $1 and due_at > clock_timestamp()"
        return bool(await stage.store.fetchval(found, answer))

    await eventually(waits, "waiting for the original")
    assert await stage.sender.sends() == []
    await stage.enqueue([original], device="c", chosen=True)
    await stage.all_sent([original, answer])
    first, second = await stage.sender.sends()
    assert (first["device"], second["device"]) == ("c", "c")
    assert second["fields"]["reply_message_id"] == first["whatsapp_id"]
    row = await stage.row(answer)
    assert (row["chosen_endpoint"], row["reason"]) == (stage.endpoint("c"), None)


async def test_an_answer_to_a_message_that_was_never_sent_goes_without_the_quote(stage: Stage) -> None:
    await stage.build("a")
    await stage.dispatcher("a")
    original = await stage.accept(ANNA)
    await stage.store.execute("select end_unsendable(array[$1::uuid], 'canceled', 'by the caller')", original)
    answer = await stage.ended(await stage.send(ANNA, answer_to(original)))
    assert answer["reason"] == "sent without the quote: the message that it answers was not sent"
    [line] = await stage.sender.sends()
    assert "reply_message_id" not in line["fields"]
    assert not line["malformed"]


async def test_campaigns_of_answers_wait_as_well(stage: Stage) -> None:
    original = await later(stage, ANNA)
    await stage.scheduler("a", "b")
    await built(stage)
    await stage.dispatcher("a", "b")
    campaign = await accept_campaign(stage.store, 4)
    await stage.store.execute("update campaigns set content = $1", answer_to(original))
    await stage.enqueue(campaign.messages, Lane.BULK)

    async def all_wait() -> bool:
        found = "select count(*) from due where campaign is not null and due_at > clock_timestamp()"
        return bool(await stage.store.fetchval(found) == 4)

    await eventually(all_wait, "waiting for the original")
    await stage.enqueue([original], device="b", chosen=True)
    await stage.all_sent([original, *campaign.messages])
    first, *others = await stage.sender.sends()
    assert {(line["device"], line["fields"]["reply_message_id"]) for line in others} == {("b", first["whatsapp_id"])}
