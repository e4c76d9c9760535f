"""Redis is lost and comes back from Postgres alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.scheduler.campaigns.feeding import Feeding
from services.scheduler.due_messages import DueMessages
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.database.rebuilding import begin_rebuild
from shared.errors import RebuildNeeded
from shared.messages import Status, Verdict
from shared.queue.connection import clock_ms
from shared.queue.profile_copy import published_profile
from shared.queue.rebuild import epoch_is_current
from shared.queue.rota import WITHDRAWN_UNTIL, endpoint_states
from tests.integration.scheduler.stage import LOCK_WAITERS, Stage, until


async def all_loops(stage: Stage) -> None:
    await stage.rebuilder().step()
    await DueMessages(stage.queue, stage.rate, 1000).step()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    await Feeding(stage.queue, stage.database, 1000).step()


async def test_a_first_start_fills_the_rota(open_stage: Callable[..., Any]) -> None:
    stage: Stage = await open_stage()
    with pytest.raises(RebuildNeeded):
        await stage.taking().take(1)
    await stage.rebuilder().step()
    await stage.message()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    assert len((await stage.taking().take(1)).assignments) == 1
    assert await stage.database.fetchval("select rebuild_started_at is null from control")


async def test_singles_retries_and_campaigns_come_back(stage: Stage) -> None:
    single = await stage.message(enqueued=True)
    retried = await stage.message()
    later = await stage.message()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    for assignment in (await stage.taking().take(10)).assignments:
        if assignment.entry.message in (retried, later):
            due = 0.0 if assignment.entry.message == retried else 3600.0
            await stage.finish(assignment, Verdict.TRANSIENT, Status.RETRYING, due_seconds=due)
    _, members = await stage.campaign(5)
    await Feeding(stage.queue, stage.database, 1000).step()

    await stage.queue.ask("FLUSHALL")
    await all_loops(stage)

    entries = {entry.message: entry.attempt for entry in await stage.entries(":transactional")}
    assert entries == {single: 1, retried: 2}
    assert await stage.waiting(":bulk") == members


async def test_assignments_of_before_are_void(stage: Stage) -> None:
    await stage.message()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    (assignment,) = (await stage.taking().take(1)).assignments
    await stage.queue.ask("FLUSHALL")
    await stage.rebuilder().step()
    assert not await stage.begin(assignment)


async def test_an_attempt_under_way_keeps_its_slot(stage: Stage) -> None:
    await stage.message()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    (assignment,) = (await stage.taking().take(1)).assignments
    assert await stage.begin(assignment)
    await stage.queue.ask("FLUSHALL")
    await stage.rebuilder().step()
    assert await stage.queue.ask("ZSCORE", stage.queue.keys.rota, assignment.slot) is None
    assert float(await stage.queue.ask("ZSCORE", stage.queue.keys.busy, assignment.slot)) > await clock_ms(stage.queue)


async def test_pauses_are_kept(open_stage: Callable[..., Any]) -> None:
    stage: Stage = await open_stage(rate_limit_delay_min="50s", rate_limit_delay_max="60s", natural_break_interval=1)
    await stage.rebuilder().step()
    await stage.message()
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    (assignment,) = (await stage.taking().take(1)).assignments
    await stage.finish(assignment, Verdict.SENT, Status.SENT, whatsapp_id="3EB0")
    await stage.queue.ask("FLUSHALL")
    await stage.rebuilder().step()
    now = await clock_ms(stage.queue)
    ready = float(await stage.queue.ask("ZSCORE", stage.queue.keys.rota, assignment.slot))
    bulk = float(await stage.queue.ask("ZSCORE", stage.queue.keys.rota_bulk, assignment.slot))
    assert 50_000 < ready - now <= 60_000
    # One message fills a break interval of one.
    assert 110_000 < bulk - now <= 120_000


async def one_sent_one_unknown_one_open(stage: Stage) -> None:
    """Three attempts of the first account, of which one has no answer yet and one will never have any."""
    await stage.rebuilder().step()
    for end in (Status.SENT, Status.SENDING, None):
        await stage.message(on_unknown="hold", endpoint=stage.endpoints[0])
        await UnqueuedMessages(stage.queue, stage.database, 1000).step()
        (assignment,) = (await stage.taking().take(1)).assignments
        assert assignment.endpoint == stage.endpoints[0]
        match end:
            case Status.SENT:
                await stage.finish(assignment, Verdict.SENT, end, whatsapp_id="3EB0")
            case Status.SENDING:
                await stage.finish(assignment, Verdict.UNKNOWN, end, due_seconds=3600.0)
            case _:
                assert await stage.begin(assignment)


async def test_open_and_unknown_attempts_count_towards_a_cap(open_stage: Callable[..., Any]) -> None:
    stage: Stage = await open_stage(hourly_cap=3, endpoint_concurrency=2)
    await one_sent_one_unknown_one_open(stage)
    await stage.queue.ask("FLUSHALL")
    await stage.rebuilder().step()
    await stage.message(endpoint=stage.endpoints[0])
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    # Its second slot is free and the message is there; nothing but the three holds it back.
    assert (await stage.taking().take(10)).assignments == []
    slots = [f"{stage.endpoints[0]}/{number}" for number in range(2)]
    (free,) = [slot for slot in slots if await stage.queue.ask("ZSCORE", stage.queue.keys.rota, slot)]
    hour_left = float(await stage.queue.ask("ZSCORE", stage.queue.keys.rota, free)) - await clock_ms(stage.queue)
    assert 3_500_000 < hour_left <= 3_600_000


@pytest.mark.parametrize("last", ["unknown", "open"])
async def test_open_and_unknown_attempts_are_followed_by_a_pause(open_stage: Callable[..., Any], last: str) -> None:
    stage: Stage = await open_stage(
        rate_limit_delay_min="50s", rate_limit_delay_max="60s", natural_break_interval=2, endpoint_concurrency=2
    )
    await stage.rebuilder().step()
    for number in range(2):
        await stage.message(on_unknown="hold", endpoint=stage.endpoints[0])
        await UnqueuedMessages(stage.queue, stage.database, 1000).step()
        (assignment,) = (await stage.taking().take(1)).assignments
        if number == 0 or last == "unknown":
            await stage.finish(assignment, Verdict.UNKNOWN, Status.SENDING, due_seconds=3600.0)
        else:
            assert await stage.begin(assignment)
    await stage.queue.ask("FLUSHALL")
    await stage.rebuilder().step()
    now = await clock_ms(stage.queue)
    slots = [f"{stage.endpoints[0]}/{number}" for number in range(2)]
    ready = [await stage.queue.ask("ZSCORE", stage.queue.keys.rota, slot) for slot in slots]
    bulk = [await stage.queue.ask("ZSCORE", stage.queue.keys.rota_bulk, slot) for slot in slots]
    assert len([score for score in ready if score is None]) == (1 if last == "open" else 0)
    assert all(50_000 < float(score) - now <= 60_000 for score in ready if score is not None)
    # The two fill a break interval of two.
    assert all(110_000 < float(score) - now <= 120_000 for score in bulk if score is not None)


async def test_a_suspended_endpoint_stays_out(stage: Stage) -> None:
    await stage.database.execute("select suspend_endpoint($1, 'blocked')", stage.endpoints[0])
    await stage.queue.ask("FLUSHALL")
    await stage.rebuilder().step()
    assert await stage.queue.ask("ZRANGE", stage.queue.keys.rota, 0, -1) == [f"{stage.endpoints[1]}/0"]
    state = (await endpoint_states(stage.queue, stage.endpoints))[stage.endpoints[0]]
    assert (state["breaker"], state["reason"], state["not_before"]) == (
        "open", "suspended: blocked", str(WITHDRAWN_UNTIL),
    )  # fmt: skip


async def test_two_schedulers_rebuild_once(stage: Stage) -> None:
    await stage.queue.ask("FLUSHALL")
    before = await stage.epoch()
    rebuilders = [stage.rebuilder() for _ in range(4)]
    await asyncio.gather(*(rebuilder.step() for rebuilder in rebuilders))
    assert await stage.epoch() == before + 1
    assert await epoch_is_current(stage.queue, before + 1)


async def test_who_waited_for_another_rebuild_begins_none(stage: Stage) -> None:
    seen = await stage.epoch()
    async with stage.database.transaction() as connection:
        await connection.execute("select pg_advisory_xact_lock(gate_key())")
        late = asyncio.create_task(begin_rebuild(stage.database, seen))
        await until(lambda: stage.database.fetchval(LOCK_WAITERS))
        await connection.execute("update control set epoch = epoch + 1")
    assert await late is None
    assert await stage.epoch() == seen + 1


async def test_a_rebuild_that_failed_is_begun_again_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.queue.ask("FLUSHALL")
    rebuilder = stage.rebuilder()

    async def fails(*_: Any) -> None:
        raise ConnectionError("gone in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(rebuilder, "_state", fails)
        with pytest.raises(ConnectionError):
            await rebuilder.step()
    await rebuilder.step()
    assert await epoch_is_current(stage.queue, await stage.epoch())


async def test_a_rebuild_whose_scheduler_died_at_the_very_end_is_ended_by_another(stage: Stage) -> None:
    await stage.database.execute("update control set rebuild_started_at = clock_timestamp() - interval '1 hour'")
    await stage.rebuilder().step()
    assert await stage.database.fetchval("select rebuild_started_at is null from control"), "nothing is enqueued before"


async def test_a_copy_of_the_rate_profile_is_mended(stage: Stage) -> None:
    await stage.database.execute("update control set rate_profile = $1", {"name": "bulk"})
    await stage.rebuilder().step()
    version, text = await published_profile(stage.queue)
    assert text == '{"name":"bulk"}'
    assert version != "0"
    assert stage.rate.profiles.usual.name == "bulk"
