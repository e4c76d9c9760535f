"""Recipients stay with the account that talked to them last, Redis stays small, and nothing is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from services.scheduler.campaigns.completion import Completion
from services.scheduler.campaigns.feeding import Feeding
from shared.messages import Entry, Lane
from shared.queue.rota import withdraw
from shared.queue.streams import rebind
from shared.queue.taking import FollowUp, Settlement
from tests.integration.scheduler.stage import Clock, Stage

THREE = {
    "whatsapp_endpoints": ",".join(f"http://127.0.0.1:{port}" for port in (9, 10, 11)),
    "whatsapp_auths": ",".join(["user:password"] * 3),
}


def phone(number: int) -> str:
    return f"1555{number:07}"


@pytest.fixture
async def three(open_stage: Callable[..., Any]) -> Stage:
    """A stage of three accounts."""
    stage: Stage = await open_stage(**THREE)
    await stage.rebuilder().step()
    return stage


def feeder(stage: Stage, high_water: int = 1000) -> Feeding:
    return Feeding(stage.queue, stage.database, high_water, stage.endpoints)


async def know(stage: Stage, contacts: dict[str, str]) -> None:
    """Phone -> the account that talked to them last."""
    await stage.database.execute(
        "insert into contacts (phone_key, endpoint, last_sent_at)"
        " select p, e, clock_timestamp() from unnest($1::text[], $2::text[]) as c (p, e)"
        " on conflict (phone_key, endpoint) do update set last_sent_at = excluded.last_sent_at",
        list(contacts),
        list(contacts.values()),
    )


async def sticky_campaign(
    stage: Stage, total: int, chunk_size: int, owner: Callable[[int], str]
) -> tuple[UUID, dict[UUID, str]]:
    """A campaign and, per message, the account (or '') that its recipient belongs to."""
    phones = [phone(number) for number in range(total)]
    await know(stage, {one: owner(number) for number, one in enumerate(phones) if owner(number)})
    token, members = await stage.campaign(total, chunk_size, phones=phones)
    return token, {message: owner(number) for number, message in enumerate(members)}


async def own(stage: Stage, endpoint: str) -> list[Entry]:
    return await stage.entries(f":endpoint:{endpoint}:bulk")


async def drain(stage: Stage, suffix: str, count: int = 100_000) -> list[Entry]:
    """The oldest entries of a stream, which are sent, so to say: gone from Redis, their rows ended."""
    entries = (await stage.entries(suffix))[:count]
    lines = await stage.queue.ask("XRANGE", stage.queue.keys.prefix + suffix, "-", "+", "COUNT", count)
    if lines:
        await stage.queue.ask("XDEL", stage.queue.keys.prefix + suffix, *(line[0] for line in lines))
    await stage.database.execute(
        "update messages set status = 'sent' where id = any ($1)", [entry.message for entry in entries]
    )
    return entries


async def entries_in_redis(stage: Stage) -> int:
    keys = [key async for key in stage.queue.redis.scan_iter(stage.queue.keys.prefix + "*", _type="stream")]
    lengths = [int(await stage.queue.redis.xlen(key)) for key in keys]
    return sum(lengths) + int(await stage.queue.redis.zcard(stage.queue.keys.scheduled))


async def test_known_recipients_are_bound_and_strangers_are_not(three: Stage) -> None:
    a, b, _ = three.endpoints
    _, owners = await sticky_campaign(three, 12, 5, lambda number: (a, b, "")[number % 3])
    await feeder(three).step()
    for endpoint in (a, b):
        bound = await own(three, endpoint)
        assert [entry.message for entry in bound] == [one for one, owner in owners.items() if owner == endpoint]
        assert not any(entry.chosen for entry in bound)
    assert await three.waiting(":bulk") == [one for one, owner in owners.items() if not owner]


async def test_the_account_that_talked_last_counts(three: Stage) -> None:
    a, b, _ = three.endpoints
    await know(three, {phone(1): a})
    await know(three, {phone(1): b})
    await three.campaign(1, phones=[phone(1)])
    await feeder(three).step()
    assert (len(await own(three, a)), len(await own(three, b))) == (0, 1)


@pytest.mark.parametrize("how", ["its breaker is open", "it is suspended", "the settings do not name it"])
async def test_recipients_of_an_account_that_is_out_go_to_the_lane(three: Stage, how: str) -> None:
    endpoint = three.endpoints[0] if how != "the settings do not name it" else "gone"
    if how == "its breaker is open":
        await three.queue.ask("HSET", three.queue.keys.state(endpoint), "breaker", "open")
    elif how == "it is suspended":
        await withdraw(three.queue, endpoint, "a test")
    _, owners = await sticky_campaign(three, 4, 4, lambda _: endpoint)
    await feeder(three).step()
    assert await three.waiting(":bulk") == list(owners)


async def test_a_busy_account_does_not_stop_the_others_and_gets_its_own_later(three: Stage) -> None:
    a, b, _ = three.endpoints
    # All of the first chunks are a's.
    _, owners = await sticky_campaign(three, 400, 50, lambda number: a if number < 300 else (b if number % 2 else ""))
    feeding = feeder(three)
    await feeding.step()
    assert len(await own(three, a)) == 20
    assert len(await own(three, b)) == 20
    assert len(await three.waiting(":bulk")) == 50
    fed: Counter[UUID] = Counter()
    for _ in range(60):
        for suffix in (f":endpoint:{a}:bulk", f":endpoint:{b}:bulk", ":bulk"):
            for entry in await drain(three, suffix, 15):
                fed[entry.message] += 1
                assert entry.endpoint == owners[entry.message]
        await feeding.step()
        assert await entries_in_redis(three) <= 40 + 50
    assert fed == Counter(owners.keys()), "something was forgotten or fed twice"


async def test_redis_stays_small_with_twenty_thousand_who_all_belong_to_somebody(three: Stage) -> None:
    _, owners = await sticky_campaign(three, 20_000, 500, lambda number: three.endpoints[number % 3])
    feeding = feeder(three)
    for _ in range(3):
        await feeding.step()
    assert await entries_in_redis(three) == 60
    seen = {endpoint: [entry.message for entry in await own(three, endpoint)] for endpoint in three.endpoints}
    # One account is quick: it is fed on while the others stand still.
    quick = three.endpoints[0]
    for _ in range(40):
        await drain(three, f":endpoint:{quick}:bulk", 15)
        await feeding.step()
        assert await entries_in_redis(three) <= 60
        seen[quick] += [entry.message for entry in await own(three, quick) if entry.message not in set(seen[quick])]
    wanted = [message for message, owner in owners.items() if owner == quick]
    assert seen[quick] == wanted[: len(seen[quick])]
    assert len(seen[quick]) > 500


async def test_what_was_skipped_goes_to_the_lane_when_the_account_is_out(three: Stage) -> None:
    a = three.endpoints[0]
    _, owners = await sticky_campaign(three, 100, 50, lambda _: a)
    feeding = feeder(three)
    await feeding.step()
    await withdraw(three.queue, a, "a test")
    await rebind(three.queue, a, Lane.BULK)
    await feeding.step()
    assert sorted(await three.waiting(":bulk")) == sorted(owners)
    assert await own(three, a) == []


async def test_a_resume_a_rebuild_and_a_loss_forget_nothing(three: Stage) -> None:
    a = three.endpoints[0]
    token, owners = await sticky_campaign(three, 60, 30, lambda _: a)
    feeding = feeder(three)
    completion = Completion(three.queue, three.database, Clock())
    done: set[UUID] = set()

    async def some_are_sent() -> None:
        for _ in range(2):
            done.update(entry.message for entry in await drain(three, f":endpoint:{a}:bulk", 11))
            await feeding.step()

    await feeding.step()
    await some_are_sent()
    await three.database.execute("select pause_campaign($1)", token)
    await three.queue.ask("DEL", f"{three.queue.keys.prefix}:endpoint:{a}:bulk")
    await three.database.execute("select resume_campaign($1)", token)
    await feeding.step()
    await some_are_sent()
    await three.queue.ask("FLUSHALL")
    await three.rebuilder().step()
    await feeding.step()
    # Entries are lost and nobody knows: what was skipped still comes, and the review finds the rest.
    await three.queue.ask("DEL", f"{three.queue.keys.prefix}:endpoint:{a}:bulk")
    for _ in range(10):
        await feeding.step()
        await some_are_sent()
    assert len(done) < 60
    await three.database.execute("update chunks set fed_at = fed_at - interval '2 minutes'")
    await completion.review()
    for _ in range(10):
        await feeding.step()
        await some_are_sent()
    assert done == set(owners)


async def test_chunks_that_wait_are_not_lost_ones(three: Stage) -> None:
    """Neither what was skipped nor what waits for the morning may be fed again by the review."""
    a = three.endpoints[0]
    token, _ = await sticky_campaign(three, 40, 40, lambda _: a)
    await three.campaign(5, phones=[phone(10_000 + number) for number in range(5)])
    await feeder(three).step()
    await three.database.execute(
        "update chunks set again_at = clock_timestamp() + interval '1 hour' where campaign <> $1", token
    )
    await three.database.execute("update chunks set fed_at = fed_at - interval '2 hours'")
    await Completion(three.queue, three.database, Clock()).review()
    assert await three.database.fetchval("select count(*) from chunks where fed_at is null") == 0


async def test_what_waited_for_the_morning_is_fed_again(three: Stage) -> None:
    token, members = await three.campaign(5, phones=[phone(number) for number in range(5)])
    feeding = feeder(three)
    await feeding.step()
    await drain(three, ":bulk", 2)
    await three.queue.ask("XTRIM", f"{three.queue.keys.prefix}:bulk", "MAXLEN", 0)
    await three.database.execute("update chunks set again_at = clock_timestamp() + interval '1 hour'")
    await feeding.step()
    assert await three.waiting(":bulk") == []
    await three.database.execute("update chunks set again_at = clock_timestamp()")
    await feeding.step()
    await feeding.step()
    assert await three.waiting(":bulk") == members[2:]
    assert (await three.chunk(token))["again_at"] is None


async def test_nothing_is_fed_while_much_is_parked(three: Stage) -> None:
    await three.campaign(5)
    for number in range(10):
        await three.queue.ask("ZADD", three.queue.keys.scheduled, 9e15, f"parked {number}")
    await feeder(three, high_water=2).step()
    assert await three.waiting(":bulk") == []


async def test_an_account_that_may_not_write_does_not_pour_a_campaign_into_the_stream_of_another(three: Stage) -> None:
    """What settling hands over is bounded, too; the rest waits and stops the feeding."""
    a, b, c = three.endpoints
    await three.campaign(300, phones=[phone(number) for number in range(300)])
    await feeder(three, 300).step()
    taking = three.taking()
    for endpoint in (b, c):
        await three.queue.ask("ZADD", three.queue.keys.rota_bulk, 9e15, f"{endpoint}/0")
    for _ in range(300):
        for one in (await taking.take(1)).assignments:
            moved = Entry(one.entry.message, 1, Lane.BULK, excluded=(a,))
            await taking.settle([Settlement(one, follow_up=FollowUp(moved, rebind=True, otherwise_ms=30_000))])
    assert sorted([len(await own(three, endpoint)) for endpoint in three.endpoints]) == [0, 100, 100]
    assert await three.queue.ask("ZCARD", three.queue.keys.scheduled) == 100
