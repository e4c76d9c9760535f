"""Who writes to which account: bound in whatever order events come, let through holds, and known behind a hidden id."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.database.attempts import note_cold_contact, peek
from shared.database.connection import Database
from shared.database.conversations import Person, forget_heard, hear, keep_unresolved, note_number
from shared.database.due import claim_unqueued
from shared.database.endpoints import endpoint_rows, release_hold
from shared.database.feeding import claim_chunk, waiting_entries
from shared.database.postponing import wait_alone, wait_for_contact
from shared.messages import Lane
from tests.integration.accepting import accept_campaign, accept_message
from tests.integration.database.beginning import begin, sent, write

ANNA, BEN = "15550300001", "15550300002"
LID = "204800000000001@lid"
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
DAY = 86_400.0


def person(phone: str) -> Person:
    return Person(f"{phone}@s.whatsapp.net", phone)


async def writes(
    store: Database, phone: str, endpoint: str, at: datetime | None = None, whatsapp_id: str = "", lid: str = ""
) -> Person | None:
    return await hear(store, endpoint, person(phone) if phone else None, lid, whatsapp_id, at)


async def seen(store: Database, phone: str) -> Any:
    """What peek says of a new message to this phone."""
    message = await accept_message(store, phone=phone)
    return (await peek(store, [message]))[message]


async def now_of(store: Database) -> datetime:
    moment: datetime = await store.fetchval("select clock_timestamp()")
    return moment


async def rows(store: Database) -> list[tuple[str, str]]:
    found = await store.fetch("select phone_key, endpoint from conversations order by 1, 2")
    return [tuple(row) for row in found]


async def waits(store: Database, message: UUID) -> float | None:
    """Seconds until it is enqueued; None: it has no due row."""
    seconds: float | None = await store.fetchval(
        "select extract(epoch from due_at - clock_timestamp())::float8 from due"
        " where message = $1 and enqueued_at is null",
        message,
    )
    return seconds


# Whom a recipient stays with.


async def test_a_recipient_stays_with_the_account_they_wrote_to(store: Database) -> None:
    await writes(store, ANNA, "b")
    for endpoint in ("c", "a"):
        await write(store, sent(await begin(store, await accept_message(store, phone=ANNA), endpoint=endpoint)))
    found = await seen(store, ANNA)
    assert found.talked_to_by == ("b", "a", "c")
    assert found.seconds_since_last is not None
    stranger = await seen(store, BEN)
    assert (stranger.talked_to_by, stranger.seconds_since_last) == ((), None)
    await writes(store, BEN, "c")
    heard = await seen(store, BEN)
    assert (heard.talked_to_by, heard.seconds_since_last) == (("c",), None), "to be written to is no message of ours"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
async def test_the_order_of_events_does_not_matter(store: Database, order: tuple[int, ...]) -> None:
    said = [("a", 0), ("b", 1), ("a", 2), ("c", 1)]
    for number in order:
        endpoint, second = said[number]
        for _ in range(2):
            await writes(store, ANNA, endpoint, NOON + timedelta(seconds=second))
    assert (await seen(store, ANNA)).talked_to_by[0] == "a"


async def test_a_clock_that_is_ahead_does_not_bind_for_ever(store: Database) -> None:
    await writes(store, ANNA, "a", datetime(2050, 1, 1, tzinfo=UTC))
    await writes(store, ANNA, "b", await now_of(store) + timedelta(seconds=5))
    assert (await seen(store, ANNA)).talked_to_by == ("b", "a")


async def test_a_lively_chat_is_written_once_a_minute(store: Database) -> None:
    await writes(store, ANNA, "a", NOON)
    first = await store.fetchval("select xmin::text from conversations")
    for second in range(1, 50):
        await writes(store, ANNA, "a", NOON + timedelta(seconds=second))
    assert await store.fetchval("select xmin::text from conversations") == first
    await store.execute("update conversations set noted_at = noted_at - interval '61 s'")
    await writes(store, ANNA, "a", NOON + timedelta(seconds=61))
    assert await store.fetchval("select heard_at from conversations") == NOON + timedelta(seconds=61)


async def test_chunks_are_fed_to_the_account_that_recipients_wrote_to(store: Database) -> None:
    campaign = await accept_campaign(store, 3, first_phone=15550200000)
    await write(store, sent(await begin(store, await accept_message(store, phone="15550200000"), endpoint="a")))
    await write(store, sent(await begin(store, await accept_message(store, phone="15550200001"), endpoint="a")))
    await writes(store, "15550200001", "b")
    await writes(store, "15550200002", "c")
    chunk = await claim_chunk(store, [], 30)
    assert chunk is not None
    entries = await waiting_entries(store, chunk)
    assert [(entry.message, entry.endpoint) for entry in entries] == list(
        zip(campaign.messages, ["a", "b", "c"], strict=True)
    )


# What an account may not do with strangers.


async def lock(store: Database, phone: str, endpoint: str = "a", contacts: int = 9) -> None:
    await note_cold_contact(store, await accept_message(store, phone=phone), endpoint, 600, contacts, DAY)


async def test_who_writes_to_an_account_is_locked_for_it_no_more(store: Database) -> None:
    await lock(store, ANNA)
    await lock(store, ANNA, "b")
    await writes(store, ANNA, "a")
    assert set((await seen(store, ANNA)).locked_endpoints) == {"b"}
    # Locked once more, and written to once more within the minute.
    await lock(store, ANNA)
    await writes(store, ANNA, "a")
    assert set((await seen(store, ANNA)).locked_endpoints) == {"b"}


async def test_what_waits_for_somebody_comes_back_when_they_write(store: Database) -> None:
    looked_at = await now_of(store)
    single, other = await accept_message(store, phone=ANNA), await accept_message(store, phone=BEN)
    campaign = await accept_campaign(store, 3, first_phone=int(ANNA))
    for message in (single, other, *campaign.messages):
        await wait_for_contact(store, message, DAY, looked_at)
        assert (await waits(store, message) or 0) > DAY - 60
    assert await claim_unqueued(store, Lane.TRANSACTIONAL, 10) == []
    await writes(store, ANNA, "a")
    assert {item.entry.message for item in await claim_unqueued(store, Lane.TRANSACTIONAL, 10)} == {single}
    assert {item.entry.message for item in await claim_unqueued(store, Lane.BULK, 10)} == {campaign.messages[0]}
    assert (await waits(store, other) or 0) > DAY - 60


async def test_who_wrote_since_it_was_looked_at_is_not_waited_for(store: Database) -> None:
    looked_at = await now_of(store)
    message = await accept_message(store, phone=ANNA)
    await writes(store, ANNA, "a", NOON)
    await wait_for_contact(store, message, DAY, looked_at)
    assert (await waits(store, message) or 0) <= 0
    # Looked at after that, it waits.
    await wait_for_contact(store, message, DAY, await now_of(store))
    assert (await waits(store, message) or 0) > DAY - 60


async def test_no_wait_is_lost_between_a_look_and_a_word(store: Database) -> None:
    """Whoever comes second sees the other, however closely they meet."""
    for number in range(40):
        phone = f"1555031{number:04d}"
        message, looked_at = await accept_message(store, phone=phone), await now_of(store)
        await asyncio.gather(wait_for_contact(store, message, DAY, looked_at), writes(store, phone, "a"))
        assert (await waits(store, message) or 0) <= 0


async def test_what_waits_and_moves_on_is_left_alone(store: Database) -> None:
    message = await accept_message(store, phone=ANNA)
    begun = await begin(store, message)
    await wait_for_contact(store, message, DAY, await now_of(store))
    assert await store.fetchval("select count(*) from due") == 0
    await write(store, sent(begun))
    await wait_alone(store, message, 5)
    await writes(store, ANNA, "a")
    assert await store.fetchval("select count(*) from due") == 0


async def test_a_hold_that_is_released_brings_back_what_waited_for_it(store: Database) -> None:
    for phone in (ANNA, BEN):
        await lock(store, phone, contacts=2)
    assert (await endpoint_rows(store, ["a"]))["a"].held_until is not None
    campaign, single = await accept_campaign(store, 3), await accept_message(store, phone="15550300009")
    for message in (*campaign.messages, single):
        await wait_for_contact(store, message, DAY, await now_of(store))
    looked_at = await now_of(store)
    assert await release_hold(store, "a")
    assert (await endpoint_rows(store, ["a"]))["a"].held_until is None
    found = await seen(store, ANNA)
    assert (found.held_endpoints, found.locked_endpoints) == ({}, {})
    assert {item.entry.message for item in await claim_unqueued(store, Lane.BULK, 10)} == set(campaign.messages)
    assert (await waits(store, single) or 0) <= 0
    # Looked at before, postponed after.
    late = await accept_message(store, phone="15550300010")
    await wait_for_contact(store, late, DAY, looked_at)
    assert (await waits(store, late) or 0) <= 0
    assert not await release_hold(store, "a"), "it is held no more"
    assert not await release_hold(store, "new")


async def test_a_hold_counts_anew_after_it_was_released(store: Database) -> None:
    for phone in (ANNA, BEN):
        await lock(store, phone, contacts=2)
    await release_hold(store, "a")
    await lock(store, ANNA, contacts=2)
    assert (await endpoint_rows(store, ["a"]))["a"].held_until is None
    await lock(store, BEN, contacts=2)
    assert (await endpoint_rows(store, ["a"]))["a"].held_until is not None


# Hidden ids.


async def opted_out(store: Database, phone: str) -> bool:
    return bool(await store.fetchval("select count(*) from optouts where phone_key = $1", phone))


async def test_a_hidden_id_is_known_once_an_event_has_named_the_number(store: Database) -> None:
    assert await writes(store, "", "a", lid=LID) is None
    assert not await note_number(store, LID, person(ANNA))
    assert await writes(store, "", "b", lid=LID) == person(ANNA)
    assert await writes(store, BEN, "c", lid="2048@lid") == person(BEN)
    assert await rows(store) == [(ANNA, "a"), (ANNA, "b"), (BEN, "c")], "what was said under the id is theirs"
    assert await writes(store, "", "a", lid="2048@lid") == person(BEN)
    # A number may change, the hidden id stays.
    await note_number(store, LID, person(BEN))
    assert await writes(store, "", "a", lid=LID) == person(BEN)


async def test_what_waits_for_a_hidden_person_comes_back_when_they_are_known(store: Database) -> None:
    message = await accept_message(store, phone=ANNA)
    await wait_for_contact(store, message, DAY, await now_of(store))
    await writes(store, "", "a", lid=LID)
    assert (await waits(store, message) or 0) > DAY - 60
    await note_number(store, LID, person(ANNA))
    assert (await waits(store, message) or 0) <= 0


MINUTES = [NOON + timedelta(minutes=number) for number in range(4)]


@pytest.mark.parametrize(
    ("said", "out"),
    [
        ([("out", 1)], True),
        ([("in", 1)], False),
        ([("out", 1), ("in", 2)], False),
        ([("in", 2), ("out", 1)], False),
        ([("in", 1), ("out", 2)], True),
        ([("out", 2), ("in", 1), ("out", 2)], True),
    ],
)
@pytest.mark.parametrize("before", [None, 0, 3])
async def test_the_last_word_under_a_hidden_id_takes_effect(
    store: Database, said: list[tuple[Any, int]], out: bool, before: int | None
) -> None:
    if before is not None:
        await store.execute("select opt_out_by_message($1, $1, $2)", ANNA, MINUTES[before])
    for wish, minute in said:
        assert await keep_unresolved(store, LID, wish, MINUTES[minute], "a") is None
    assert not await opted_out(store, BEN)
    assert await note_number(store, LID, person(ANNA))
    assert await opted_out(store, ANNA) == (out or before == 3)
    assert await store.fetchval("select count(*) from unresolved_optouts") == 0
    assert await keep_unresolved(store, LID, "out", NOON, "a") == person(ANNA), "nothing is kept for who is known"


async def test_no_word_is_lost_between_a_number_and_a_word(store: Database) -> None:
    for number in range(40):
        lid, phone = f"2048{number:04d}@lid", f"1555032{number:04d}"
        kept, _ = await asyncio.gather(
            keep_unresolved(store, lid, "out", NOON, "a"), note_number(store, lid, person(phone))
        )
        assert (kept is not None) != await opted_out(store, phone)


# How long it is kept.


async def kept(store: Database) -> list[int]:
    row = await store.fetchrow(
        "select (select count(*) from inbound_ids), (select count(*) from conversations),"
        " (select count(*) from hidden_numbers), (select count(*) from unresolved_optouts)"
    )
    assert row is not None
    return [*row.values()]


async def test_what_was_heard_long_ago_is_forgotten_in_batches(store: Database) -> None:
    for number in range(5):
        await writes(store, f"1555033{number:04d}", "a", whatsapp_id=f"3A{number}", lid=f"{number + 1}@lid")
    await keep_unresolved(store, "99@lid", "out", NOON, "a")
    assert await forget_heard(store, DAY, 2 * DAY, 10) == 0
    await store.execute("update inbound_ids set noted_at = noted_at - interval '36 hours'")
    await store.execute("update conversations set noted_at = noted_at - interval '36 hours'")
    await store.execute("update unresolved_optouts set noted_at = noted_at - interval '36 hours'")
    await store.execute("update hidden_numbers set seen_at = seen_at - interval '36 hours'")
    assert await forget_heard(store, DAY, 2 * DAY, 3) == 3
    assert await forget_heard(store, DAY, 2 * DAY, 3) == 2
    assert await forget_heard(store, DAY, 2 * DAY, 3) == 0
    assert await kept(store) == [0, 0, 5, 1]
    await forget_heard(store, DAY, DAY, 10)
    assert await kept(store) == [0, 0, 0, 0]
