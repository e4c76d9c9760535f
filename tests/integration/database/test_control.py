"""Campaign moves, stops and rebuilds: what they forbid, and that what waited meanwhile is found again."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database.attempts import end_unsendable
from shared.database.connection import Database
from shared.messages import Status
from tests.integration.accepting import Campaign, accept_campaign, accept_message, counts_of, message_row, status_of
from tests.integration.database.beginning import ask, begin, failed, request, sent, to_retry, write


async def move(store: Database, what: str, campaign: UUID) -> Any:
    """The new status; of retry, how many messages."""
    return await store.fetchval(f"select {what}_campaign($1)", campaign)


async def feed_all(store: Database) -> None:
    """As if everything that waits had been enqueued."""
    await store.execute("update chunks set fed_at = clock_timestamp()")
    await store.execute("update due set enqueued_at = clock_timestamp()")


async def unfed_chunks(store: Database, campaign: Campaign) -> list[int]:
    rows = await store.fetch(
        "select number from chunks where campaign = $1 and fed_at is null and closed_at is null order by number",
        campaign.token,
    )
    return [row["number"] for row in rows]


async def not_enqueued(store: Database) -> set[UUID]:
    return {row["message"] for row in await store.fetch("select message from due where enqueued_at is null")}


async def test_campaign_moves(store: Database) -> None:
    moves = [
        ("running", "pause", "paused"),
        ("paused", "pause", "paused"),
        ("running", "resume", "running"),
        ("paused", "resume", "running"),
        ("running", "cancel", "canceled"),
        ("paused", "cancel", "canceled"),
        ("canceled", "pause", "canceled"),
        ("canceled", "resume", "canceled"),
        ("finished", "pause", "finished"),
        ("finished", "resume", "finished"),
        ("finished", "cancel", "finished"),
    ]
    campaign = await accept_campaign(store, 1)
    for before, what, after in moves:
        await store.execute("update campaigns set status = $2 where token = $1", campaign.token, before)
        assert await move(store, what, campaign.token) == after, (before, what)
        assert await store.fetchval("select status from campaigns") == after, (before, what)


async def test_a_campaign_that_does_not_exist_is_not_moved(store: Database) -> None:
    for what in ("pause", "resume", "cancel", "retry"):
        assert await move(store, what, uuid4()) is None
    assert await store.fetchval("select finish_campaign($1)", uuid4()) is False


async def test_resume_finds_exactly_the_rest_again(store: Database) -> None:
    campaign = await accept_campaign(store, 6, chunk_size=2)
    done, retrying = await begin(store, campaign.messages[0]), await begin(store, campaign.messages[1], slot=1)
    await write(store, sent(done), to_retry(retrying))
    await feed_all(store)
    await store.execute("update chunks set closed_at = clock_timestamp() where number = 2")
    await move(store, "pause", campaign.token)
    assert await unfed_chunks(store, campaign) == []
    await move(store, "resume", campaign.token)
    assert await unfed_chunks(store, campaign) == [0, 1]
    assert await not_enqueued(store) == {campaign.messages[1]}
    assert await ask(store, request(campaign.messages[0], 1), request(campaign.messages[2], slot=1)) == [
        "refused",
        "passed",
    ]


class TestRetry:
    """Failed messages go back into the queue."""

    async def failed_campaign(self, store: Database) -> Campaign:
        campaign = await accept_campaign(store, 6, chunk_size=2)
        for number, message in enumerate(campaign.messages):
            begun = await begin(store, message)
            await write(store, sent(begun) if number == 0 else failed(begun, f"reason {number % 2}"))
        await store.execute("update chunks set fed_at = clock_timestamp()")
        assert await store.fetchval("select finish_campaign($1)", campaign.token)
        return campaign

    async def test_all(self, store: Database) -> None:
        campaign = await self.failed_campaign(store)
        assert await counts_of(store, campaign.token) == {"sent": 1, "failed": 5}
        assert await move(store, "retry", campaign.token) == 5
        assert await counts_of(store, campaign.token) == {"sent": 1}
        assert await unfed_chunks(store, campaign) == [0, 1, 2]
        assert await store.fetchval("select status from campaigns") == "running"
        assert await store.fetchval("select finished_at from campaigns") is None
        assert not await store.fetchval("select finish_campaign($1)", campaign.token)
        again = await begin(store, campaign.messages[1])
        assert again.number == 2
        assert (await message_row(store, campaign.messages[1]))["tries_used"] == 0
        assert await move(store, "retry", campaign.token) == 0

    async def test_those_with_one_reason(self, store: Database) -> None:
        campaign = await self.failed_campaign(store)
        assert await store.fetchval("select retry_campaign($1, 'reason 0')", campaign.token) == 2
        assert await unfed_chunks(store, campaign) == [1, 2]
        assert await status_of(store, campaign.messages[1]) is Status.FAILED

    async def test_those_of_some_chunks(self, store: Database) -> None:
        campaign = await self.failed_campaign(store)
        assert await store.fetchval("select retry_campaign($1, null, '{0,2}')", campaign.token) == 3
        assert await unfed_chunks(store, campaign) == [0, 2]
        assert await counts_of(store, campaign.token) == {"sent": 1, "failed": 2}

    async def test_not_of_a_cancelled_campaign(self, store: Database) -> None:
        campaign = await accept_campaign(store, 1)
        await write(store, failed(await begin(store, campaign.messages[0])))
        await move(store, "cancel", campaign.token)
        assert await move(store, "retry", campaign.token) == -1

    async def test_not_when_its_media_is_gone(self, store: Database) -> None:
        campaign = await self.failed_campaign(store)
        await store.execute("update campaigns set media = gen_random_uuid()")
        assert await move(store, "retry", campaign.token) == -2
        assert await status_of(store, campaign.messages[1]) is Status.FAILED

    async def test_a_paused_campaign_stays_paused(self, store: Database) -> None:
        campaign = await accept_campaign(store, 2)
        await write(store, failed(await begin(store, campaign.messages[0])))
        await move(store, "pause", campaign.token)
        assert await move(store, "retry", campaign.token) == 1
        assert await store.fetchval("select status from campaigns") == "paused"
        assert await ask(store, request(campaign.messages[0], 2)) == ["refused"]


async def test_a_campaign_finishes_only_when_every_message_has(store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    first = await begin(store, campaign.messages[0])
    await write(store, sent(first))
    assert not await store.fetchval("select finish_campaign($1)", campaign.token)
    await move(store, "cancel", campaign.token)
    assert not await store.fetchval("select finish_campaign($1)", campaign.token)
    await end_unsendable(store, 1, [campaign.messages[1]], Status.CANCELED, "canceled")
    assert await store.fetchval("select finish_campaign($1)", campaign.token)
    assert not await store.fetchval("select finish_campaign($1)", campaign.token)
    assert await store.fetchval("select status from campaigns") == "canceled"
    assert await unfed_chunks(store, campaign) == []


@pytest.mark.parametrize("still_stopped", ["{}", "{bulk}"])
async def test_what_was_refused_while_its_lane_stood_still_is_found_again(store: Database, still_stopped: str) -> None:
    campaign = await accept_campaign(store, 1)
    message = await accept_message(store)
    await feed_all(store)
    await store.execute("select set_stopped_lanes('{transactional,bulk}', 'test')")
    await store.execute("select set_stopped_lanes($1::text::text[], 'test')", still_stopped)
    assert await not_enqueued(store) == {message}
    if still_stopped != "{}":
        await feed_all(store)
        await store.execute("select set_stopped_lanes('{}', null)")
    assert await unfed_chunks(store, campaign) == [0]


async def test_stopping_more_does_not_enqueue_anything_again(store: Database) -> None:
    campaign = await accept_campaign(store, 1)
    await accept_message(store)
    await feed_all(store)
    await store.execute("select set_stopped_lanes('{bulk}', 'test')")
    await store.execute("select set_stopped_lanes('{bulk,transactional}', 'test')")
    assert await not_enqueued(store) == set()
    assert await unfed_chunks(store, campaign) == []


async def test_a_rebuild_is_begun_by_one_scheduler_and_marks_all_work(store: Database) -> None:
    campaign = await accept_campaign(store, 4, chunk_size=2)
    message = await accept_message(store)
    await feed_all(store)
    await store.execute("update chunks set closed_at = clock_timestamp() where number = 0")
    assert await store.fetchval("select begin_rebuild(30)") == 2
    assert await store.fetchval("select begin_rebuild(30)") is None
    assert await unfed_chunks(store, campaign) == [1]
    assert await not_enqueued(store) == {message}
    # One that has ended, or whose scheduler died with it, makes room for the next.
    await store.execute("select end_rebuild(2)")
    assert await store.fetchval("select begin_rebuild(30)") == 3
    assert await store.fetchval("select begin_rebuild(0)") == 4
    await store.execute("select end_rebuild(3)")
    assert await store.fetchval("select begin_rebuild(30)") is None


async def test_partitions_are_made_once_and_catch_ids_of_their_month(store: Database) -> None:
    assert await store.fetchval("select ensure_partitions()") == 0
    assert await store.fetchval("select ensure_partitions(4)") == 2
    message = await accept_message(store)
    partition = await store.fetchval("select tableoid::regclass::text from messages where id = $1", message)
    assert partition == await store.fetchval("select to_char(now() at time zone 'UTC', '\"messages_\"YYYY_MM')")
    await write(store, sent(await begin(store, message)))
    assert await store.fetchval("select count(*) from messages_other") == 0
    assert await store.fetchval("select count(*) from attempts_other") == 0


async def test_what_was_enqueued_during_a_rebuild_is_enqueued_again(store: Database) -> None:
    before = await accept_message(store)
    await feed_all(store)
    epoch = await store.fetchval("select begin_rebuild(30)")
    await store.execute(
        "update due set enqueued_at = clock_timestamp() - interval '1 minute' where message = $1", before
    )
    during = await accept_message(store)
    await store.execute("update due set enqueued_at = clock_timestamp() where message = $1", during)
    await store.execute("select end_rebuild($1)", epoch)
    assert await not_enqueued(store) == {during}
