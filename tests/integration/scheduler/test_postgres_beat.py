"""The beat number: Redis is never ahead in normal life, and when it is, everything stops until it is confirmed."""

from __future__ import annotations

import asyncio

from services.scheduler.postgres_beat import PostgresBeat
from shared.database.beat import Beat, beat_of_postgres, durability_problem, raise_beat
from shared.database.campaigns import start_lanes
from shared.database.rebuilding import begin_rebuild
from shared.messages import Lane
from shared.queue.rebuild import epoch_is_current, mark_beat, numbers_of_redis
from tests.integration.scheduler.stage import Stage


async def redis_has(stage: Stage) -> Beat:
    return Beat(*await numbers_of_redis(stage.queue))


async def stopped(stage: Stage) -> tuple[list[str], str]:
    row = await stage.database.fetchrow("select stopped_lanes, coalesce(stop_reason, '') from control")
    assert row is not None
    return list(row[0]), row[1]


async def beats(stage: Stage, count: int = 1) -> None:
    for _ in range(count):
        await PostgresBeat(stage.queue, stage.database).step()


async def test_redis_is_never_ahead(stage: Stage) -> None:
    roles = [PostgresBeat(stage.queue, stage.database) for _ in range(4)]
    for _ in range(10):
        await asyncio.gather(*(role.step() for role in roles))
        redis = await redis_has(stage)
        assert redis <= await beat_of_postgres(stage.database)
    assert redis.number > 40
    assert await stopped(stage) == ([], "")


async def test_no_number_is_given_twice(stage: Stage) -> None:
    numbers = await asyncio.gather(*(raise_beat(stage.database, Beat(0, 0)) for _ in range(500)))
    assert len(set(numbers)) == 500


async def test_a_scheduler_that_stood_still_does_not_set_it_back(stage: Stage) -> None:
    late = await raise_beat(stage.database, await redis_has(stage))
    assert late is not None
    await beats(stage, 3)
    before = await redis_has(stage)
    assert await mark_beat(stage.queue, late)
    assert await redis_has(stage) == before


async def test_a_number_whose_answer_was_lost_is_no_alarm(stage: Stage) -> None:
    for _ in range(5):
        await raise_beat(stage.database, await redis_has(stage))
        await beats(stage)
    assert await stopped(stage) == ([], "")


async def test_a_postgres_behind_stops_everything_until_it_is_confirmed(stage: Stage) -> None:
    await beats(stage, 20)
    redis = await redis_has(stage)
    await stage.database.execute("select setval('beat_number', 5)")
    await beats(stage, 3)
    lanes, reason = await stopped(stage)
    assert lanes == ["bulk", "transactional"]
    assert f"it is at beat 5 of epoch {redis.epoch}, Redis was at beat {redis.number}" in reason
    assert await beat_of_postgres(stage.database) == Beat(redis.epoch, 5), "the number must not grow past that of Redis"

    assert (await start_lanes(stage.database, Lane)).went_back_at is not None
    await beats(stage, 3)
    assert await stopped(stage) == ([], "")
    assert await redis_has(stage) == await beat_of_postgres(stage.database)
    assert await epoch_is_current(stage.queue, redis.epoch), "what Redis knows of pauses and caps is kept"


async def test_an_operators_words_do_not_hide_it(stage: Stage) -> None:
    await beats(stage, 20)
    await stage.database.execute("select setval('beat_number', 5)")
    await beats(stage)
    await stage.database.execute("select set_stopped_lanes('{bulk}', 'for the night')")
    assert await stage.database.fetchval("select went_back_at is not null from control")
    await beats(stage)
    assert await stopped(stage) == (["bulk"], "for the night")


async def test_a_postgres_of_an_older_epoch_stops_everything_and_nothing_is_rebuilt(stage: Stage) -> None:
    await beats(stage)
    for _ in range(3):
        await stage.queue.ask("DEL", stage.queue.keys.epoch)
        await stage.rebuilder().step()
    epoch = (await redis_has(stage)).epoch
    await stage.database.execute("update control set epoch = epoch - 2")
    for _ in range(4):
        await stage.rebuilder().step()
    assert await stage.epoch() == epoch - 2, "it must not climb to what Redis has and look current"
    await beats(stage)
    assert (await stopped(stage))[0] == ["bulk", "transactional"]

    await start_lanes(stage.database, Lane)
    await stage.rebuilder().step()
    await beats(stage)
    assert await epoch_is_current(stage.queue, await stage.epoch())
    assert await stopped(stage) == ([], "")


async def test_the_same_number_from_two_histories_stops_everything(stage: Stage) -> None:
    await beats(stage, 3)
    # Another server had given the next one before this one took over.
    assert await mark_beat(stage.queue, (await beat_of_postgres(stage.database)).number + 1)
    redis = await redis_has(stage)
    number = await raise_beat(stage.database, Beat(redis.epoch, redis.number - 1))
    assert number == redis.number
    assert not await mark_beat(stage.queue, number)


async def test_it_survives_a_rebuild(stage: Stage) -> None:
    await beats(stage, 3)
    before = await redis_has(stage)
    await begin_rebuild(stage.database, before.epoch)
    await stage.database.execute("select end_rebuild(epoch) from control")
    await stage.rebuilder().step()
    after = await redis_has(stage)
    assert after.number == before.number
    assert after.epoch > before.epoch


async def test_it_goes_on_after_redis_was_emptied(stage: Stage) -> None:
    await beats(stage, 3)
    await stage.queue.ask("FLUSHALL")
    await beats(stage)
    await stage.rebuilder().step()
    await beats(stage)
    assert await redis_has(stage) == await beat_of_postgres(stage.database)
    assert await stopped(stage) == ([], "")


async def test_a_database_that_does_not_wait_for_its_commits_is_a_problem(stage: Stage) -> None:
    assert await durability_problem(stage.database) == ""
    async with stage.database.connection() as connection:
        await connection.execute("set synchronous_commit = off")
    found = [await durability_problem(stage.database) for _ in range(2)]
    async with stage.database.connection() as connection:
        await connection.execute("set synchronous_commit = on")
    assert any("synchronous_commit of Postgres is off" in problem for problem in found)
