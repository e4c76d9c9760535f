"""Parked entries, files, partitions, old minutes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.scheduler.due_messages import DueMessages
from services.scheduler.media_janitor import MediaJanitor
from services.scheduler.retention import Retention
from shared.database.retention import drop_old_partitions, forget_dropped
from shared.messages import Entry, Lane
from shared.queue.connection import clock_ms
from shared.queue.enqueueing import Placement, enqueue
from tests.integration.scheduler.stage import LOCK_WAITERS, Stage, until

DAY = 86400.0


async def test_parked_entries_are_promoted_once(stage: Stage) -> None:
    now = await clock_ms(stage.queue)
    due, later = uuid4(), uuid4()
    await enqueue(
        stage.queue,
        [
            Placement(Entry(due, 2, Lane.TRANSACTIONAL), now - 1),
            Placement(Entry(later, 2, Lane.TRANSACTIONAL), now + 60_000),
        ],
    )
    loops = [DueMessages(stage.queue, stage.rate, 1000) for _ in range(2)]
    waits = await asyncio.gather(*(loop.step() for loop in loops))
    assert await stage.waiting(":transactional") == [due]
    assert waits == [0.5, 0.5]


async def media_left(stage: Stage) -> int:
    assert await stage.database.fetchval("select count(*) from media_blocks") == await stage.database.fetchval(
        "select count(*) from media"
    )
    return int(await stage.database.fetchval("select count(*) from media"))


async def test_media_without_an_owner_goes_after_an_hour(stage: Stage) -> None:
    await stage.owned_media(None)
    await stage.owned_media(None, age=3700)
    await stage.owned_media(uuid4())
    await stage.owned_media(uuid4(), age=3700)
    await MediaJanitor(stage.database, DAY).step()
    assert await media_left(stage) == 2


@pytest.mark.parametrize(
    ("status", "hours_ago", "kept"),
    [
        ("queued", 100, 1), ("sending", 100, 1), ("retrying", 100, 1), ("sent", 0, 0), ("canceled", 0, 0),
        ("failed", 1, 1), ("unknown", 1, 1), ("failed", 25, 0), ("unknown", 25, 0),
    ],
)  # fmt: skip
async def test_media_of_a_message(stage: Stage, status: str, hours_ago: int, kept: int) -> None:
    message = await stage.message()
    await stage.owned_media(message)
    await stage.database.execute(
        "update messages set status = $1, changed_at = clock_timestamp() - make_interval(hours => $2)",
        status,
        hours_ago,
    )
    await MediaJanitor(stage.database, DAY).step()
    assert await media_left(stage) == kept


@pytest.mark.parametrize(
    ("statuses", "hours_ago", "kept"),
    [
        (["sent", "sent"], None, 1),
        (["sent", "sent"], 0, 0),
        (["sent", "failed"], 1, 1),
        (["unknown", "unknown"], 25, 0),
    ],
)
async def test_media_of_a_campaign(stage: Stage, statuses: list[str], hours_ago: int | None, kept: int) -> None:
    token, messages = await stage.campaign(2)
    media = await stage.owned_media(token)
    await stage.database.execute("update campaigns set media = $1", media)
    for message, status in zip(messages, statuses, strict=True):
        await stage.database.execute(
            "update messages set status = $2, changed_at = clock_timestamp() where id = $1", message, status
        )
    await stage.database.execute(
        "update campaigns set finished_at = clock_timestamp() - make_interval(hours => $1)", hours_ago
    )
    await MediaJanitor(stage.database, DAY).step()
    assert await media_left(stage) == kept


async def test_a_retry_and_the_janitor_exclude_each_other(stage: Stage) -> None:
    token, _ = await stage.campaign(2)
    media = await stage.owned_media(token)
    await stage.database.execute(
        "update campaigns set media = $1, finished_at = clock_timestamp() - interval '2 days'", media
    )
    await stage.database.execute("update messages set status = 'failed'")
    async with stage.database.transaction() as connection:
        await connection.fetchval("select retry_campaign($1)", token)
        deleting = asyncio.create_task(MediaJanitor(stage.database, DAY).step())
        await until(lambda: stage.database.fetchval(LOCK_WAITERS))
    await deleting
    assert await media_left(stage) == 1


async def test_old_minutes_are_forgotten(stage: Stage) -> None:
    minute = await clock_ms(stage.queue) // 60_000
    key = stage.queue.keys.minutes
    await stage.queue.ask("HSET", key, f"{minute}:sent", 1, f"{minute - 119}:sent", 1, f"{minute - 121}:sent", 1)
    await Retention(stage.queue, stage.database, 0, 2 * DAY, 30 * DAY).step()
    assert set(await stage.queue.ask("HKEYS", key)) == {f"{minute}:sent", f"{minute - 119}:sent"}


async def test_what_people_wrote_is_forgotten(stage: Stage) -> None:
    for phone, age in (("15550300001", "31 days"), ("15550300002", "29 days")):
        await stage.database.execute("select hear('a', $1, $1, $1 || '@lid', '3A' || $1, null)", phone)
        await stage.database.execute(
            "update conversations set noted_at = noted_at - $2::text::interval where phone_key = $1", phone, age
        )
        await stage.database.execute(
            "update inbound_ids set noted_at = noted_at - $2::text::interval where whatsapp_id = '3A' || $1", phone, age
        )
    await Retention(stage.queue, stage.database, 0, 2 * DAY, 30 * DAY).step()
    assert await stage.database.fetchval("select string_agg(phone_key, ',') from conversations") == "15550300002"
    assert await stage.database.fetchval("select string_agg(whatsapp_id, ',') from inbound_ids") == "3A15550300002"
    assert await stage.database.fetchval("select count(*) from hidden_numbers") == 2


async def test_old_answers_are_forgotten(stage: Stage) -> None:
    for key, age in (("old", "3 days"), ("new", "1 hour")):
        await stage.database.execute(
            "insert into idempotency_keys (caller, key, request, status, body, created_at)"
            " values ('', $1, '', 202, '', clock_timestamp() - $2::text::interval)",
            key,
            age,
        )
    await Retention(stage.queue, stage.database, 0, 2 * DAY, 30 * DAY).step()
    assert await stage.database.fetchval("select string_agg(key, ',') from idempotency_keys") == "new"


async def months(stage: Stage) -> set[str]:
    rows = await stage.database.fetch(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'messages'::regclass"
    )
    return {row["relname"].removeprefix("messages_") for row in rows}


async def test_partitions_are_made_and_old_ones_dropped(stage: Stage) -> None:
    this_month = f"{datetime.now(UTC):%Y_%m}"
    for month, following in (("2024_01", "2024-02-01"), ("2024_02", "2024-03-01")):
        await old_month(stage, month, following)
    waits = await stage.database.fetchval("select uuid_of_time('2024-02-10Z')")
    gone = await stage.database.fetchval("select uuid_of_time('2024-01-10Z')")
    for message in (waits, gone):
        await stage.database.execute(
            "insert into messages (id, lane, kind, phone, phone_key, on_unknown)"
            " values ($1, 'bulk', 'message', 'x', 'x', 'hold')",
            message,
        )
        await stage.database.execute("insert into whatsapp_ids values ($1, 'e', $2, 1)", str(message), message)
    await stage.database.execute(
        "insert into due (message, due_at, why, lane) values ($1, clock_timestamp(), 'send', 'bulk')", waits
    )
    await stage.database.execute(f"drop table messages_{this_month}")
    await stage.database.execute(f"drop table attempts_{this_month}")

    await Retention(stage.queue, stage.database, 0, 2 * DAY, 30 * DAY).step()
    assert {"2024_01", "2024_02", this_month} <= await months(stage)
    await asyncio.gather(
        *(Retention(stage.queue, stage.database, 30 * DAY, 2 * DAY, 30 * DAY).step() for _ in range(2))
    )
    assert {"2024_02", this_month, "other"} <= await months(stage)
    assert "2024_01" not in await months(stage)
    assert await stage.database.fetchval("select array_agg(message) from whatsapp_ids") == [waits]


async def old_month(stage: Stage, month: str, following: str) -> None:
    for table in ("messages", "attempts"):
        await stage.database.execute(
            f"create table {table}_{month} partition of {table}"
            f" for values from (uuid_of_time('{month.replace('_', '-')}-01Z')) to (uuid_of_time('{following}Z'))"
        )


async def test_a_month_in_use_stays_and_nobody_is_kept_waiting(stage: Stage) -> None:
    await old_month(stage, "2024_01", "2024-02-01")
    await old_month(stage, "2024_02", "2024-03-01")
    retention = Retention(stage.queue, stage.database, 30 * DAY, 2 * DAY, 30 * DAY)
    async with stage.database.transaction() as exporting:
        await exporting.fetchval("select count(*) from messages")
        # A wait that was given up leaves nobody in line behind it; and it is short, where the connection's would be 2 s.
        assert await retention.step() == 60.0
        assert {"2024_01", "2024_02"} <= await months(stage)
        assert not await stage.database.fetchval(LOCK_WAITERS)
    assert await retention.step() is None
    assert not {"2024_01", "2024_02"} & await months(stage)
    waits = await stage.database.fetch(
        "select proname, proconfig from pg_proc where proname in ('ensure_partitions', 'drop_old_partitions')"
    )
    assert {row["proname"]: row["proconfig"] for row in waits} == {
        name: ["lock_timeout=100ms", "search_path=public, pg_temp"]
        for name in ("ensure_partitions", "drop_old_partitions")
    }


async def test_what_belonged_to_a_dropped_month_goes_with_it(stage: Stage) -> None:
    await old_month(stage, "2024_01", "2024-02-01")
    token, _ = await stage.campaign(2)
    await stage.database.execute(
        "update campaigns set finished_at = clock_timestamp(), status = 'finished',"
        " first_id = uuid_of_time('2024-01-10Z'), last_id = uuid_of_time('2024-01-11Z')"
    )
    await stage.database.execute("delete from messages")
    await stage.database.execute(
        "insert into whatsapp_ids select 'id ' || n, 'e', uuid_of_time('2024-01-10Z'), n from generate_series(1, 500) n"
    )
    await stage.database.execute("insert into whatsapp_ids values ('kept', 'e', uuid_of_time('2024-02-10Z'), 1)")
    assert await drop_old_partitions(stage.database, DAY) == ["2024_01"]
    steps = 0
    while await forget_dropped(stage.database, 100):
        steps += 1
    # A block at a time, then the campaign, then the note of the month itself.
    assert steps > 3
    assert await stage.database.fetchval("select string_agg(whatsapp_id, ',') from whatsapp_ids") == "kept"
    for table in ("campaigns", "chunks", "dropped_months"):
        assert await stage.database.fetchval(f"select count(*) from {table}") == 0, (table, token)  # noqa: S608
