"""Who is to blame for a send that failed: what an account's fault, a message's own and another account's message come to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from shared.database.account_feedback import attempts_since
from shared.messages import Entry, Lane, Status
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.noting import Noted, noted
from shared.queue.rota import readmit, withdraw
from standalone.ports import free_port
from tests.integration.dispatcher.stage import LOGIN, Sender, Stage, eventually, metrics_of
from tests.servers import ServiceProcess

LONG = "24h"
GROUP = "120363000000000001@g.us"
IMAGE_URL = "failed to download image from URL "


async def breaker_opens(stage: Stage, device: str) -> None:
    async def is_open() -> bool:
        return await stage.breaker(device) == "open"

    await eventually(is_open, f"opening of {device}'s breaker")


async def test_in_an_outage_of_lookups_another_account_takes_the_message(stage: Stage) -> None:
    await stage.sender.mood("lookups-out", "a")
    await stage.sender.numbers(not_on_whatsapp=["15550410002"])
    await stage.build("a", "b")
    await stage.dispatcher("a", "b", WORKER_MAX_RETRIES="0", RETRY_BASE_DELAY=LONG)
    there, missing = await stage.send("15550410001", device="a"), await stage.send("15550410002", device="a")
    row = await stage.ended(there)
    assert await stage.attempts(there) == [(1, "a", "transient"), (2, "b", "sent")]
    assert row["tries_used"] == 1, "an account's fault costs the message nothing"
    await stage.ended(missing, Status.FAILED)
    assert await stage.attempts(missing) == [(1, "a", "transient"), (2, "b", "refused")]
    assert (await stage.state("a"))["failures"] == "2"
    assert (await stage.state("b")).get("failures", "0") == "0"


async def test_an_outage_of_all_lookups_fails_nobody_however_long_it_lasts(stage: Stage) -> None:
    await stage.sender.mood("lookups-out")
    await stage.build("a", "b")
    messages = [await stage.send(f"1555042000{number}") for number in range(5)]
    await stage.dispatcher("a", "b", WORKER_MAX_RETRIES="0")
    async with stage.promoting():
        for device in "ab":
            await breaker_opens(stage, device)
            assert "lookups are out" in (await stage.state(device))["reason"]
        for _ in range(5):
            for device in "ab":
                await readmit(stage.queue, stage.endpoint(device), 1, at_once=True)
                await breaker_opens(stage, device)
        statuses = {(await stage.row(message))["status"] for message in messages}
        assert statuses <= {"queued", "retrying"}
        await stage.sender.mood("ok")
        for device in "ab":
            await readmit(stage.queue, stage.endpoint(device), 1, "closed", at_once=True)
        for message in messages:
            assert (await stage.ended_row(message))["tries_used"] == 1


@pytest.fixture
async def unvalidating(tmp_path: Path) -> AsyncIterator[Sender]:
    """A sender with account validation off: it looks up what it must, and the send says how that went."""
    arguments = (
        "--listen",
        "127.0.0.1:{port}",
        "--devices",
        "a",
        "--basic-auth",
        LOGIN,
        "--account-validation",
        "false",
    )
    process = ServiceProcess("simulator", {}, tmp_path, arguments=arguments, ready_path="/health")
    process.launch()
    await process.ready()
    async with aiohttp.ClientSession() as session:
        yield Sender(process, session)
    process.kill()


async def test_without_account_validation_an_outage_is_no_fault_of_the_message_either(
    stage: Stage, unvalidating: Sender
) -> None:
    stage.move("a", unvalidating.url)
    await stage.build("a")
    await stage.dispatcher("a", WORKER_MAX_RETRIES="0", RETRY_BASE_DELAY=LONG)
    await unvalidating.mood("lookups-out", "a")
    message = await stage.send("15550430001")
    row = await stage.ended(message, Status.RETRYING)
    assert (row["tries_used"], "lookups are out" in row["reason"]) == (0, True)


async def test_a_lookup_that_fails_for_one_message_alone_is_bounded_by_the_tries(stage: Stage) -> None:
    text = "failed to get user info for 15550430002@s.whatsapp.net to fill LID cache: EOF"
    await stage.sender.mood("answer", "a", status=500, message=text)
    await stage.build("a")
    await stage.dispatcher("a", WORKER_MAX_RETRIES="0")
    await stage.ended(await stage.send("15550430002"), Status.FAILED)


async def test_a_url_that_cannot_be_fetched_now_is_tried_again_and_opens_no_breaker(stage: Stage) -> None:
    await stage.build("a", "b")
    url = f"http://127.0.0.1:{free_port()}/offer.png"
    message = await stage.accept("15550440001", {"image_url": url}, kind="image")
    await stage.enqueue([message], device="a")
    await stage.dispatcher("a", "b", REMOTE_MEDIA="pass", WORKER_MAX_RETRIES="4", CIRCUIT_BREAKER_FAILURE_THRESHOLD="2")
    async with stage.promoting():
        row = await stage.ended(message, Status.FAILED)
    assert {verdict for _, _, verdict in await stage.attempts(message)} == {"unfetched"}
    assert row["tries_used"] == 5
    assert "failed to download image" in row["reason"]
    assert "127.0.0.1" not in row["reason"]
    for device in "ab":
        state = await stage.state(device)
        assert (state.get("breaker", "closed"), state.get("failures", "0")) == ("closed", "0")
    found = await attempts_since(
        stage.store,
        dict.fromkeys(map(stage.endpoint, "ab"), await stage.store.fetchval("select now() - interval '1 hour'")),
    )
    assert [(one.attempts, one.failed) for one in found.values()] == [(0, 0)] * 2, "no account is judged by it"


@pytest.mark.parametrize(
    "text",
    [
        "unsupported file type: .gif",
        "HTTP request failed with status: 404 Not Found",
        "invalid content type: text/html",
        "image size 20000001 exceeds maximum allowed size 20000000",
    ],
)
async def test_what_is_wrong_with_the_url_for_good_fails_at_once(stage: Stage, text: str) -> None:
    await stage.sender.mood("answer", "a", status=500, message=IMAGE_URL + text)
    await stage.build("a", "b")
    message = await stage.send("15550450001", device="a")
    await stage.dispatcher("a", "b")
    await stage.ended(message, Status.FAILED)
    assert await stage.attempts(message) == [(1, "a", "refused")]
    assert await stage.breaker("a") == "closed"


async def to_group(stage: Stage, device: str, *, chosen: bool = False) -> UUID:
    message = await stage.accept("15550460001")
    await stage.store.execute("update messages set phone = $2, phone_key = $2 where id = $1", message, GROUP)
    await stage.enqueue([message], device=device, chosen=chosen)
    return message


async def test_a_group_goes_through_the_account_that_is_in_it(stage: Stage) -> None:
    await stage.sender.groups({GROUP: ["c"]})
    await stage.build()
    await stage.dispatcher(RETRY_BASE_DELAY=LONG)
    message = await to_group(stage, "a")
    row = await stage.ended(message)
    attempts = await stage.attempts(message)
    assert attempts[0] == (1, "a", "elsewhere")
    assert attempts[-1][1:] == ("c", "sent")
    assert {verdict for _, _, verdict in attempts[:-1]} == {"elsewhere"}
    assert row["tries_used"] == 1
    for device in "abc":
        assert (await stage.state(device)).get("failures", "0") == "0"
    await stage.nothing_left()


async def test_a_group_that_no_account_is_in_fails_and_a_retry_asks_them_anew(stage: Stage) -> None:
    await stage.sender.groups({GROUP: []})
    await stage.build("a", "b")
    await stage.dispatcher("a", "b", RETRY_BASE_DELAY=LONG)
    message = await to_group(stage, "a")
    row = await stage.ended(message, Status.FAILED)
    assert await stage.attempts(message) == [(1, "a", "elsewhere"), (2, "b", "refused")]
    assert "participating" in row["reason"]

    await stage.sender.groups({GROUP: ["b"]})
    await stage.store.execute("update messages set status = 'queued', tries_used = 0 where id = $1", message)
    entry = Entry(message, 3, Lane.TRANSACTIONAL, endpoint=stage.endpoint("a"))
    await enqueue(stage.queue, [Placement(entry)])
    await stage.ended(message)
    assert (await stage.attempts(message))[2:] == [(3, "a", "elsewhere"), (4, "b", "sent")]


async def test_the_only_account_of_the_settings_decides_alone(stage: Stage) -> None:
    await stage.sender.groups({GROUP: []})
    await stage.build("a", "b")
    await stage.dispatcher("a")
    message = await to_group(stage, "a")
    await stage.ended(message, Status.FAILED)
    assert await stage.attempts(message) == [(1, "a", "refused")]


async def test_who_said_so_is_remembered_when_redis_is_not(stage: Stage) -> None:
    """An entry that was made anew excludes nobody."""
    await stage.sender.groups({GROUP: ["b"]})
    await stage.build("a", "b")
    await withdraw(stage.queue, stage.endpoint("b"), "elsewhere")
    await stage.dispatcher("a", "b", RETRY_BASE_DELAY=LONG)
    message = await to_group(stage, "a")
    await stage.ended(message, Status.RETRYING)
    await stage.queue.redis.delete(stage.queue.keys.scheduled)
    await readmit(stage.queue, stage.endpoint("b"), 1, "closed", at_once=True)
    await enqueue(stage.queue, [Placement(Entry(message, 2, Lane.TRANSACTIONAL, endpoint=stage.endpoint("a")))])
    await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", "elsewhere"), (2, "b", "sent")]


async def test_the_account_that_the_caller_chose_decides_alone(stage: Stage) -> None:
    await stage.sender.groups({GROUP: ["b"]})
    await stage.build("a", "b")
    await stage.dispatcher("a", "b")
    message = await to_group(stage, "a", chosen=True)
    await stage.ended(message, Status.FAILED)
    assert await stage.attempts(message) == [(1, "a", "refused")]


async def test_a_question_about_a_group_that_failed_is_no_answer(stage: Stage) -> None:
    text = "failed to get group members: info query timed out"
    await stage.sender.mood("answer", "a", status=500, message=text, count=1)
    await stage.build("a")
    await stage.dispatcher("a")
    message = await to_group(stage, "a")
    async with stage.promoting():
        await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", "transient"), (2, "a", "sent")]


@pytest.mark.parametrize("mood", ["401-json", "401-text", "404-device", "logged-out"])
async def test_what_cannot_type_begins_no_attempt(stage: Stage, mood: str) -> None:
    await stage.sender.mood(mood, "a")
    await stage.build("a", "b")
    message = await stage.send("15550470001", device="a")
    await stage.dispatcher("a", "b", TYPING_DELAY_MIN="10ms", TYPING_DELAY_MAX="20ms", RETRY_BASE_DELAY=LONG)
    row = await stage.ended(message)
    assert await stage.attempts(message) == [(1, "b", "sent")]
    assert (row["attempt"], row["tries_used"]) == (1, 1)
    assert await stage.breaker("a") == "open"
    assert await stage.sender.sends("a") == []
    await stage.nothing_left()


async def test_an_account_that_is_not_there_is_found_out_by_typing(stage: Stage) -> None:
    stage.move("a", f"http://127.0.0.1:{free_port()}")
    await stage.build("a", "b")
    message = await stage.send("15550480001", device="a")
    await stage.dispatcher("a", "b", TYPING_DELAY_MIN="10ms", TYPING_DELAY_MAX="20ms", RETRY_BASE_DELAY=LONG)
    await stage.ended(message)
    assert await stage.attempts(message) == [(1, "b", "sent")]
    assert (await stage.state("a"))["failures"] == "1"


async def test_a_caller_who_chose_an_account_that_cannot_type_waits_for_it(stage: Stage) -> None:
    await stage.sender.mood("401-json", "a")
    await stage.build("a", "b")
    message = await stage.send("15550480002", device="a", chosen=True)
    await stage.dispatcher("a", "b", TYPING_DELAY_MIN="10ms", TYPING_DELAY_MAX="20ms", RETRY_BASE_DELAY=LONG)
    await breaker_opens(stage, "a")
    await stage.at_rest()
    assert ((await stage.row(message))["attempt"], await stage.parked()) == (0, 1)
    assert await stage.sender.sends("b") == []


async def test_an_answer_that_nobody_knows_is_counted_and_told_once(stage: Stage) -> None:
    unheard: dict[str, Any] = {"status": 500, "message": "the frobnicator of 15550490001 at gowa.example is tired"}
    await stage.sender.mood("answer", "a", **unheard)
    await stage.build("a")
    dispatcher = await stage.dispatcher("a")
    for number in range(2):
        message = await stage.send(f"1555049000{number}", device="a")

        async def checked(message: UUID = message) -> bool:
            return bool(
                await stage.store.fetchval("select true from due where message = $1 and why = 'check'", message)
            )

        await eventually(checked, "a check, since it may have been sent")
    await stage.at_rest()
    assert 'paceline_unlisted_answers_total{http_status="5xx"} 2.0' in await metrics_of(dispatcher)
    told = [line for line in dispatcher.log_text().splitlines() if "answered something unknown" in line]
    assert len(told) == 1
    assert "INTERNAL_SERVER_ERROR: the frobnicator of *** at * is tired" in told[0]
    assert (await noted(stage.queue))[Noted.UNLISTED_ANSWER] == 2


async def test_a_sender_that_has_just_started_costs_no_try(stage: Stage) -> None:
    """For some seconds its accounts are paired and have no client."""
    await stage.build("a")
    await stage.dispatcher("a", WORKER_MAX_RETRIES="0", CIRCUIT_BREAKER_OPEN_TIMEOUT="300ms")
    await stage.sender._ask("POST", "/restart", {"boot_ms": 3_600_000})
    message = await stage.send("15550500001", device="a")
    await breaker_opens(stage, "a")
    await stage.at_rest()
    assert (await stage.row(message))["tries_used"] == 0
    assert [verdict for _, _, verdict in await stage.attempts(message)] == ["logged_out"]
    await stage.sender._ask("POST", "/restart", {"boot_ms": 0})
    # The scheduler asks the account, and puts it on trial once it says that it can send.
    await stage.scheduler("a", CIRCUIT_BREAKER_OPEN_TIMEOUT="300ms")
    assert (await stage.ended_row(message))["tries_used"] == 1
