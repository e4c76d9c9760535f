"""Chunks go into Redis while there is room, by turns."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from services.scheduler.campaigns.feeding import Feeding
from shared.errors import RebuildNeeded
from shared.queue.enqueueing import enqueue
from tests.integration.scheduler.stage import Stage


async def take_out(stage: Stage, suffix: str = ":bulk") -> list[UUID]:
    """What stands in a stream, which is empty afterwards."""
    messages = await stage.waiting(suffix)
    await stage.queue.ask("XTRIM", stage.queue.keys.prefix + suffix, "MAXLEN", 0)
    return messages


async def test_every_message_of_a_campaign_is_fed_once_and_in_order(stage: Stage) -> None:
    _, members = await stage.campaign(23, 5)
    await Feeding(stage.queue, stage.database, 1000).step()
    await Feeding(stage.queue, stage.database, 1000).step()
    assert await stage.waiting(":bulk") == members
    assert {entry.attempt for entry in await stage.entries(":bulk")} == {1}


async def test_the_stream_stays_short(stage: Stage) -> None:
    await stage.campaign(100, 5)
    feeding = Feeding(stage.queue, stage.database, 12)
    await feeding.step()
    assert len(await stage.waiting(":bulk")) == 15
    await feeding.step()
    assert len(await take_out(stage)) == 15
    await feeding.step()
    assert len(await stage.waiting(":bulk")) == 15


async def test_two_campaigns_alternate(stage: Stage) -> None:
    large, many = await stage.campaign(100, 5)
    feeding = Feeding(stage.queue, stage.database, 10)
    await feeding.step()
    assert set(await take_out(stage)) <= set(many)
    small, few = await stage.campaign(10, 5)
    await feeding.step()
    shares = Counter(small if message in few else large for message in await take_out(stage))
    assert shares == {large: 5, small: 5}


async def test_two_schedulers_feed_no_chunk_twice(stage: Stage) -> None:
    _, first = await stage.campaign(40, 4)
    _, second = await stage.campaign(40, 4)
    feeders = [Feeding(stage.queue, stage.database, 1000) for _ in range(2)]
    for _ in range(5):
        await asyncio.gather(*(feeder.step() for feeder in feeders))
    assert sorted(await stage.waiting(":bulk")) == sorted(first + second)


async def test_an_account_that_is_full_stops_only_its_own(stage: Stage) -> None:
    _, bound = await stage.campaign(60, 10, endpoint=stage.endpoints[0])
    _, free = await stage.campaign(10, 10)
    await Feeding(stage.queue, stage.database, 1000).step()
    own = await stage.entries(f":endpoint:{stage.endpoints[0]}:bulk")
    assert [entry.message for entry in own] == bound[:20]
    assert all(entry.chosen for entry in own)
    assert await stage.waiting(":bulk") == free


@pytest.mark.parametrize("obstacle", ["paused", "stopped", "expired"])
async def test_what_does_not_run_is_not_fed(stage: Stage, obstacle: str) -> None:
    token, _ = await stage.campaign(5, expires_in=-1 if obstacle == "expired" else 3600)
    if obstacle == "paused":
        await stage.database.execute("select pause_campaign($1)", token)
    elif obstacle == "stopped":
        await stage.database.execute("select set_stopped_lanes('{bulk}', 'a test')")
    await Feeding(stage.queue, stage.database, 1000).step()
    assert await stage.waiting(":bulk") == []


async def test_a_resume_feeds_exactly_the_rest(stage: Stage) -> None:
    token, members = await stage.campaign(6, 3)
    feeding = Feeding(stage.queue, stage.database, 1000)
    await feeding.step()
    await stage.database.execute("update messages set status = 'sent' where id = any ($1)", members[:2])
    await stage.database.execute("select pause_campaign($1)", token)
    await take_out(stage)
    await stage.database.execute("select resume_campaign($1)", token)
    await feeding.step()
    assert await stage.waiting(":bulk") == members[2:]


async def test_a_chunk_stays_unfed_when_redis_is_of_another_epoch(stage: Stage) -> None:
    token, members = await stage.campaign(3)
    await stage.database.execute("update control set epoch = epoch + 1")
    feeding = Feeding(stage.queue, stage.database, 1000)
    with pytest.raises(RebuildNeeded):
        await feeding.step()
    chunk = await stage.chunk(token)
    assert (chunk["fed_at"], chunk["feeding_until"]) == (None, None)
    await stage.rebuilder().step()
    await feeding.step()
    assert await stage.waiting(":bulk") == members


async def test_a_rebuild_meanwhile_has_the_chunk_fed_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    token, _ = await stage.campaign(3)

    async def enqueue_and_lose(*arguments: Any) -> int:
        added = await enqueue(*arguments)
        await stage.database.fetchval("select begin_rebuild()")
        return added

    monkeypatch.setattr("services.scheduler.campaigns.feeding.enqueue", enqueue_and_lose)
    await Feeding(stage.queue, stage.database, 1000).step()
    assert (await stage.chunk(token))["fed_at"] is None
