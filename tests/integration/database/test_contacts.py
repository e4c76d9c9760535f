"""Who talked to whom, who may not write to whom, and waits that stand in Postgres alone."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.database.attempts import PeekedMessage, note_cold_contact, peek
from shared.database.connection import Database
from shared.database.feeding import claim_chunk
from shared.database.postponing import postpone
from tests.integration.accepting import accept_campaign, accept_message
from tests.integration.database.beginning import begin, failed, sent, to_retry, unknown, write

ANNA, BEN = "15550300001", "15550300002"


async def look(store: Database, message: UUID) -> PeekedMessage:
    return (await peek(store, [message]))[message]


async def send(store: Database, phone: str, endpoint: str) -> None:
    await write(store, sent(await begin(store, await accept_message(store, phone=phone), endpoint=endpoint)))


async def test_peek_knows_who_talked_to_a_recipient_the_latest_first(store: Database) -> None:
    for endpoint in ("a", "b", "a", "c", "b"):
        await send(store, ANNA, endpoint)
    await send(store, BEN, "d")
    found = await look(store, await accept_message(store, phone=ANNA))
    assert found.talked_to_by == ("b", "c", "a")
    assert found.seconds_since_last is not None
    assert 0 <= found.seconds_since_last < 60
    stranger = await look(store, await accept_message(store, phone="15550300003"))
    assert (stranger.talked_to_by, stranger.seconds_since_last) == ((), None)
    assert (stranger.locked_endpoints, stranger.held_endpoints) == ({}, {})


@pytest.mark.parametrize("verdict", [failed, to_retry, unknown])
async def test_only_what_was_sent_makes_a_contact(store: Database, verdict: object) -> None:
    message = await accept_message(store, phone=ANNA)
    await write(store, verdict(await begin(store, message)))  # type: ignore[operator]
    assert await store.fetchval("select count(*) from contacts") == 0


async def test_two_messages_to_one_person_in_one_batch(store: Database) -> None:
    begun = [await begin(store, await accept_message(store, phone=ANNA), slot=slot) for slot in range(3)]
    assert len(await write(store, *(sent(one) for one in begun))) == 3
    assert await store.fetchval("select count(*) from contacts") == 1


async def test_an_account_is_held_after_several_different_recipients(store: Database) -> None:
    async def locked(phone: str) -> bool:
        return await note_cold_contact(store, await accept_message(store, phone=phone), "a", 600, 3, 1200)

    assert not await locked(ANNA)
    # The same person again is not another one.
    assert not await locked(ANNA)
    assert not await locked(BEN)
    found = await look(store, await accept_message(store, phone=ANNA))
    assert found.locked_endpoints.keys() == {"a"}
    assert 590 < found.locked_endpoints["a"] <= 600
    assert found.held_endpoints == {}
    assert await locked("15550300003")
    stranger = await look(store, await accept_message(store, phone="15550300009"))
    assert stranger.locked_endpoints == {}
    assert 1190 < stranger.held_endpoints["a"] <= 1200
    # Both end by themselves.
    await store.execute("update cold_locks set until = clock_timestamp()")
    await store.execute("update endpoints set cold_held_until = clock_timestamp()")
    found = await look(store, await accept_message(store, phone=ANNA))
    assert (found.locked_endpoints, found.held_endpoints) == ({}, {})


async def test_locks_of_before_yesterday_do_not_hold_an_account(store: Database) -> None:
    for phone in (ANNA, BEN):
        await note_cold_contact(store, await accept_message(store, phone=phone), "a", 600, 3, 1200)
    await store.execute("update cold_locks set locked_at = clock_timestamp() - interval '25 hours'")
    assert not await note_cold_contact(store, await accept_message(store, phone="15550300003"), "a", 600, 3, 1200)


async def test_a_single_send_is_postponed_by_its_due_row(store: Database) -> None:
    message = await accept_message(store)
    await store.execute("update due set enqueued_at = clock_timestamp()")
    await postpone(store, message, 3600)
    row = await store.fetchrow("select enqueued_at, due_at - clock_timestamp() as waits from due")
    assert row is not None
    assert row["enqueued_at"] is None
    assert 3590 < row["waits"].total_seconds() <= 3600


async def test_a_campaigns_message_is_postponed_with_its_chunk_the_earliest_first(store: Database) -> None:
    campaign = await accept_campaign(store, 6, chunk_size=3)
    await store.execute("update chunks set fed_at = clock_timestamp()")

    async def waits() -> list[float | None]:
        rows = await store.fetch("select again_at - clock_timestamp() as waits from chunks order by number")
        return [row["waits"] and row["waits"].total_seconds() for row in rows]

    await postpone(store, campaign.messages[0], 7200)
    first, second = await waits()
    assert first is not None
    assert second is None
    assert 7199 < first <= 7500
    await postpone(store, campaign.messages[1], 3600)
    await postpone(store, campaign.messages[2], 9000)
    [earlier, _] = await waits()
    assert earlier is not None
    assert 3599 < earlier <= 3900
    assert await claim_chunk(store, [], 30) is None
    await store.execute("update chunks set again_at = clock_timestamp() where number = 0")
    claimed = await claim_chunk(store, [], 30)
    assert claimed is not None
    assert (claimed.number, claimed.skipped) == (0, {})
    assert await waits() == [None, None]


async def test_a_retry_of_a_campaign_is_postponed_alone(store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    await write(store, to_retry(await begin(store, campaign.messages[0])))
    await postpone(store, campaign.messages[0], 3600)
    assert await store.fetchval("select count(*) from chunks where again_at is not null") == 0
    assert await store.fetchval("select due_at > clock_timestamp() + interval '59 minutes' from due") is True
