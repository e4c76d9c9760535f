"""A campaign is closed while somebody puts messages of it back into the queue: whoever comes second sees what the first did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared.database.campaign_endings import (
    complete_campaigns,
    end_next_chunk,
    fed_chunks_after,
    finish_campaign,
    review_chunk,
)
from shared.database.connection import Database
from shared.messages import Status
from tests.integration.accepting import Campaign, accept_campaign, counts_of
from tests.integration.database.beginning import begin, sent, write

Close = Callable[[Database, Campaign], Coroutine[Any, Any, None]]
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
REOPENING = {
    "retry": "select retry_campaign($1)",
    "resolve": "select resolve_unknown($1, null, 'resend')",
}
ENDED = {"retry": "failed", "resolve": "unknown"}
SIZE = 5


async def ended_campaign(store: Database, how: str) -> Campaign:
    """All its messages failed or are unknown; it is fed, and neither closed nor expired."""
    campaign = await accept_campaign(store, SIZE, chunk_size=2)
    # Two steps, since a trigger that looks at the change keeps the list of what is unknown.
    for status in ("sending", ENDED[how]):
        await store.execute("update messages set status = $1, changed_at = clock_timestamp()", status)
    await store.execute("update chunks set fed_at = clock_timestamp()")
    return campaign


async def finish(store: Database, campaign: Campaign) -> None:
    assert not await finish_campaign(store, campaign.token)


async def expire(store: Database, campaign: Campaign) -> None:
    assert await end_next_chunk(store, campaign.token, -1, 100, 0, {Status.EXPIRED: "test"}) is None


async def review(store: Database, campaign: Campaign) -> None:
    for chunk in await fed_chunks_after(store, campaign.token, -1, 100):
        await review_chunk(store, chunk)


async def waits_or_is_done(store: Database, task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(60):
        while not task.done() and not await store.fetchval(WAITING):
            pass


async def all_wait_and_can_be_sent(store: Database, campaign: Campaign) -> None:
    """What was put back is all there, where feeding looks for it; and once it is sent the campaign finishes."""
    row = await store.fetchrow("select status, finished_at, expires_at > clock_timestamp() as goes_on from campaigns")
    assert row is not None
    assert tuple(row) == ("running", None, True)
    assert await store.fetchval("select count(*) from messages where status = 'queued'") == SIZE
    assert await store.fetchval("select count(*) from chunks where fed_at is null and closed_at is null") == 3
    assert await counts_of(store, campaign.token) == {}
    assert await complete_campaigns(store, 100) == []
    begun = [await begin(store, message, slot=slot) for slot, message in enumerate(campaign.messages)]
    await write(store, *(sent(one) for one in begun))
    assert await complete_campaigns(store, 100) == [campaign.token]
    assert await finish_campaign(store, campaign.token)
    assert await counts_of(store, campaign.token) == {"sent": SIZE}


@pytest.mark.parametrize("close", [finish, expire, review])
@pytest.mark.parametrize("how", REOPENING)
async def test_closing_waits_for_messages_that_are_put_back(store: Database, how: str, close: Close) -> None:
    campaign = await ended_campaign(store, how)
    if close is expire:
        await store.execute("update campaigns set expires_at = clock_timestamp()")
    async with store.transaction() as holder:
        assert await holder.fetchval(REOPENING[how], campaign.token) == SIZE
        closing = asyncio.create_task(close(store, campaign))
        await waits_or_is_done(store, closing)
    await closing
    await all_wait_and_can_be_sent(store, campaign)


@pytest.mark.parametrize("how", REOPENING)
async def test_messages_put_back_while_it_finishes_open_it_again(store: Database, how: str) -> None:
    campaign = await ended_campaign(store, how)
    async with store.transaction() as holder:
        assert await holder.fetchval("select finish_campaign($1)", campaign.token)
        reopening = asyncio.create_task(store.fetchval(REOPENING[how], campaign.token))
        await waits_or_is_done(store, reopening)
        assert not reopening.done()
    assert await reopening == SIZE
    await all_wait_and_can_be_sent(store, campaign)


@pytest.mark.parametrize("how", REOPENING)
async def test_closing_and_putting_back_at_once_leaves_nothing_behind(store: Database, how: str) -> None:
    """In whatever order they meet, a campaign with waiting messages runs."""
    for _ in range(30):
        campaign = await ended_campaign(store, how)
        await asyncio.gather(
            finish_campaign(store, campaign.token),
            store.fetchval(REOPENING[how], campaign.token),
            finish_campaign(store, campaign.token),
        )
        await all_wait_and_can_be_sent(store, campaign)
        await store.execute("truncate campaigns, chunks, messages, campaign_counts, attempts cascade")
