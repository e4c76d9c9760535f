"""Feedback per account on real stores: what counts, who is slowed and suspended; Redis may be lost, schedulers may be two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.scheduler.account_feedback import AccountFeedback
from shared.database.account_feedback import Standing, change_standing, standing_changes, standings
from shared.database.endpoints import endpoint_rows, resume_endpoint, suspend_endpoint
from shared.database.rate_profile import read_published
from shared.database.rebuilding import suspended_endpoints
from shared.endpoints.feedback import Cause, FeedbackState
from shared.messages import new_message_ids
from shared.queue.profile_copy import published_profile
from tests.integration.scheduler.stage import Clock, Stage

NORMAL, SLOWED, SUSPENDED, TRIAL = FeedbackState
LOST = "no answer was recorded before its deadline"


@pytest.fixture
async def stage(open_stage: Callable[..., Any]) -> Stage:
    """Four accounts on three hosts; a window of a minute."""
    stage: Stage = await open_stage(
        whatsapp_endpoints=",".join(f"http://127.0.0.{host}:9" for host in (1, 1, 2, 3)),
        whatsapp_auths=",".join(["user:password"] * 4),
        whatsapp_device_ids="a,b,c,d",
        feedback_window="1m",
        feedback_suspension="1h",
        rate_profile="bulk",
    )
    await stage.rebuilder().step()
    return stage


def loop(stage: Stage, **changes: Any) -> AccountFeedback:
    return AccountFeedback(stage.database, stage.accounts, stage.settings.model_copy(update=changes))


async def attempts(
    stage: Stage, endpoint: str, count: int, verdict: str = "transient", age: float = 1.0, reason: str | None = None,
    receipt: str = "none", phone: str = "15550100001@s.whatsapp.net",
) -> None:  # fmt: skip
    """``count`` attempts that ended ``age`` seconds ago, one each of as many messages."""
    ids = new_message_ids(count)
    await stage.database.execute(
        "insert into messages (id, lane, kind, phone, phone_key, on_unknown, status, attempt, receipt)"
        " select id, 'bulk', 'message', $2, $2, 'hold', 'sent', 1, $3 from unnest($1::uuid[]) id",
        ids, phone, receipt,
    )  # fmt: skip
    await stage.database.execute(
        "insert into attempts (message, number, endpoint, dispatcher, verdict, reason, started_at, finished_at)"
        " select id, 1, $2, 'dispatcher-1', $3, $4, clock_timestamp() - make_interval(secs => $5),"
        " clock_timestamp() - make_interval(secs => $5) from unnest($1::uuid[]) id",
        ids, endpoint, verdict, reason, age,
    )  # fmt: skip


async def standing(stage: Stage, endpoint: str) -> Standing:
    return (await standings(stage.database, [endpoint]))[endpoint]


async def let_pass(stage: Stage, endpoint: str, minutes: float) -> None:
    """As if what was decided about the account had been decided so long before."""
    await stage.database.execute(
        "update account_feedback set since = since - $2::interval, judged_from = judged_from - $2::interval,"
        " until = until - $2::interval where endpoint = $1",
        endpoint, timedelta(minutes=minutes),
    )  # fmt: skip


async def suspend_by_feedback(stage: Stage, endpoint: str) -> None:
    await attempts(stage, endpoint, 20)
    await loop(stage).step()
    await let_pass(stage, endpoint, 2)
    await attempts(stage, endpoint, 20)
    await loop(stage).step()
    assert (await standing(stage, endpoint)).state is SUSPENDED


async def test_a_bad_account_is_slowed_suspended_and_comes_back_by_a_trial(stage: Stage) -> None:
    bad, good, *_ = stage.endpoints
    await attempts(stage, bad, 12)
    await attempts(stage, bad, 8, "sent")
    await attempts(stage, good, 20, "sent")
    await loop(stage).step()
    found = await standing(stage, bad)
    assert (found.state, found.cause, found.reason) == (SLOWED, Cause.ERRORS, "12 of 20 attempts failed within 60 s")
    assert (await standing(stage, good)).state is NORMAL

    await loop(stage).step()
    await let_pass(stage, bad, 2)
    await stage.database.execute("update attempts set started_at = started_at - interval '1 h'")
    await loop(stage).step()
    assert (await standing(stage, bad)).state is SLOWED, "what it was slowed for must not suspend it too"

    await attempts(stage, bad, 20)
    await loop(stage).step()
    found = await standing(stage, bad)
    assert (found.state, found.suspended_by, found.suspensions) == (SUSPENDED, "feedback", 1)
    assert found.until is not None
    assert found.until - found.now == pytest.approx(timedelta(hours=1), abs=timedelta(minutes=1))
    reason = "20 of 20 attempts failed although it was slowed"
    assert await suspended_endpoints(stage.database) == {bad: reason}

    await loop(stage).step()
    assert (await standing(stage, bad)).state is SUSPENDED
    await let_pass(stage, bad, 61)
    await loop(stage).step()
    assert (await standing(stage, bad)).state is TRIAL
    assert await suspended_endpoints(stage.database) == {}

    await attempts(stage, bad, 9, "sent", age=0)
    await loop(stage).step()
    assert (await standing(stage, bad)).state is TRIAL
    await attempts(stage, bad, 1, "refused", age=0)
    await loop(stage).step()
    found = await standing(stage, bad)
    assert (found.state, found.reason, found.suspensions) == (NORMAL, "10 of 10 attempts went well on trial", 0)
    history = await standing_changes(stage.database, bad, 10)
    assert [change.after for change in history] == [NORMAL, TRIAL, SUSPENDED, SLOWED]
    assert history[2].reason == reason


async def test_a_trial_that_fails_suspends_for_twice_as_long(stage: Stage) -> None:
    bad = stage.endpoints[0]
    await suspend_by_feedback(stage, bad)
    await let_pass(stage, bad, 61)
    await loop(stage).step()
    await attempts(stage, bad, 3, age=0)
    await loop(stage).step()
    found = await standing(stage, bad)
    assert (found.state, found.suspensions, found.reason) == (SUSPENDED, 2, "3 of 3 attempts failed on trial")
    assert found.until is not None
    assert found.until - found.now == pytest.approx(timedelta(hours=2), abs=timedelta(minutes=1))


@pytest.mark.parametrize(
    ("verdict", "reason", "counts"),
    [
        ("transient", None, True),
        ("unknown", "the answer did not come in time", True),
        ("unknown", LOST, False),
        ("refused", "INVALID_JID", False),
        ("logged_out", None, False),
        ("misconfigured", None, False),
        ("cold_contact_locked", None, False),
        ("not_sent", None, False),
    ],
)
async def test_only_what_the_account_is_to_blame_for_counts(
    stage: Stage, verdict: str, reason: str | None, counts: bool
) -> None:
    endpoint = stage.endpoints[0]
    await attempts(stage, endpoint, 20, verdict, reason=reason)
    await attempts(stage, endpoint, 20, age=61)
    await loop(stage).step()
    assert (await standing(stage, endpoint)).state is (SLOWED if counts else NORMAL)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        ("sent", NORMAL),
        ("refused", NORMAL),
        ("logged_out", SLOWED),
        ("misconfigured", SLOWED),
        ("cold_contact_locked", SLOWED),
        ("not_sent", SLOWED),
    ],
)
async def test_what_says_nothing_about_an_account_does_not_excuse_it(
    stage: Stage, verdict: str, state: FeedbackState
) -> None:
    endpoint = stage.endpoints[0]
    await attempts(stage, endpoint, 8)
    await attempts(stage, endpoint, 12, "sent")
    await attempts(stage, endpoint, 30, verdict)
    await loop(stage).step()
    assert (await standing(stage, endpoint)).state is state


async def test_a_slowed_account_is_slow_for_dispatchers_also_after_redis_was_lost(stage: Stage) -> None:
    bad, good, *_ = stage.endpoints
    await stage.database.execute("update endpoints set rate_profile = '{\"cooldown\": 1000}' where id = $1", bad)
    await attempts(stage, bad, 20)
    await loop(stage).step()
    rebuilder = stage.rebuilder()

    async def told() -> Any:
        await rebuilder.step()
        return orjson.loads((await published_profile(stage.queue))[1])

    wanted = {"endpoints": {bad: {"cooldown": 1000, "slow_factor": 3}}}
    assert await told() == wanted
    assert await read_published(stage.database) == wanted, "the gateway publishes the same"
    assert stage.rate.profiles.of(bad).slow_factor == 3
    assert stage.rate.profiles.of(good).slow_factor == 1

    keys = [key async for key in stage.queue.redis.scan_iter(stage.queue.keys.everything())]
    await stage.queue.redis.delete(*keys)
    assert await told() == wanted
    ready = {
        endpoint: float(await stage.queue.ask("ZSCORE", stage.queue.keys.rota_bulk, f"{endpoint}/0"))
        for endpoint in (bad, good)
    }
    usual = stage.rate.profiles.usual
    assert ready[bad] - ready[good] > 2 * (usual.mean + usual.jitter), "its pause after the loss is the slow one"

    await let_pass(stage, bad, 2)
    await attempts(stage, bad, 100, "sent")
    await loop(stage).step()
    assert (await standing(stage, bad)).state is NORMAL
    assert await told() == {"endpoints": {bad: {"cooldown": 1000}}}


async def test_two_schedulers_come_to_one_change(stage: Stage) -> None:
    bad = stage.endpoints[0]
    await attempts(stage, bad, 20)
    await asyncio.gather(*(loop(stage).step() for _ in range(4)))
    assert [change.after for change in await standing_changes(stage.database, bad, 10)] == [SLOWED]
    stale = await standing(stage, bad)
    await let_pass(stage, bad, 2)
    assert not await change_standing(stage.database, bad, stale, SUSPENDED, Cause.ERRORS, "late", 3, 60, 1)
    assert (await standing(stage, bad)).state is SLOWED


async def test_an_operators_suspension_is_the_operators(stage: Stage) -> None:
    bad, other, *_ = stage.endpoints
    await suspend_endpoint(stage.database, other, "holidays")
    await attempts(stage, other, 20)
    await suspend_by_feedback(stage, bad)
    await suspend_endpoint(stage.database, bad, "I look after it")
    await let_pass(stage, bad, 24 * 60)
    await loop(stage).step()
    assert await suspended_endpoints(stage.database) == {bad: "I look after it", other: "holidays"}
    assert (await standing(stage, bad)).suspended_by == "operator"
    assert (await standing(stage, other)).state is NORMAL

    await resume_endpoint(stage.database, bad)
    found = await standing(stage, bad)
    assert (found.state, found.suspended_by, found.slow_factor) == (TRIAL, None, 3)
    assert await suspended_endpoints(stage.database) == {other: "holidays"}
    assert (await endpoint_rows(stage.database, [bad]))[bad].rate_in_force == {"slow_factor": 3}


async def test_an_operator_who_is_a_moment_quicker_keeps_the_suspension(stage: Stage) -> None:
    bad = stage.endpoints[0]
    seen = await standing(stage, bad)
    await suspend_endpoint(stage.database, bad, "I look after it")
    assert await change_standing(stage.database, bad, seen, SUSPENDED, Cause.ERRORS, "bad", 3, 0, 1)
    await loop(stage).step()
    assert await suspended_endpoints(stage.database) == {bad: "I look after it"}
    assert (await standing(stage, bad)).suspended_by == "operator"


async def test_one_resumed_by_an_older_gateway_goes_on_trial(stage: Stage) -> None:
    bad = stage.endpoints[0]
    await suspend_by_feedback(stage, bad)
    await stage.database.execute("update endpoints set suspended_at = null, suspend_reason = null where id = $1", bad)
    await loop(stage).step()
    assert (await standing(stage, bad)).state is TRIAL


async def test_of_four_accounts_two_are_suspended_at_most_the_worst_first(stage: Stage) -> None:
    for endpoint in stage.endpoints:
        await attempts(stage, endpoint, 20)
    await loop(stage).step()
    for number, endpoint in enumerate(stage.endpoints):
        await let_pass(stage, endpoint, 2)
        await attempts(stage, endpoint, 20 + number)
        await attempts(stage, endpoint, 20 - number, "sent")
    await loop(stage).step()
    await loop(stage).step()
    found = await standings(stage.database, stage.endpoints)
    assert [found[endpoint].state for endpoint in stage.endpoints] == [SLOWED, SLOWED, SUSPENDED, SUSPENDED]


async def test_switched_off_it_lets_all_go(stage: Stage) -> None:
    bad, slow, taken_over, _ = stage.endpoints
    await suspend_by_feedback(stage, bad)
    await attempts(stage, slow, 20)
    await loop(stage).step()
    await suspend_by_feedback(stage, taken_over)
    await suspend_endpoint(stage.database, taken_over, "I look after it")
    await loop(stage, feedback_enabled=False).step()
    assert {found.state for found in (await standings(stage.database, stage.endpoints)).values()} == {NORMAL}
    assert await suspended_endpoints(stage.database) == {taken_over: "I look after it"}


async def receipts_of(stage: Stage, endpoint: str, last: float) -> None:
    """Its receipts came for a week, and one ``last`` hours ago."""
    await stage.database.execute(
        "insert into receipt_times values ($1, clock_timestamp() - interval '7 d',"
        " clock_timestamp() - make_interval(hours => $2))",
        endpoint, round(last),
    )  # fmt: skip


async def test_an_account_whose_messages_are_dropped_is_found_only_by_receipts(stage: Stage) -> None:
    heard, unheard, elsewhere, mute = stage.endpoints
    clock = Clock()
    feedback = AccountFeedback(stage.database, stage.accounts, stage.settings, clock)
    hours = 3600.0
    for endpoint in (heard, unheard, elsewhere, mute):
        await attempts(stage, endpoint, 16, "sent", age=7 * hours)
        await attempts(stage, endpoint, 4, "sent", age=8 * hours, receipt="delivered")
        # Neither may be judged: too young, and groups have no receipt of their own.
        await attempts(stage, endpoint, 50, "sent", age=hours)
        await attempts(stage, endpoint, 50, "sent", age=7 * hours, phone="120363025000000000@g.us")
    await receipts_of(stage, heard, last=1)
    await receipts_of(stage, elsewhere, last=20)
    await feedback.step()
    found = await standings(stage.database, stage.endpoints)
    assert (found[heard].state, found[heard].cause) == (SLOWED, Cause.DELIVERIES)
    assert found[heard].reason == "4 of 20 messages sent more than 6 h ago were delivered"
    assert found[elsewhere].state is SLOWED
    assert found[elsewhere].reason == f"{found[heard].reason}, or its receipts do not reach us"
    assert found[unheard].state is NORMAL, "it never had a receipt, so nothing is known about it"
    assert found[mute].state is NORMAL

    for endpoint in (heard, elsewhere):
        await let_pass(stage, endpoint, 12 * 60)
    await feedback.step()
    found = await standings(stage.database, stage.endpoints)
    assert (found[heard].state, found[elsewhere].state) == (SUSPENDED, SLOWED)

    # Back on trial, only what is delivered counts.
    await let_pass(stage, heard, 60)
    await feedback.step()
    assert (await standing(stage, heard)).state is TRIAL
    await attempts(stage, heard, 10, "sent", age=0, receipt="none")
    await feedback.step()
    assert (await standing(stage, heard)).state is TRIAL
    await stage.database.execute("update messages set receipt = 'read'")
    await feedback.step()
    found = await standings(stage.database, stage.endpoints)
    assert (found[heard].state, found[heard].reason) == (NORMAL, "10 of 10 messages were delivered on trial")


async def test_what_is_delivered_is_looked_at_now_and_then(stage: Stage) -> None:
    endpoint = stage.endpoints[0]
    clock = Clock()
    feedback = AccountFeedback(stage.database, stage.accounts, stage.settings, clock)
    await receipts_of(stage, endpoint, last=1)
    await feedback.step()
    await attempts(stage, endpoint, 20, "sent", age=7 * 3600)
    clock.now += 300
    await feedback.step()
    assert (await standing(stage, endpoint)).state is NORMAL
    clock.now += 1
    await feedback.step()
    assert (await standing(stage, endpoint)).state is SLOWED
