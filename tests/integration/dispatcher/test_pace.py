"""Who is next and how soon: the pace is the account's, whatever the number of dispatchers."""

from __future__ import annotations

from itertools import pairwise

import orjson

from shared.endpoints.identity import endpoint_id
from shared.messages import Lane, Status
from shared.queue.profile_copy import publish_profile
from tests.integration.accepting import accept_campaign, counts_of
from tests.integration.dispatcher.stage import DEVICES, Stage, eventually


async def gaps(stage: Stage, device: str, since: int = 0) -> list[float]:
    """Seconds from each answer of the account to the arrival of its next send."""
    lines = [line for line in await stage.sender.sends(device) if line["sequence"] > since]
    return [later["arrived_at"] - earlier["finished_at"] for earlier, later in pairwise(lines)]


async def test_two_dispatchers_send_each_message_once_and_one_at_a_time(stage: Stage) -> None:
    await stage.build()
    messages = [await stage.accept(f"1555011{number:04}") for number in range(60)]
    await stage.sender.mood("slow", latency_ms=50)
    # Three accounts and one message in the hand of each: neither can do it all.
    await stage.dispatcher(WORKER_CONCURRENCY="1")
    await stage.dispatcher(WORKER_CONCURRENCY="1")
    # Enqueued twice, as a sweep may do.
    await stage.enqueue(messages)
    await stage.enqueue(messages)
    await stage.all_sent(messages)
    await stage.nothing_left()
    summary = await stage.sender.summary()
    assert (summary["sends"], summary["taken"], summary["doubles"], summary["malformed"]) == (60, 60, 0, 0)
    assert {device: summary["devices"][device]["max_in_flight"] for device in DEVICES} == dict.fromkeys(DEVICES, 1)
    rows = await stage.store.fetch("select distinct dispatcher from attempts")
    assert len(rows) == 2, "one of the two had nothing to do, so the test has shown nothing"


async def test_two_dispatchers_are_no_quicker_than_one(stage: Stage) -> None:
    await stage.build("a", "b")
    pace = {"RATE_LIMIT_DELAY_MIN": "150ms", "RATE_LIMIT_DELAY_MAX": "200ms"}
    await stage.dispatcher("a", "b", **pace)
    await stage.dispatcher("a", "b", **pace)
    messages = [await stage.send(f"1555012{number:04}") for number in range(12)]
    await stage.all_sent(messages)
    found = await gaps(stage, "a") + await gaps(stage, "b")
    assert len(found) == 10
    # Redis counts whole milliseconds.
    assert min(found) >= 0.149


async def test_a_campaign_takes_its_cooldown_and_a_text_does_not_wait_for_it(stage: Stage) -> None:
    await stage.build("a")
    campaign = await accept_campaign(stage.store, 4)
    await stage.enqueue(campaign.messages, Lane.BULK)
    await stage.dispatcher(
        "a",
        RATE_PROFILE="bulk",
        RATE_DELAY_MEAN_MS="40",
        RATE_DELAY_JITTER_MS="10",
        RATE_BURST_LIMIT="3",
        RATE_COOLDOWN_SECONDS="600",
        BULK_TYPING_DELAY_MIN="10ms",
        BULK_TYPING_DELAY_MAX="10ms",
    )
    await stage.all_sent(campaign.messages[:3])
    assert min(await gaps(stage, "a")) >= 0.029
    # The cooldown runs now; the fourth waits for it, a text does not, and does not end it.
    for number in range(3):
        await stage.ended(await stage.send(f"1555013000{number}"))
    assert len(await stage.sender.sends()) == 6
    assert (await stage.row(campaign.messages[3]))["status"] == "queued"
    second, _ = await stage.queue.redis.time()
    ready = await stage.queue.redis.zscore(stage.queue.keys.rota_bulk, f"{stage.endpoint('a')}/0")
    assert ready is not None
    assert 590 < ready / 1000 - second <= 661


async def test_a_text_overtakes_a_campaign(stage: Stage) -> None:
    await stage.sender.mood("slow", "a", latency_ms=150)
    await stage.build("a")
    campaign = await accept_campaign(stage.store, 50)
    await stage.enqueue(campaign.messages, Lane.BULK)
    await stage.dispatcher("a")
    text = await stage.accept("15550140001")
    before = len(await stage.sender.arrived(2))
    await stage.enqueue([text])
    await stage.ended_row(text)
    phones = [line["phone"] for line in await stage.sender.sends()]
    # One was in flight, and one more may have been taken meanwhile.
    assert phones.index("15550140001@s.whatsapp.net") <= before + 1


async def test_a_profile_published_at_run_time_is_followed(stage: Stage) -> None:
    await stage.build("a")
    dispatcher = await stage.dispatcher("a")
    await stage.ended(await stage.send("15550150000"))
    await publish_profile(stage.queue, orjson.dumps({"delay_min": 300, "delay_max": 300}).decode(), "7")

    async def followed() -> bool:
        return '"version": "7"' in dispatcher.log_text() or '"version":"7"' in dispatcher.log_text()

    await eventually(followed, "the new profile")
    since = (await stage.sender.sends())[-1]["sequence"]
    await stage.all_sent([await stage.send(f"1555015000{number}") for number in range(1, 5)])
    found = await gaps(stage, "a", since)
    assert len(found) == 3
    assert min(found) >= 0.299
    # What nobody can read leaves the dispatcher alive, with its defaults.
    await publish_profile(stage.queue, "[]", "8")
    await stage.ended(await stage.send("15550150009"))
    await publish_profile(stage.queue, "{", "9")
    await stage.ended(await stage.send("15550150010"))


async def test_a_paused_campaign_is_refused_before_anybody_sees_typing(stage: Stage) -> None:
    campaign = await accept_campaign(stage.store, 120)
    await stage.store.execute("select pause_campaign($1)", campaign.token)
    await stage.build()
    await stage.enqueue(campaign.messages, Lane.BULK)
    await stage.dispatcher(
        TYPING_DELAY_MIN="1s", TYPING_DELAY_MAX="1s", RATE_LIMIT_DELAY_MIN="1m", RATE_LIMIT_DELAY_MAX="1m"
    )

    async def empty() -> bool:
        return not await stage.waiting()

    # With a pause for each it would take forty minutes.
    await eventually(empty, "dropping")
    await stage.nothing_left()
    assert await stage.sender.everything() == []
    statuses = await stage.store.fetch("select distinct status, attempt from messages")
    assert [tuple(row) for row in statuses] == [("queued", 0)]
    # The accounts have not paid for it: a text goes out at once, from each of them.
    await stage.all_sent([await stage.send(f"1555016000{number}") for number in range(3)])


async def test_what_may_not_be_sent_any_more_ends(stage: Stage) -> None:
    campaign = await accept_campaign(stage.store, 3)
    await stage.store.execute("insert into optouts (phone_key) values ('15550200000')")
    await stage.store.execute(
        "update messages set expires_at = clock_timestamp() - interval '1 second' where id = $1", campaign.messages[1]
    )
    await stage.build()
    expired = await stage.send("15550170001", expires="-1 second")
    await stage.enqueue(campaign.messages, Lane.BULK)
    await stage.dispatcher()
    row = await stage.ended(expired, Status.EXPIRED)
    assert (row["attempt"], row["reason"]) == (0, "it was not sent before its expiry")
    await stage.ended(campaign.messages[0], Status.SUPPRESSED)
    await stage.ended(campaign.messages[1], Status.EXPIRED)
    await stage.ended(campaign.messages[2])
    assert await counts_of(stage.store, campaign.token) == {"sent": 1, "expired": 1, "suppressed": 1}
    assert [line["phone"] for line in await stage.sender.sends()] == ["15550200002@s.whatsapp.net"]
    assert await stage.store.fetchval("select count(*) from due") == 0
    await stage.nothing_left()


async def test_what_expires_while_typing_is_stopped_at_the_gate(stage: Stage) -> None:
    await stage.build("a")
    message = await stage.send("15550170002")
    await stage.dispatcher("a", TYPING_DELAY_MIN="700ms", TYPING_DELAY_MAX="700ms")

    async def typing() -> bool:
        return await stage.sender.typing() == ["start"]

    await eventually(typing, "typing")
    await stage.store.execute("update messages set expires_at = clock_timestamp() where id = $1", message)

    async def dropped() -> bool:
        return not await stage.waiting()

    await eventually(dropped, "dropping")
    await stage.nothing_left()
    assert await stage.sender.sends() == []
    assert (await stage.row(message))["attempt"] == 0


async def test_a_suspended_account_hands_its_message_back(stage: Stage) -> None:
    await stage.store.execute("select suspend_endpoint($1, 'looked tired')", endpoint_id(stage.sender.url, "a"))
    await stage.build("a", "b")
    messages = [await stage.send(f"1555018000{number}") for number in range(6)]
    await stage.dispatcher("a", "b")
    await stage.all_sent(messages)
    assert await stage.sender.sends("a") == []
    assert {number for message in messages for number, _, _ in await stage.attempts(message)} == {1}
