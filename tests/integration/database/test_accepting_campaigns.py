"""A list of any length becomes a campaign in one transaction while it is read: whole, or not at all."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.gateway.intake.duplicates import FirstRows
from shared.database.campaigns import NewCampaign, NoRecipients, OwnedMediaGone, Tally, in_one_portion, insert_campaign
from shared.database.connection import Database
from shared.database.idempotency import CallerKey, KeptAnswer, Keyed, KeyTaken, find_answers
from shared.database.messages import Draft
from shared.errors import DatabaseUnavailable
from shared.messages import Kind, Lane, OnUnknown
from tests.integration.accepting import CONTENT

KEY = CallerKey("tester", "list of May")
DRAFT = Draft(
    kind=Kind.MESSAGE,
    lane=Lane.BULK,
    content=CONTENT,
    on_unknown=OnUnknown.HOLD,
    expires_after=60.0,
    endpoint="aaa",
    reference="May",
)


def phone(number: int) -> str:
    return f"{15550000000 + number}@s.whatsapp.net"


def phones(count: int) -> list[str]:
    return [phone(number) for number in range(count)]


async def portions(count: int, size: int) -> AsyncIterator[Sequence[str]]:
    for start in range(0, count, size):
        yield [phone(number) for number in range(start, min(start + size, count))]


def campaign(
    recipients: AsyncIterator[Sequence[str]],
    tally: Callable[[int], Tally] = lambda _: Tally(),
    key: CallerKey | None = None,
    draft: Draft = DRAFT,
) -> NewCampaign:
    return NewCampaign(uuid4(), draft, recipients, tally, key)


async def rows_of(store: Database, token: UUID) -> list[asyncpg.Record]:
    return await store.fetch("select * from messages where campaign = $1 order by id", token)


async def nothing_is_left(store: Database) -> bool:
    rows = await store.fetch(
        "select id from messages union all select token from campaigns union all select campaign from chunks"
    )
    answers = await store.fetch("select key from idempotency_keys")
    owned = await store.fetch("select id from media where owner is not null")
    return not rows and not answers and not owned


class Held:
    """Recipients of which the first thousands are on their way to Postgres, while the next portion waits to be let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.given = 0

    async def portions(self) -> AsyncIterator[Sequence[str]]:
        for start in range(0, 100_000, 10_000):
            if start == 30_000:
                self.begun.set()
                await self.go_on.wait()
            self.given += 10_000
            yield [phone(number) for number in range(start, start + 10_000)]


@pytest.mark.parametrize(
    ("portion", "chunk_size"), [(1, 1), (3, 7), (1_000, 1), (1_000, 400), (500, 500), (5_000, 500), (400, 5_000)]
)
async def test_however_the_list_comes_its_rows_and_chunks_are_those_of_the_list(
    store: Database, portion: int, chunk_size: int
) -> None:
    count = 1_207 if min(portion, chunk_size) > 1 else 23
    wanted = campaign(portions(count, portion))
    assert await insert_campaign(store, wanted, chunk_size) == count
    rows = await rows_of(store, wanted.token)
    assert [row["phone"] for row in rows] == phones(count)
    assert [row["phone_key"] for row in rows] == [str(15550000000 + number) for number in range(count)]
    assert {(row["lane"], row["kind"], row["chosen_endpoint"], row["on_unknown"], row["status"]) for row in rows} == {
        ("bulk", "message", "aaa", "hold", "queued")
    }
    ids = [row["id"] for row in rows]
    assert [tuple(row)[1:] for row in await chunks_of(store, wanted.token)] == list(expected_chunks(ids, chunk_size))
    row = await store.fetchrow("select * from campaigns where token = $1", wanted.token)
    assert row is not None
    assert (row["total"], row["first_id"], row["last_id"], row["reference"]) == (count, ids[0], ids[-1], "May")


async def chunks_of(store: Database, token: UUID) -> list[asyncpg.Record]:
    return await store.fetch(
        "select campaign, number, first_id, last_id, size from chunks where campaign = $1 order by number", token
    )


def expected_chunks(ids: list[UUID], size: int) -> Iterator[tuple[int, UUID, UUID, int]]:
    for number, start in enumerate(range(0, len(ids), size)):
        some = ids[start : start + size]
        yield number, some[0], some[-1], len(some)


async def test_the_end_of_the_list_is_told_how_many_there_were(store: Database) -> None:
    told: list[int] = []

    def tally(count: int) -> Tally:
        told.append(count)
        return Tally(rejected=2, duplicates=3, keyed=Keyed(KEY, KeptAnswer(b"asked", 202, b"%d" % count)))

    wanted = campaign(portions(1_001, 400), tally, KEY)
    await insert_campaign(store, wanted, 500)
    row = await store.fetchrow("select total, rejected, duplicates from campaigns")
    assert row is not None
    assert tuple(row) == (1_001, 2, 3)
    assert told == [1_001]
    assert await find_answers(store, [KEY]) == [KeptAnswer(b"asked", 202, b"1001")]


async def test_a_hundred_thousand_pass_through_memory_and_none_stays(store: Database) -> None:
    """The phones alone would be 8 MiB."""
    tracemalloc.start()
    try:
        await insert_campaign(store, campaign(portions(100_000, 1_000)), 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
    assert await store.fetchval("select count(*) from messages") == 100_000
    assert await store.fetchval("select sum(size) from chunks") == 100_000


@pytest.mark.parametrize(
    "error", [ValueError, OSError, TimeoutError, asyncpg.DataError], ids=lambda error: error.__name__
)
async def test_an_error_in_the_middle_leaves_nothing_and_is_told_as_it_is(
    store: Database, error: type[Exception]
) -> None:
    raised = error("row 70,001 cannot be read")

    async def broken() -> AsyncIterator[Sequence[str]]:
        async for portion in portions(70_000, 10_000):
            yield portion
        raise raised

    with pytest.raises(error) as caught:
        await insert_campaign(store, campaign(broken(), key=KEY), 500)
    assert caught.value is raised
    assert str(raised) == "row 70,001 cannot be read"
    assert await nothing_is_left(store)


async def test_a_tally_that_fails_leaves_nothing(store: Database) -> None:
    def fails(_: int) -> Tally:
        raise ValueError("no answer could be made")

    with pytest.raises(ValueError, match="no answer"):
        await insert_campaign(store, campaign(in_one_portion(phones(3)), fails), 500)
    assert await nothing_is_left(store)


async def test_cancelled_in_the_middle_leaves_nothing_and_gives_the_connection_back(store: Database) -> None:
    held = Held()
    task = asyncio.create_task(insert_campaign(store, campaign(held.portions(), key=KEY), 500))
    await held.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nothing_is_left(store)
    await insert_campaign(store, campaign(in_one_portion(phones(3)), key=KEY), 500)
    assert await store.fetchval("select count(*) from messages") == 3


async def test_a_connection_lost_in_the_middle_leaves_nothing_and_the_list_is_not_read_on(store: Database) -> None:
    held = Held()
    task = asyncio.create_task(insert_campaign(store, campaign(held.portions()), 500))
    await held.begun.wait()
    ended = await store.fetch(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where query ilike 'copy %' and pid <> pg_backend_pid()"
    )
    assert len(ended) == 1
    held.go_on.set()
    with pytest.raises(DatabaseUnavailable):
        await task
    assert held.given < 100_000
    assert await nothing_is_left(store)


async def test_a_value_that_postgres_refuses_leaves_nothing(store: Database) -> None:
    await store.execute("alter table messages add constraint refusing check (phone_key <> '15550000777')")
    with pytest.raises(asyncpg.CheckViolationError):
        await insert_campaign(store, campaign(portions(1_000, 100)), 500)
    assert await nothing_is_left(store)


@pytest.mark.parametrize("given", [[], [[]]], ids=["no portion", "an empty one"])
async def test_a_list_of_nobody_is_no_campaign(store: Database, given: list[list[str]]) -> None:
    async def nobody() -> AsyncIterator[Sequence[str]]:
        for portion in given:
            yield portion

    with pytest.raises(NoRecipients):
        await insert_campaign(store, campaign(nobody()), 500)
    assert await nothing_is_left(store)


async def test_a_key_is_held_from_the_first_row_to_the_last(store: Database) -> None:
    held = Held()
    kept = Keyed(KEY, KeptAnswer(b"asked", 202, b"{}"))
    task = asyncio.create_task(insert_campaign(store, campaign(held.portions(), lambda _: Tally(keyed=kept), KEY), 500))
    await held.begun.wait()
    with pytest.raises(KeyTaken):
        await insert_campaign(store, campaign(in_one_portion(phones(3)), lambda _: Tally(keyed=kept), KEY), 500)
    held.go_on.set()
    assert await task == 100_000
    with pytest.raises(KeyTaken):
        await insert_campaign(store, campaign(in_one_portion(phones(3)), lambda _: Tally(keyed=kept), KEY), 500)
    assert await store.fetchval("select count(*) from campaigns") == 1


async def test_a_list_whose_file_is_gone_is_not_read(store: Database) -> None:
    held = Held()
    draft = Draft(
        kind=Kind.IMAGE, lane=Lane.BULK, content={}, on_unknown=OnUnknown.HOLD, expires_after=60.0, media=uuid4()
    )
    with pytest.raises(OwnedMediaGone):
        await insert_campaign(store, campaign(held.portions(), draft=draft), 500)
    assert held.given == 0


async def test_others_are_served_while_a_list_is_written(store: Database) -> None:
    """Who opts out and who stops a lane need locks and connections of their own."""
    held = Held()
    task = asyncio.create_task(insert_campaign(store, campaign(held.portions()), 500))
    await held.begun.wait()
    await store.execute("insert into optouts (phone_key) values ('15550000001')")
    await store.execute("select set_stopped_lanes(array['bulk'], 'test')")
    assert await store.fetchval("select count(*) from campaigns") == 0
    held.go_on.set()
    assert await task == 100_000
    assert await store.fetchval("select stopped_lanes from control") == ["bulk"]


async def test_duplicates_are_found_across_the_whole_list_with_the_row_that_came_first(store: Database) -> None:
    rows, repeated = FirstRows(few=1_000), dict[int, int]()
    numbers = [*range(20_000), 5, 19_999, 10_000, *range(20_000, 21_000), 5, 20_500]

    async def once() -> AsyncIterator[Sequence[str]]:
        for start in range(0, len(numbers), 1_000):
            portion = []
            for row in range(start, min(start + 1_000, len(numbers))):
                first = rows.first_row(str(15550000000 + numbers[row]), row)
                if first == row:
                    portion.append(phone(numbers[row]))
                else:
                    repeated[row] = first
            yield portion

    wanted = campaign(once(), lambda _: Tally(duplicates=len(repeated)))
    assert await insert_campaign(store, wanted, 500) == 21_000
    assert repeated == {20_000: 5, 20_001: 19_999, 20_002: 10_000, 21_003: 5, 21_004: 20_503}
    assert await store.fetchval("select count(distinct phone_key) from messages") == 21_000
    assert await store.fetchval("select duplicates from campaigns") == 5
