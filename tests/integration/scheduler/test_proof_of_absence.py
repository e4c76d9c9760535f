"""When "not in the account's chat storage" is believed: of the account that sent, and of a sender that did not stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.scheduler.account_answers import AccountAnswers
from shared.database.account_answers import note_answer, note_silence, whom_to_ask
from shared.database.sent_names import note_sent_name, prune_sent_names
from shared.endpoints.gowa import EndpointUnreachable, account_number, new_session, sent_messages
from shared.endpoints.identity import Endpoint
from shared.messages import KINDS, Kind, Status, Verdict
from shared.queue.taking import Settlement
from tests.integration.scheduler.lost_answers import (
    begin,
    checker,
    due_again,
    lose_answer,
    send,
    time_passes,
)
from tests.integration.scheduler.stage import PHONE, TEXT, Stage, until
from tests.servers import ServiceProcess

OTHER = "15550107777@s.whatsapp.net"


@pytest.fixture
def stage(simulated_stage: Stage) -> Stage:
    return simulated_stage


async def reason(stage: Stage) -> str:
    return str(await stage.database.fetchval("select reason from messages"))


# A sender that was out of reach.


async def test_what_waited_in_a_frozen_sender_goes_out_when_it_is_back(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    """The look hangs as the request does, and is answered a moment before that has got through."""
    message = await stage.message(on_unknown="resend")
    await lose_answer(stage, message)
    await time_passes(stage, 90)
    simulator.pause()
    looking = asyncio.create_task(checker(stage, session, reachable_seconds=60).step())
    await until(lambda: stage.database.fetchval("select checks from due where checks > 0"))
    simulator.resume()
    await looking
    assert await stage.status(message) == "sending", "nothing there yet is no proof"
    sent = await send(session, simulator)
    await due_again(stage)
    await checker(stage, session, reachable_seconds=60).step()
    assert await stage.status(message) == "sent"
    assert await stage.database.fetchval("select whatsapp_id from attempts") == sent


async def test_after_an_outage_a_minute_of_answers_is_wanted(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    message = await stage.message(on_unknown="resend")
    await lose_answer(stage, message)
    (endpoint,) = stage.endpoints
    await note_answer(stage.database, endpoint, None)
    await time_passes(stage, 600)
    looks = checker(stage, session, reachable_seconds=60)
    await note_silence(stage.database, endpoint)
    await looks.step()
    assert await stage.status(message) == "sending"
    assert await stage.database.fetchval("select due_at - clock_timestamp() < interval '11 s' from due")
    await time_passes(stage, 58)
    await looks.step()
    assert await stage.status(message) == "sending", "58 s"
    await time_passes(stage, 3)
    await looks.step()
    assert await stage.status(message) == "retrying", "61 s"


async def test_a_gap_between_two_answers_begins_the_minute_anew(stage: Stage) -> None:
    answers = stage.database
    assert await note_answer(answers, "a", None) < 1
    await answers.execute("update account_answers set answering_since = answering_since - interval '1 h'")
    assert await note_answer(answers, "a", None) > 3599
    await answers.execute("update account_answers set answered_at = answered_at - interval '14 s'")
    assert await note_answer(answers, "a", None) > 3599
    await answers.execute("update account_answers set answered_at = answered_at - interval '16 s'")
    assert await note_answer(answers, "a", None) < 1, "nobody knows what was in 16 s"
    await answers.execute("update account_answers set answering_since = answering_since - interval '1 h'")
    await note_silence(answers, "a")
    assert await note_answer(answers, "a", None) < 1


async def test_an_attempt_that_has_just_ended_may_still_be_at_the_sender(
    stage: Stage, session: aiohttp.ClientSession
) -> None:
    """Its sender answers all the time, but the request has a minute from when nobody waited for it any more."""
    message = await stage.message(on_unknown="resend")
    (endpoint,) = stage.endpoints
    await note_answer(stage.database, endpoint, None)
    await stage.database.execute("update account_answers set answering_since = answering_since - interval '1 h'")
    await lose_answer(stage, message)
    looks = checker(stage, session, reachable_seconds=60)
    await looks.step()
    assert await stage.status(message) == "sending"
    await time_passes(stage, 61)
    await looks.step()
    assert await stage.status(message) == "retrying"


async def test_a_sender_that_comes_and_goes_is_not_waited_for_without_end(
    stage: Stage, session: aiohttp.ClientSession
) -> None:
    message = await stage.message(on_unknown="hold")
    await lose_answer(stage, message)
    (endpoint,) = stage.endpoints
    looks = checker(stage, session, reachable_seconds=60)
    await looks.step()
    for passed, status in ((1790, "sending"), (100, "sending"), (40, "unknown")):
        await time_passes(stage, passed)
        await note_silence(stage.database, endpoint)
        await looks.step()
        assert await stage.status(message) == status, passed
    assert "keeps being out of reach" in await reason(stage)


async def test_two_schedulers_ask_each_account_once_and_know_the_same(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    loops = [AccountAnswers(stage.database, session, stage.accounts) for _ in range(2)]
    (endpoint,) = stage.endpoints
    asked = [await whom_to_ask(stage.database, stage.endpoints, 30, 4) for _ in range(2)]
    assert asked == [[endpoint], []]
    await stage.database.execute("update account_answers set asked_at = asked_at - interval '5 s'")
    assert await whom_to_ask(stage.database, stage.endpoints, 30, 4) == [], "nothing is to be looked up"
    await lose_answer(stage, await stage.message())
    await asyncio.gather(*(loop.step() for loop in loops))
    row = await stage.database.fetchrow("select * from account_answers")
    assert row is not None
    assert row["answering_since"] is not None
    assert await stage.database.fetchval("select jid from account_numbers") == await account_number(
        session, stage.accounts[endpoint]
    )
    simulator.kill()
    await stage.database.execute("update account_answers set asked_at = asked_at - interval '5 s'")
    await asyncio.gather(*(loop.step() for loop in loops))
    assert await stage.database.fetchval("select answering_since from account_answers") is None


# Another account.


@pytest.mark.parametrize("on_unknown", ["hold", "resend"])
async def test_the_storage_of_an_account_that_is_logged_out_proves_nothing(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess, on_unknown: str
) -> None:
    """What it sent is filed under its number, and reads empty without."""
    await AccountAnswers(stage.database, session, stage.accounts).step()
    message = await stage.message(on_unknown=on_unknown)
    await lose_answer(stage, message)
    sent = await send(session, simulator)
    async with session.post(f"{simulator.url}/simulator/devices/sales-1/logout") as response:
        assert response.status == 200
    looks = checker(stage, session)
    await looks.step()
    assert await stage.status(message) == "sending"
    async with session.post(f"{simulator.url}/simulator/devices/sales-1/login") as response:
        assert response.status == 200
    await due_again(stage)
    await looks.step()
    assert await stage.status(message) == "sent"
    assert await stage.database.fetchval("select whatsapp_id from attempts") == sent


@pytest.mark.parametrize(("on_unknown", "status"), [("hold", "unknown"), ("resend", "retrying")])
async def test_it_says_that_an_account_was_logged_out(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess, on_unknown: str, status: str
) -> None:
    message = await stage.message(on_unknown=on_unknown)
    await lose_answer(stage, message)
    async with session.post(f"{simulator.url}/simulator/devices/sales-1/logout") as response:
        assert response.status == 200
    looks = checker(stage, session)
    await looks.step()
    await time_passes(stage, 1801)
    await looks.step()
    assert await stage.status(message) == status
    assert await reason(stage) == "not looked up: the account is logged out"


async def test_an_account_that_is_logged_out_between_question_and_look_proves_nothing(
    open_stage: Callable[..., Any],
) -> None:
    numbers = iter(["15550100009@s.whatsapp.net", ""])
    looked: list[str] = []

    async def status(_: web.Request) -> web.Response:
        return web.json_response({"code": "SUCCESS", "results": {"jid": next(numbers)}})

    async def chat(request: web.Request) -> web.Response:
        looked.append(request.path)
        return web.json_response({"code": "SUCCESS", "results": {"data": []}})

    app = web.Application()
    app.router.add_get("/app/status", status)
    app.router.add_get("/chat/{jid}/messages", chat)
    async with TestServer(app) as server:
        stage: Stage = await open_stage(whatsapp_endpoints=f"http://127.0.0.1:{server.port}", whatsapp_auths="u:p")
        await stage.rebuilder().step()
        message = await stage.message(on_unknown="resend")
        await lose_answer(stage, message)
        async with new_session(stage.settings) as session:
            await checker(stage, session).step()
        assert len(looked) == 1
        assert await stage.status(message) == "sending"


async def test_an_account_that_is_another_number_now_proves_nothing(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    (endpoint,) = stage.endpoints
    await note_answer(stage.database, endpoint, OTHER)
    message = await stage.message(on_unknown="hold")
    await lose_answer(stage, message)
    await send(session, simulator)
    looks = checker(stage, session)
    await looks.step()
    assert await stage.status(message) == "sending", "a look into somebody else's chats finds nothing of ours either"
    await time_passes(stage, 1801)
    await looks.step()
    assert await stage.status(message) == "unknown"
    assert await reason(stage) == "not looked up: the account is another number now"


async def test_what_a_number_of_before_sent_is_not_asked_of_the_next(
    stage: Stage, session: aiohttp.ClientSession
) -> None:
    """The pairing changed after the attempt; one that began later is the next number's."""
    (endpoint,) = stage.endpoints
    await note_answer(stage.database, endpoint, OTHER)
    before = await stage.message(on_unknown="hold")
    await lose_answer(stage, before)
    await note_answer(stage.database, endpoint, await account_number(session, stage.accounts[endpoint]))
    after = await stage.message(on_unknown="hold")
    await lose_answer(stage, after)
    await checker(stage, session).step()
    assert [await stage.status(message) for message in (before, after)] == ["sending", "unknown"]


async def test_a_number_is_noted_when_it_changes(stage: Stage) -> None:
    for number in ("1@s.whatsapp.net", "1@s.whatsapp.net", "", None, "2@s.whatsapp.net", "1@s.whatsapp.net"):
        await note_answer(stage.database, "a", number)
    rows = await stage.database.fetch("select jid, since from account_numbers order by since")
    assert [row["jid"][0] for row in rows] == ["1", "2", "1"]
    for at, number in (
        ("'-infinity'", "1"),
        (f"'{rows[1]['since']}'", "2"),
        (f"'{rows[1]['since']}'::timestamptz - interval '1 microsecond'", "1"),
        ("'infinity'", "1"),
    ):
        found = await stage.database.fetchval(f"select number_at('a', {at})")
        assert found == f"{number}@s.whatsapp.net", at
    assert await stage.database.fetchval("select number_at('b', now())") is None


async def answering(routes: dict[str, tuple[int, Any]]) -> TestServer:
    async def answer(request: web.Request) -> web.Response:
        status, body = routes.get(request.path, (404, None))
        return web.Response(text="Not Found", status=status) if body is None else web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    return TestServer(app)


SLOTS = [{"id": "sales-1", "jid": "15550100009@s.whatsapp.net"}, {"id": "sales-2", "state": "disconnected"}]


@pytest.mark.parametrize(
    ("device", "routes", "number"),
    [
        ("s", {"/app/status": (200, {"results": {"jid": "15550100009:32@s.whatsapp.net"}})}, "15550100009"),
        ("s", {"/app/status": (200, {"results": {"jid": ""}})}, ""),
        ("sales-1", {"/app/status": (200, {"results": {}}), "/devices": (200, {"results": SLOTS})}, "15550100009"),
        ("sales-2", {"/app/status": (404, {"code": "DEVICE_NOT_FOUND"}), "/devices": (200, {"results": SLOTS})}, ""),
        ("gone", {"/app/status": (404, {"code": "DEVICE_NOT_FOUND"}), "/devices": (200, {"results": SLOTS})}, ""),
        ("gone", {"/app/status": (404, {"code": "DEVICE_NOT_FOUND"}), "/devices": (200, {"results": None})}, ""),
        ("", {"/app/status": (200, {"results": {"is_logged_in": True}})}, None),
        ("", {"/app/status": (200, {"results": {"is_logged_in": False}})}, ""),
        ("", {"/app/status": (400, {"code": "DEVICE_ID_REQUIRED"}), "/devices": (200, {"results": SLOTS})}, "?"),
        ("", {"/app/status": (401, None), "/devices": (401, None)}, "?"),
        ("", {"/app/status": (502, None), "/devices": (502, None)}, "?"),
        ("", {}, "?"),
    ],
)
async def test_the_number_of_an_account_by_every_version(
    session: aiohttp.ClientSession, device: str, routes: dict[str, tuple[int, Any]], number: str | None
) -> None:
    """ "?": nothing can be concluded."""
    async with await answering(routes) as server:
        endpoint = Endpoint("one", str(server.make_url("")).rstrip("/"), device)
        if number == "?":
            with pytest.raises(EndpointUnreachable):
                await account_number(session, endpoint)
        else:
            expected = f"{number}@s.whatsapp.net" if number else number
            assert await account_number(session, endpoint) == expected


# What is in the chat.


async def test_a_kind_of_a_newer_version_proves_nothing_and_stops_nobody(
    stage: Stage, session: aiohttp.ClientSession
) -> None:
    newer = await stage.message(on_unknown="resend")
    await stage.database.execute("update messages set kind = 'video'")
    begun = await begin(stage, newer, seconds=0)
    await stage.taking().settle([Settlement(begun, ready_ms=0)])
    older = await stage.message(on_unknown="hold")
    await stage.database.execute("update open_attempts set slot = 99")
    await begin(stage, older, seconds=0)
    looks = checker(stage, session)
    await looks.step()
    assert await stage.database.fetchval("select count(*) from open_attempts") == 0
    await looks.step()
    assert [await stage.status(message) for message in (newer, older)] == ["sending", "unknown"]
    await time_passes(stage, 1801)
    await looks.step()
    assert await stage.status(newer) == "unknown", "not resent by who cannot tell whether it was sent"
    row = await stage.database.fetchrow("select reason from messages where id = $1", newer)
    assert row is not None
    assert row["reason"] == "not looked up: this version does not know its kind"


async def test_what_no_storage_could_show_is_held_however_often_nobody_finds_it(
    stage: Stage, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messages.kinds.KINDS", {Kind.MESSAGE: replace(KINDS[Kind.MESSAGE], stored=())})
    message = await stage.message(on_unknown="resend")
    await lose_answer(stage, message)
    looks = checker(stage, session)
    await looks.step()
    assert await stage.status(message) == "sending"
    await time_passes(stage, 1801)
    await looks.step()
    assert await stage.status(message) == "unknown"
    assert await reason(stage) == "not looked up: how the chat storage shows this message is not known"


async def test_a_file_is_found_under_the_name_that_it_was_uploaded_with(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    url = "https://example.org/dl?id=5&signature=secret"
    await note_sent_name(stage.database, url, "doc.pdf")
    await note_sent_name(stage.database, url, "doc.pdf")
    messages = [await stage.message(kind="file", content={"file_url": url}, on_unknown="hold")]
    await lose_answer(stage, messages[0])
    form = aiohttp.FormData({"phone": PHONE})
    form.add_field("file", b"%PDF-1.4", filename="doc.pdf", content_type="application/pdf")
    async with session.post(f"{simulator.url}/send/file", data=form) as response:
        assert response.status == 200, await response.text()
    await checker(stage, session).step()
    assert await stage.status(messages[0]) == "sent"
    stored = await stage.database.fetch("select url_sha256, name from sent_names")
    assert [(len(row["url_sha256"]), row["name"]) for row in stored] == [(32, "doc.pdf")], "the URL may be signed"
    assert await prune_sent_names(stage.database, 60) == 0
    assert await prune_sent_names(stage.database, 0) == 1


async def test_a_stored_text_may_be_of_another_message_that_is_just_being_sent(
    stage: Stage, session: aiohttp.ClientSession, simulator: ServiceProcess
) -> None:
    """The same text to the same person: stored, and its answer not written yet."""
    message = await stage.message(on_unknown="hold")
    await lose_answer(stage, message)
    other = await stage.message()
    begun = await begin(stage, other)
    sent = await send(session, simulator)
    looks = checker(stage, session)
    # The gate of the stage writes phone keys as they are.
    assert await stage.database.fetchval("select count(*) from open_attempts where phone_key = $1", PHONE) == 1
    await looks.step()
    assert await stage.status(message) == "sending"
    await stage.record(begun, Verdict.SENT, Status.SENT, whatsapp_id=sent)
    await due_again(stage)
    await looks.step()
    assert [await stage.status(one) for one in (message, other)] == ["unknown", "sent"]


def chat_line(identity: str, content: str, timestamp: str) -> dict[str, Any]:
    return {"id": identity, "content": content, "timestamp": timestamp, "is_from_me": True, "media_type": ""}


async def test_a_long_chat_is_read_page_by_page(stage: Stage, session: aiohttp.ClientSession) -> None:
    """Ours is the oldest of 250; a further row that cannot be read leaves it open whether that one was ours."""
    started = await stage.database.fetchval("select date_trunc('second', clock_timestamp())")
    rows: list[Any] = [chat_line(f"3EB0{number}", "more", started.isoformat()) for number in range(249)]
    rows.append(chat_line("OURS", TEXT["message"], started.isoformat()))
    asked: list[str] = []

    async def chat(request: web.Request) -> web.Response:
        asked.append(request.query["start_time"])
        offset = int(request.query["offset"])
        data = rows[offset : offset + int(request.query["limit"])]
        return web.json_response({"code": "SUCCESS", "results": {"data": data or None}})

    app = web.Application()
    app.router.add_get("/chat/{jid}/messages", chat)
    async with TestServer(app) as server:
        endpoint = Endpoint("one", str(server.make_url("")).rstrip("/"), "")
        found = await sent_messages(session, endpoint, PHONE, started)
        assert (len(found.lines), found.lines[-1].id, found.complete) == (250, "OURS", True)
        assert len(asked) == 3
        # A sender in America files this minute as hours ago, and compares the texts.
        assert datetime.fromisoformat(asked[0]) <= started - timedelta(hours=12)
        rows[7] = {"id": "no time"}
        found = await sent_messages(session, endpoint, PHONE, started)
        assert (len(found.lines), found.complete) == (249, False)
        rows.extend(chat_line(f"3EB1{number}", "old", "2020-01-01T00:00:00Z") for number in range(2000))
        found = await sent_messages(session, endpoint, PHONE, started)
        assert len(found.lines) == 249
        assert len(asked) == 9, "older ones are not read"
