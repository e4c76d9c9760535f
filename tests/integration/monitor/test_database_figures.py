"""figures.sql: what stands in Postgres, in numbers, without looking for a status."""

from datetime import timedelta
from uuid import uuid4

import pytest

from shared.database.attempts import AttemptResult, GateRequest, gate, settle
from shared.database.connection import Database, load_statements
from shared.database.figures import COUNT_BOUND, database_figures, history_figures
from shared.database.receipts import delivery_figures, record_receipts
from shared.messages import Receipt, Status, Verdict
from tests.integration.accepting import accept_campaign, accept_message

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def attempt(
    store: Database, message: object, endpoint: str, verdict: Verdict, status: Status, **due: float
) -> None:
    request = GateRequest(message, 1, uuid4().hex, endpoint, 0, 60)  # type: ignore[arg-type]
    assert await gate(store, 1, "dispatcher-1", [request]) == {request.token: "passed"}
    result = AttemptResult(
        request.message, 1, request.token, endpoint, "dispatcher-1", verdict, status, due_seconds=due.get("seconds", 0)
    )
    assert await settle(store, 0, [result])


async def test_an_empty_database(store: Database) -> None:
    figures = await database_figures(store, 10)
    assert (figures.epoch, figures.rebuilding, figures.stopped_lanes, figures.stop_reason) == (1, False, [], "")
    assert (figures.under_way, figures.sends, figures.retries, figures.checks) == (0, 0, 0, 0)
    assert figures.campaigns == []
    assert not figures.bounded
    assert figures.latency_ms > 0


async def test_what_waits_and_what_is_under_way(store: Database) -> None:
    messages = [await accept_message(store, phone=f"1555010000{number}") for number in range(4)]
    begun = GateRequest(messages[0], 1, uuid4(), "a", 0, -5)
    await gate(store, 1, "dispatcher-1", [begun])
    await attempt(store, messages[1], "b", Verdict.TRANSIENT, Status.RETRYING, seconds=60)
    await attempt(store, messages[2], "b", Verdict.UNKNOWN, Status.SENDING, seconds=60)
    figures = await database_figures(store, 10)
    assert (figures.sends, figures.retries, figures.checks) == (1, 1, 1)
    assert (figures.under_way, figures.overdue) == (1, 1)
    assert figures.overdue_seconds >= 5


async def test_held_accounts_and_words_under_hidden_numbers(store: Database) -> None:
    figures = await database_figures(store, 5)
    assert (figures.held, figures.unresolved_optouts, figures.unresolved_since) == ({}, 0, None)
    await store.execute(
        "insert into endpoints (id, cold_held_until) values ('a', clock_timestamp() + interval '1 hour'),"
        " ('b', clock_timestamp() - interval '1 hour')"
    )
    for lid, wish in (("1@lid", "out"), ("2@lid", "in"), ("3@lid", "out")):
        await store.execute("select keep_unresolved($1, $2, clock_timestamp(), 'a')", lid, wish)
    figures = await database_figures(store, 5)
    assert (list(figures.held), figures.unresolved_optouts) == (["a"], 2)
    assert figures.unresolved_since is not None


async def test_stopped_lanes_and_suspended_endpoints(store: Database) -> None:
    await store.execute("select set_stopped_lanes('{bulk}', 'maintenance')")
    await store.execute("select suspend_endpoint('a', 'holidays')")
    await store.execute("select begin_rebuild()")
    figures = await database_figures(store, 10)
    assert (figures.stopped_lanes, figures.stop_reason) == (["bulk"], "maintenance")
    assert figures.suspended["a"].reason == "holidays"
    assert (figures.epoch, figures.rebuilding) == (2, True)


async def test_open_campaigns_with_their_progress(store: Database) -> None:
    old = await accept_campaign(store, 3)
    new = await accept_campaign(store, 2, first_phone=15550300000)
    over = await accept_campaign(store, 1, first_phone=15550400000)
    await attempt(store, old.messages[0], "a", Verdict.SENT, Status.SENT)
    await store.execute("update campaign_counts set delivered = 1 where campaign = $1", old.token)
    await attempt(store, over.messages[0], "a", Verdict.SENT, Status.SENT)
    assert await store.fetchval("select finish_campaign($1)", over.token)
    await store.fetchval("select pause_campaign($1)", new.token)
    figures = await database_figures(store, 10)
    assert [campaign.token for campaign in figures.campaigns] == [new.token, old.token]
    assert figures.open_campaigns == {"running": 1, "paused": 1}
    last = figures.campaigns[1]
    assert (last.total, last.waiting, last.counts["sent"], last.delivered) == (3, 2, 1, 1)
    # Only the newest are listed; all are counted.
    few = await database_figures(store, 1)
    assert [campaign.token for campaign in few.campaigns] == [new.token]
    assert few.open_campaigns == figures.open_campaigns


async def test_recent_attempts_by_outcome(store: Database) -> None:
    messages = [await accept_message(store, phone=f"1555010000{number}") for number in range(6)]
    await attempt(store, messages[0], "a", Verdict.SENT, Status.SENT)
    await attempt(store, messages[1], "a", Verdict.REFUSED, Status.FAILED)
    await attempt(store, messages[2], "a", Verdict.TRANSIENT, Status.RETRYING, seconds=60)
    await attempt(store, messages[3], "a", Verdict.SENT, Status.SENT)
    await attempt(store, messages[4], "gone", Verdict.SENT, Status.SENT)
    await store.execute(
        "update attempts set finished_at = finished_at - interval '2 hours' where message = $1", messages[3]
    )
    await attempt(store, messages[5], "a", Verdict.SENT, Status.SENT)
    await store.execute(
        "update attempts set finished_at = finished_at - interval '2 days' where message = $1", messages[5]
    )
    figures = await history_figures(store, ["a", "b"], DAY, HOUR)
    day, hour = figures.long["a"], figures.short["a"]
    assert (day.attempts, day.sent, day.failed, day.unknown, day.retried) == (4, 2, 1, 0, 1)
    assert (hour.attempts, hour.sent, hour.failed, hour.unknown, hour.retried) == (3, 1, 1, 0, 1)
    assert (figures.long["b"].attempts, figures.long["b"].bounded) == (0, False)
    assert "gone" not in figures.long
    assert figures.database_bytes > 1_000_000
    assert figures.connections >= 1


async def test_counting_ends_at_its_bound(store: Database) -> None:
    await store.execute(
        "insert into due (message, due_at, why, lane) select gen_random_uuid(), now(), 'send', 'transactional'"
        " from generate_series(1, $1)",
        COUNT_BOUND + 10,
    )
    figures = await database_figures(store, 1)
    assert figures.sends == COUNT_BOUND
    assert figures.bounded


@pytest.mark.parametrize("statement", ["control", "open_campaigns", "campaigns_by_status", "recent_attempts"])
async def test_no_statement_reads_all_messages(store: Database, statement: str) -> None:
    await accept_campaign(store, 20_000)
    await store.execute(
        "insert into attempts (message, number, endpoint, dispatcher, verdict, started_at, finished_at)"
        " select id, 1, 'a', 'd', 'transient', now(), now() from messages"
    )
    await store.execute("analyze")
    arguments = {
        "control": (COUNT_BOUND,),
        "open_campaigns": (10,),
        "campaigns_by_status": (10,),
        "recent_attempts": (["a"], DAY, COUNT_BOUND, HOUR),
    }[statement]
    lines = await store.fetch("explain " + load_statements("figures")[statement], *arguments)
    plan = "\n".join(line[0] for line in lines)
    full = await store.fetchval("select tableoid::regclass::text from messages limit 1")
    assert f"Seq Scan on {full}" not in plan, plan


async def test_messages_without_a_receipt_are_counted_once_receipts_come(store: Database) -> None:
    old, window = timedelta(hours=6), timedelta(days=1)
    messages = [await accept_message(store, phone=f"1555010010{number}") for number in range(6)]
    for number, message in enumerate(messages):
        await attempt(store, message, "a", Verdict.SENT, Status.SENT)
        await store.execute("insert into whatsapp_ids values ($1, 'a', $2, 1)", f"W{number}", message)
    ages = (
        "update attempts set started_at = started_at - $2::interval, finished_at = finished_at - $2::interval"
        " where message = $1"
    )
    for message in messages[:4]:
        await store.execute(ages, message, timedelta(hours=7))
    await store.execute(ages, messages[4], timedelta(days=2))
    await store.execute("update messages set phone = '120363000000000001@g.us' where id = $1", messages[3])

    # An account that sends no receipts has no webhook; nothing can be said about it.
    silent = (await delivery_figures(store, ["a", "b"], old, window))["a"]
    assert (silent.sent, silent.undelivered_share, silent.last_receipt) == (0, None, None)

    await record_receipts(store, 0, ["W0", "W5"], "", Receipt.DELIVERED)
    since = (await delivery_figures(store, ["a"], old, window))["a"]
    assert since.sent == 0, "what was sent before the webhook was set up has no receipt, and needs none"
    assert since.last_receipt is not None

    await store.execute("update receipt_times set first_at = first_at - interval '7 d'")
    figures = await delivery_figures(store, ["a", "b"], old, window)
    # Of the six one is too young, one too old and one went to a group.
    assert (figures["a"].sent, figures["a"].undelivered) == (3, 2)
    assert (figures["b"].sent, figures["b"].undelivered_share) == (0, None)
    assert (await delivery_figures(store, ["a"], old, window, sample=1))["a"].sent <= 1
