"""Looking after the accounts, with real processes: caps, chats that stay with their account, contacts that WhatsApp locks."""

from __future__ import annotations

from shared.endpoints.caps import Caps
from shared.messages import Lane, Status
from shared.queue.rota import set_caps
from tests.integration.accepting import accept_campaign, accept_message
from tests.integration.dispatcher.stage import Stage, eventually


async def sends_of_all(stage: Stage) -> int:
    return len(await stage.sender.sends())


async def capped(stage: Stage, device: str) -> bool:
    """Whether its slot stands where a cap put it."""
    state = await stage.state(device)
    slot = f"{stage.endpoint(device)}/0"
    score = await stage.queue.redis.zscore(stage.queue.keys.rota, slot)
    return score is not None and float(state.get("capped_until", "-1")) == score


async def rebuilt(stage: Stage, before: object = None) -> object:
    """Waits until Redis is of another epoch than `before`; the epoch."""

    async def look() -> object:
        number = await stage.queue.ask("HGET", stage.queue.keys.epoch, "number")
        return number if number != before else None

    return await eventually(look, "a rebuild")


async def test_a_daily_cap_is_kept_by_three_dispatchers_and_after_a_flush(stage: Stage) -> None:
    await stage.scheduler("a", DAILY_CAP="7")
    epoch = await rebuilt(stage)
    for _ in range(3):
        await stage.dispatcher("a", DAILY_CAP="7")
    messages = [await stage.send(f"1555021{number:04}") for number in range(12)]
    await eventually(lambda: capped(stage, "a"), "the cap")
    await stage.at_rest()
    assert await sends_of_all(stage) == 7

    await stage.queue.redis.flushall()
    await rebuilt(stage, epoch)
    await eventually(lambda: capped(stage, "a"), "the cap, after the flush")
    assert await sends_of_all(stage) == 7

    # Raised by two: exactly two more, at once.
    await stage.store.execute("update control set rate_profile = $1", {"daily_cap": 9})
    await stage.sender.arrived(9)
    await eventually(lambda: capped(stage, "a"), "the raised cap")
    assert await sends_of_all(stage) == 9
    await stage.store.execute("update control set rate_profile = $1", {"daily_cap": 0})
    await stage.all_sent(messages)
    assert await sends_of_all(stage) == 12


async def test_a_new_account_is_warmed_up_and_an_older_one_is_not_held(stage: Stage) -> None:
    first_day = 3
    seen = "insert into endpoints (id, first_seen_at) values ($1, clock_timestamp() - make_interval(days => $2))"
    await stage.store.execute(seen, stage.endpoint("b"), 30)
    await stage.scheduler("a", "b", WARMUP_FIRST_DAY=str(first_day), WARMUP_DAYS="14")
    await rebuilt(stage)
    for _ in range(2):
        await stage.dispatcher("a", "b")
    new, old = [
        [
            await accept_message(stage.store, phone=f"155502{ten}{number:04}", endpoint=stage.endpoint(device))
            for number in range(8)
        ]
        for device, ten in (("a", 4), ("b", 5))
    ]
    await eventually(lambda: capped(stage, "a"), "the cap of the first day")
    await stage.all_sent(old)
    assert len(await stage.sender.sends("a")) == first_day

    # What it may not send, others do.
    await stage.all_sent([await stage.send(f"1555026{number:04}") for number in range(4)])
    assert len(await stage.sender.sends("a")) == first_day
    assert not await capped(stage, "b")

    # Its second day: of the way from 3 to 60 in 14 days that is one more.
    await stage.store.execute(
        "update endpoints set first_seen_at = first_seen_at - interval '1 day' where id = $1", stage.endpoint("a")
    )
    await stage.sender.arrived(first_day + 1 + len(old) + 4)
    await eventually(lambda: capped(stage, "a"), "the cap of the second day")
    await stage.at_rest()
    assert len(await stage.sender.sends("a")) == first_day + 1
    statuses = [(await stage.row(message))["status"] for message in new]
    assert sorted(statuses) == ["queued"] * 4 + ["sent"] * 4


async def test_a_first_cap_at_run_time_counts_what_was_sent(stage: Stage) -> None:
    await stage.scheduler("a")
    await rebuilt(stage)
    await stage.dispatcher("a")
    await stage.all_sent([await stage.send(f"1555022000{number}") for number in range(4)])
    await stage.store.execute("update control set rate_profile = $1", {"daily_cap": 5})

    async def in_force() -> bool:
        return (await stage.state("a")).get("cap_day") == "5"

    await eventually(in_force, "the cap")
    for number in range(4, 8):
        await stage.send(f"1555022000{number}")
    await eventually(lambda: capped(stage, "a"), "the cap")
    await stage.at_rest()
    assert await sends_of_all(stage) == 5


async def test_a_campaign_leaves_its_reserve_to_texts(stage: Stage) -> None:
    await stage.build("a")
    assert await set_caps(stage.queue, stage.endpoint("a"), Caps(0, 4, 0, 2))
    campaign = await accept_campaign(stage.store, 6)
    await stage.enqueue(campaign.messages, Lane.BULK)
    await stage.dispatcher("a")
    await stage.all_sent(campaign.messages[:2])
    texts = [await stage.send(f"1555023000{number}") for number in range(3)]
    await stage.all_sent(texts[:2])
    await eventually(lambda: capped(stage, "a"), "the cap")
    await stage.at_rest()
    assert await sends_of_all(stage) == 4


async def test_a_recipient_stays_with_their_account_and_moves_when_it_is_out(stage: Stage) -> None:
    phone = "15550240001"
    await stage.scheduler(CIRCUIT_BREAKER_OPEN_TIMEOUT="1h")
    await rebuilt(stage)
    # Each dispatcher learns of a breaker by its own sends; only Redis knows it at once.
    await stage.dispatcher()
    await stage.dispatcher()
    await stage.ended(await stage.send(phone, device="b"))
    messages = [await stage.send(phone) for _ in range(6)]
    await stage.all_sent(messages)
    assert {account for message in messages for _, account, _ in await stage.attempts(message)} == {"b"}

    await stage.sender.mood("logged-out", "b")
    moved = await stage.send(phone)
    await stage.ended(moved)
    assert await stage.breaker("b") == "open"
    [(_, tried, verdict), (_, through, _)] = await stage.attempts(moved)
    assert (tried, verdict) == ("b", "logged_out")
    messages = [await stage.send(phone) for _ in range(6)]
    await stage.all_sent(messages)
    # With the account that talked to them last, though another is healthy as well.
    assert {account for message in messages for _, account, _ in await stage.attempts(message)} == {through}
    await stage.nothing_left()


async def test_chats_with_an_account_that_nobody_knows_to_be_out(stage: Stage) -> None:
    """No dispatcher has seen the breaker open: the entry goes to another account, and not round in circles."""
    phone = "15550240002"
    await stage.build()
    await stage.dispatcher()
    await stage.ended(await stage.send(phone, device="b"))
    key = stage.queue.keys.state(stage.endpoint("b"))
    await stage.queue.redis.hset(key, mapping={"breaker": "open", "reason": "elsewhere", "not_before": "4102444800000"})
    slot = f"{stage.endpoint('b')}/0"
    await stage.queue.redis.zrem(stage.queue.keys.rota, slot)
    await stage.queue.redis.zrem(stage.queue.keys.rota_bulk, slot)
    await stage.ended(await stage.send(phone))
    lines = await stage.sender.sends()
    assert lines[-1]["device"] in ("a", "c")
    await stage.nothing_left()


async def test_a_locked_contact_is_not_tried_again_and_the_account_is_held_after_three(stage: Stage) -> None:
    await stage.build("a", "b")
    await stage.dispatcher("a", "b", COLD_CONTACT_LIMIT="3")
    friend = "15550250000"
    await stage.ended(await stage.send(friend, device="a"))
    await stage.sender.mood("429-timelock", "a")
    strangers = [f"1555025000{number}" for number in range(1, 4)]
    for phone in strangers:
        message = await stage.send(phone, device="a")
        await stage.ended(message)
        assert [account for _, account, _ in await stage.attempts(message)] == ["a", "b"]
    # Once more to the first of them, bound to the account: it is not even tried.
    again = await stage.send(strangers[0], device="a")
    await stage.ended(again)
    assert [account for _, account, _ in await stage.attempts(again)] == ["b"]

    held = await stage.store.fetchval(
        "select cold_held_until > clock_timestamp() from endpoints where id = $1", stage.endpoint("a")
    )
    assert held is True
    await stage.sender.mood("ok", "a")
    before = len(await stage.sender.sends("a"))
    new = [await stage.send(f"1555025010{number}") for number in range(6)]
    await stage.all_sent(new)
    assert len(await stage.sender.sends("a")) == before
    known = await stage.send(friend)
    await stage.ended(known)
    assert [account for _, account, _ in await stage.attempts(known)] == ["a"]
    await stage.nothing_left()


async def test_a_contact_whom_one_account_may_not_write_to_does_not_wait_for_the_other_to_be_idle(stage: Stage) -> None:
    await stage.sender.mood("429-timelock", "a")
    await stage.sender.mood("slow", "b", latency_ms=400)
    await stage.build("a", "b")
    busy = await stage.send("15550260000", device="b")
    await stage.dispatcher("a", "b")
    await stage.ended_row(busy, Status.SENDING)
    message = await stage.send("15550260001", device="a")
    # Parked, it would come back only with a scheduler, and there is none.
    await stage.ended(message)
    assert [account for _, account, _ in await stage.attempts(message)] == ["a", "b"]


async def test_a_campaign_at_night_waits_in_postgres_alone(stage: Stage) -> None:
    await stage.build("a")
    campaign = await accept_campaign(stage.store, 20, chunk_size=5)
    await stage.store.execute("update chunks set fed_at = clock_timestamp()")
    await stage.enqueue(campaign.messages, Lane.BULK)
    hour = await stage.store.fetchval(
        "select extract(hour from clock_timestamp() at time zone 'America/New_York')::int"
    )
    # Quiet for hours before and after whatever time it is there, and in the zones next to it.
    quiet = f"{(hour - 8) % 24:02}:00-{(hour + 8) % 24:02}:00"
    await stage.dispatcher("a", QUIET_HOURS=quiet)

    async def empty() -> bool:
        return not await stage.waiting()

    await eventually(empty, "postponing")
    await stage.nothing_left()
    assert await sends_of_all(stage) == 0
    rows = await stage.store.fetch(
        "select again_at, again_at > clock_timestamp() + interval '1 hour' as late from chunks"
    )
    assert [row["late"] for row in rows] == [True] * 4
    text = await stage.send("15550270000")
    await stage.ended(text)


async def test_a_campaign_to_known_contacts_goes_through_their_accounts_in_one_go(stage: Stage) -> None:
    """Feeding binds, dispatching finds nothing left to bind: one attempt each, by the account that knows the recipient."""
    total, devices = 150, ("a", "b", "c")
    owners = {15550280000 + number: devices[number % 4 % 3] for number in range(total)}
    await stage.store.execute(
        "insert into contacts (phone_key, endpoint, last_sent_at)"
        " select p, e, clock_timestamp() from unnest($1::text[], $2::text[]) as c (p, e)",
        [str(phone) for phone in owners],
        [stage.endpoint(device) for device in owners.values()],
    )
    campaign = await accept_campaign(stage.store, total, chunk_size=50, first_phone=15550280000)
    await stage.scheduler()
    await stage.dispatcher()
    await stage.dispatcher()
    await stage.all_sent(campaign.messages)
    rows = await stage.store.fetch(
        "select m.phone_key, a.endpoint, a.number from messages m join attempts a on a.message = m.id"
    )
    assert len(rows) == total
    wanted = {(str(phone), stage.endpoint(device), 1) for phone, device in owners.items()}
    assert {tuple(row) for row in rows} == wanted

    async def finished() -> bool:
        return bool(await stage.store.fetchval("select status = 'finished' from campaigns"))

    await eventually(finished, "the end of the campaign")
    await stage.nothing_left()


async def test_an_account_may_have_a_pace_and_caps_of_its_own(stage: Stage) -> None:
    await stage.store.execute(
        "insert into endpoints (id, rate_profile) values ($1, $2)", stage.endpoint("a"), {"daily_cap": 3}
    )
    await stage.store.execute(
        "insert into endpoints (id, rate_profile) values ($1, $2)",
        stage.endpoint("b"),
        {"delay_min": 600_000, "delay_max": 600_000},
    )
    await stage.scheduler()
    await rebuilt(stage)
    await stage.dispatcher()
    await stage.all_sent([await stage.send(f"155502900{number:02}") for number in range(30)])
    summary = await stage.sender.summary()
    sends = {device: summary["devices"][device]["sends"] for device in ("a", "b", "c")}
    assert (sends["a"] <= 3, sends["b"]) == (True, 1)
    assert sum(sends.values()) == 30


async def test_two_accounts_that_reach_for_one_person_at_once_keep_the_gap(stage: Stage) -> None:
    await stage.build("a", "b")
    messages = [await stage.accept() for _ in "ab"]
    for message, device in zip(messages, "ab", strict=True):
        await stage.enqueue([message], Lane.BULK, device=device)
    await stage.dispatcher("a", "b", RECIPIENT_GAP="1h")

    async def waits() -> bool:
        far = "select count(*) from due where due_at > clock_timestamp() + interval '50 minutes'"
        return bool(await stage.store.fetchval(far) == 1)

    async with stage.promoting():
        await eventually(waits, "postponing of one")
        await stage.at_rest()
    assert sorted([(await stage.row(message))["status"] for message in messages]) == ["queued", "sent"]
    assert len(await stage.sender.sends()) == 1
