"""What becomes of a message for each way in which a send can end: in the history, in the row, in the breaker and in Redis."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.endpoints.identity import endpoint_id
from shared.messages import Entry, Lane, Status
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.rota import readmit
from standalone.ports import free_port
from tests.integration.dispatcher.stage import Stage, eventually, metrics_of

LONG = "24h"
"""A retry that this test does not wait for."""


async def test_a_transient_error_is_retried_and_then_failed(stage: Stage) -> None:
    await stage.sender.mood("500")
    await stage.build("a")
    message = await stage.send()
    await stage.dispatcher("a", WORKER_MAX_RETRIES="1")
    async with stage.promoting():
        row = await stage.ended(message, Status.FAILED)
    assert await stage.attempts(message) == [(1, "a", "transient"), (2, "a", "transient")]
    assert (row["attempt"], row["tries_used"]) == (2, 2)
    assert row["reason"].startswith("INTERNAL_SERVER_ERROR: ")
    assert await stage.store.fetchval("select count(*) from due") == 0
    state = await stage.state("a")
    assert (state.get("breaker", "closed"), state["failures"]) == ("closed", "2")
    await stage.nothing_left()
    assert await stage.rota() == {"a"}


async def test_a_transient_error_that_passes(stage: Stage) -> None:
    await stage.sender.mood("500", count=2)
    await stage.build("a")
    message = await stage.send()
    await stage.dispatcher("a")
    async with stage.promoting():
        row = await stage.ended(message)
    assert [verdict for _, _, verdict in await stage.attempts(message)] == ["transient", "transient", "sent"]
    assert (row["tries_used"], row["reason"]) == (3, None)
    assert (await stage.state("a"))["failures"] == "0", "a success ends the row of failures"
    await stage.nothing_left()


async def test_the_log_names_message_and_trace_through_all_attempts(stage: Stage) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await stage.sender.mood("500")
    await stage.build("a", "b")
    message = await stage.accept()
    entry = Entry(message, 1, Lane.TRANSACTIONAL, trace=f"00-{trace}-00f067aa0ba902b7-01")
    await enqueue(stage.queue, [Placement(entry)])
    dispatcher = await stage.dispatcher("a", "b", WORKER_MAX_RETRIES="1", CIRCUIT_BREAKER_FAILURE_THRESHOLD="1")

    def lines(event: str) -> list[dict[str, Any]]:
        told = [orjson.loads(line) for line in dispatcher.log_text().splitlines() if line.startswith("{")]
        return [line for line in told if line["event"] == event]

    async def told_of_both() -> bool:
        return len(lines("attempt")) == 2

    async with stage.promoting():
        await stage.ended(message, Status.FAILED)
    # Postgres knows of it before the line is written.
    await eventually(told_of_both, "the line about the second attempt")
    assert [(line["number"], line["message"], line["trace_id"]) for line in lines("attempt")] == [
        (1, str(message), trace),
        (2, str(message), trace),
    ]
    # Written for a whole batch, whoever of it came first.
    assert [(line["message_ids"], line.get("message")) for line in lines("breaker")] == [([str(message)], None)] * 2


async def test_a_retry_waits_in_both_stores(stage: Stage) -> None:
    await stage.sender.mood("500")
    await stage.build("a")
    message = await stage.send()
    await stage.dispatcher("a", RETRY_BASE_DELAY=LONG)
    await stage.ended(message, Status.RETRYING)
    due = await stage.store.fetchrow(
        "select *, due_at - clock_timestamp() as waits from due where message = $1", message
    )
    assert due is not None
    assert (due["why"], due["enqueued_at"] is None) == ("retry", False)
    [(member, score)] = await stage.queue.ask("ZRANGE", stage.queue.keys.scheduled, 0, -1, "WITHSCORES")
    seconds = due["waits"].total_seconds()
    # A wait is the upper half of the longest one, by chance.
    assert 140 < seconds <= 300
    second, _ = await stage.queue.redis.time()
    assert abs(float(score) / 1000 - second - seconds) < 5, "Redis and Postgres must agree about when"
    assert message.hex in member
    assert await stage.waiting() == 0


ELSEWHERE: list[tuple[str, dict[str, Any], str, str]] = [
    ("logged-out", {}, "logged_out", "open"),
    ("offline", {}, "logged_out", "open"),
    ("404-device", {}, "logged_out", "open"),
    ("invalid-wa-cli", {}, "logged_out", "open"),
    ("401-json", {}, "logged_out", "open"),
    ("401-not-logged-in", {}, "logged_out", "open"),
    ("401-text", {}, "misconfigured", "open"),
    ("429-timelock", {}, "cold_contact_locked", "closed"),
]


@pytest.mark.parametrize(("mood", "parameters", "verdict", "breaker"), ELSEWHERE)
async def test_it_leaves_at_once_through_another_account(
    stage: Stage, mood: str, parameters: dict[str, Any], verdict: str, breaker: str
) -> None:
    await stage.sender.mood(mood, "a", **parameters)
    await stage.build("a", "b")
    message = await stage.send("15550178001", device="a")  # whom no other test knows: known chats are never locked
    await stage.dispatcher("a", "b", RETRY_BASE_DELAY=LONG)
    row = await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", verdict), (2, "b", "sent")]
    # The account's fault costs the message nothing; a locked contact is the message's as well.
    assert row["tries_used"] == (2 if verdict == "cold_contact_locked" else 1)
    assert await stage.breaker("a") == breaker
    assert await stage.breaker("b") == "closed"
    await stage.nothing_left()
    assert await stage.rota() == ({"b"} if breaker == "open" else {"a", "b"})


async def test_with_no_other_account_it_waits_and_costs_no_try(stage: Stage) -> None:
    await stage.sender.mood("logged-out")
    await stage.build("a", "b")
    message = await stage.send()
    await stage.dispatcher("a", "b", RETRY_BASE_DELAY=LONG)

    async def both_are_out() -> bool:
        return (await stage.breaker("a"), await stage.breaker("b")) == ("open", "open")

    await eventually(both_are_out)
    row = await stage.ended(message, Status.RETRYING)
    assert row["tries_used"] == 0
    assert [verdict for _, _, verdict in await stage.attempts(message)] == ["logged_out", "logged_out"]
    assert (await stage.waiting(), await stage.parked()) == (0, 1)
    assert await stage.rota() == set()


async def test_a_caller_who_chose_the_account_waits_for_it(stage: Stage) -> None:
    await stage.sender.mood("logged-out", "a")
    await stage.build("a", "b")
    message = await stage.send(device="a", chosen=True)
    await stage.dispatcher("a", "b", RETRY_BASE_DELAY=LONG)
    await stage.ended(message, Status.RETRYING)
    assert await stage.attempts(message) == [(1, "a", "logged_out")]
    assert await stage.parked() == 1
    assert await stage.sender.sends("b") == []


async def test_a_locked_contact_waits_long_where_all_accounts_refuse(stage: Stage) -> None:
    await stage.sender.mood("429-timelock")
    await stage.build("a", "b")
    message = await stage.send("15550177001")
    await stage.dispatcher("a", "b", COLD_CONTACT_DELAY="6h")
    await stage.ended(message, Status.RETRYING)
    assert sorted(device for _, device, _ in await stage.attempts(message)) == ["a", "b"]
    waits = await stage.store.fetchval("select due_at - clock_timestamp() from due where message = $1", message)
    assert 21_500 < waits.total_seconds() <= 21_600
    assert (await stage.breaker("a"), await stage.breaker("b")) == ("closed", "closed")
    assert await stage.rota() == {"a", "b"}


UNKNOWN: list[tuple[str, dict[str, Any], int | None, bool]] = [
    ("504-taken", {}, 504, True),
    ("504-lost", {}, 504, False),
    ("500-after", {}, 500, True),
    ("cut-after", {}, None, True),
    # A connection was in hand, so the dispatcher cannot know how far the request came.
    ("cut-before", {}, None, False),
    ("hang", {}, None, True),
    ("garbage", {}, 200, False),
]


@pytest.mark.parametrize(("mood", "parameters", "http_status", "taken"), UNKNOWN)
async def test_an_unknown_outcome_is_checked_and_not_sent_again(
    stage: Stage, mood: str, parameters: dict[str, Any], http_status: int | None, taken: bool
) -> None:
    await stage.sender.mood(mood, "a", **parameters)
    await stage.build("a", "b")
    message = await stage.send(device="a")
    await stage.dispatcher("a", "b", WHATSAPP_TEXT_TIMEOUT="500ms", UNKNOWN_CHECK_DELAY="75s")

    async def checked() -> Any:
        return await stage.store.fetchrow("select *, due_at - clock_timestamp() as waits from due where why = 'check'")

    due = await eventually(checked, "a check")
    assert due["message"] == message
    assert 60 < due["waits"].total_seconds() <= 75
    await stage.at_rest()
    row = await stage.row(message)
    assert (row["status"], row["attempt"]) == ("sending", 1)
    assert await stage.attempts(message) == [(1, "a", "unknown")]
    status = await stage.store.fetchval("select http_status from attempts where message = $1", message)
    assert status == http_status
    [line] = await stage.sender.sends()
    assert line["taken"] is taken
    # Nothing in Redis could send it again, however long one waits.
    await stage.nothing_left()
    second, _ = await stage.queue.redis.time()
    assert (await promote(stage.queue, 100, 0, 1, now_ms=(second + 86_400) * 1000)).moved == 0
    assert (await stage.state("a"))["failures"] == "1"


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("413", {}, 413, "100 MB"),
    ("not-on-whatsapp", {}, 400, "INVALID_JID"),
    ("answer", {"status": 400, "code": "VALIDATION_ERROR", "message": "message: too long."}, 400, "too long"),
    ("answer", {"status": 500, "message": "no LID found for 15550100001@s.whatsapp.net from server"}, 500, "no LID"),
]


@pytest.mark.parametrize(("mood", "parameters", "http_status", "reason"), REFUSED)
async def test_a_refused_message_fails_at_once(
    stage: Stage, mood: str, parameters: dict[str, Any], http_status: int, reason: str
) -> None:
    await stage.sender.mood(mood, "a", **parameters)
    await stage.build("a", "b")
    message = await stage.send(device="a")
    dispatcher = await stage.dispatcher("a", "b")
    row = await stage.ended(message, Status.FAILED)
    assert reason in row["reason"]
    assert "15550100001" not in row["reason"]
    assert "15550100001" not in dispatcher.log_text()
    assert await stage.attempts(message) == [(1, "a", "refused")]
    assert await stage.store.fetchval("select http_status from attempts") == http_status
    assert await stage.breaker("a") == "closed"
    await stage.nothing_left()
    assert await stage.rota() == {"a", "b"}


async def test_a_failed_lookup_is_no_missing_number(stage: Stage) -> None:
    """The sender says the same for both, so the number is looked up once more."""
    await stage.sender.numbers(lookup_fails={"15550100001": 1}, not_on_whatsapp=["15550100002"])
    await stage.build("a")
    there, missing = await stage.send("15550100001"), await stage.send("15550100002")
    await stage.dispatcher("a")
    async with stage.promoting():
        await stage.ended(there)
        await stage.ended(missing, Status.FAILED)
    assert [verdict for _, _, verdict in await stage.attempts(there)] == ["transient", "sent"]
    assert [verdict for _, _, verdict in await stage.attempts(missing)] == ["refused"]


async def test_a_sender_that_is_not_there(stage: Stage) -> None:
    stage.move("a", f"http://127.0.0.1:{free_port()}")
    await stage.build("a", "b")
    message = await stage.send(device="a")
    await stage.dispatcher("a", "b", RETRY_BASE_DELAY=LONG)
    row = await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", "not_sent"), (2, "b", "sent")]
    assert row["tries_used"] == 1
    assert (await stage.state("a"))["failures"] == "1"


async def test_a_breaker_opens_and_closes(stage: Stage) -> None:
    endpoint = endpoint_id(stage.sender.url, "a")
    await stage.sender.mood("500", "a")
    await stage.build("a")
    first = [await stage.send(f"1555010000{number}", device="a", chosen=True) for number in range(5)]
    dispatcher = await stage.dispatcher("a", WORKER_MAX_RETRIES="0", CIRCUIT_BREAKER_SUCCESS_THRESHOLD="2")

    async def is_open() -> bool:
        return await stage.breaker("a") == "open"

    await eventually(is_open, "opening")
    await stage.at_rest()
    state = await stage.state("a")
    assert "INTERNAL_SERVER_ERROR" in state["reason"]
    assert await stage.rota() == set()
    # What waits and what comes is kept, and nothing more is sent.
    first.append(await stage.send("15550100009", device="a", chosen=True))
    assert (len(await stage.sender.sends()), await stage.waiting()) == (3, 3)
    statuses = [(await stage.row(message))["status"] for message in first]
    assert statuses == ["failed"] * 3 + ["queued"] * 3

    # A trial that fails opens it again at once.
    assert await readmit(stage.queue, endpoint, 1, at_once=True)
    await eventually(is_open, "opening again")
    await stage.at_rest()
    assert len(await stage.sender.sends()) == 4

    await stage.sender.mood("ok", "a")
    assert await readmit(stage.queue, endpoint, 1, at_once=True)
    for message in first[4:]:
        await stage.ended(message)
    assert await stage.breaker("a") == "closed"
    assert await stage.rota() == {"a"}
    await stage.nothing_left()
    metrics = await metrics_of(dispatcher)
    assert f'paceline_breaker_changes_total{{endpoint="{endpoint}",to="closed"}} 1.0' in metrics
    assert f'paceline_breaker_changes_total{{endpoint="{endpoint}",to="open"}} 2.0' in metrics
