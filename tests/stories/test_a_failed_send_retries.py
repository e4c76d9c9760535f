"""A failed send retries: with a pause, through another account where that is certain, and not for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.stories.conftest import Paceline


async def test_a_failed_send_retries(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=1, CIRCUIT_BREAKER_FAILURE_THRESHOLD="10")
    await whole.simulate("PUT", "mood", json={"mood": "500", "count": 2})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "hello"})
    message = await whole.message_in(accepted["message_id"], "sent")
    assert [attempt["verdict"] for attempt in message["attempts"]] == ["transient", "transient", "sent"]
    ends = [datetime.fromisoformat(attempt["finished_at"]) for attempt in message["attempts"]]
    starts = [datetime.fromisoformat(attempt["started_at"]) for attempt in message["attempts"]]
    # RETRY_BASE_DELAY is 200 ms; half of it is by chance, and it doubles.
    assert (starts[1] - ends[0]).total_seconds() >= 0.1
    assert (starts[2] - ends[1]).total_seconds() >= 0.2
    assert sum(send["taken"] for send in await whole.sends()) == 1
    await whole.judge()


async def test_it_gives_up_with_the_reason(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=1, WORKER_MAX_RETRIES="2", CIRCUIT_BREAKER_FAILURE_THRESHOLD="10")
    await whole.simulate("PUT", "mood", json={"mood": "500"})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "hello"})
    message = await whole.message_in(accepted["message_id"], "failed")
    assert [attempt["verdict"] for attempt in message["attempts"]] == ["transient"] * 3
    assert "usync" in message["reason"]
    await whole.judge()


async def test_an_unknown_outcome_found_in_the_chat_is_sent(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=1, CIRCUIT_BREAKER_FAILURE_THRESHOLD="10")
    await whole.simulate("PUT", "mood", json={"mood": "cut-after", "count": 1})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "hello"})
    message = await whole.message_in(accepted["message_id"], "sent", "unknown", "failed")
    assert message["status"] == "sent"
    (send,) = await whole.sends()
    assert message["whatsapp_id"] == send["whatsapp_id"]
    await whole.judge()


@pytest.mark.parametrize(
    ("way", "path"),
    [("fetch", "/dl?id=5"), ("fetch", "/files/price%20list.pdf"), ("pass", "/files/price%20list.pdf")],
)
async def test_an_unknown_outcome_of_a_file_is_found_by_the_name_that_it_was_sent_with(
    paceline: Callable[..., Awaitable[Paceline]], way: str, path: str
) -> None:
    """Without a caption the name is all that the sender stores, and a redirect gives it."""

    async def to_the_file(_: web.Request) -> web.Response:
        raise web.HTTPFound("/files/doc.pdf")

    async def file(_: web.Request) -> web.Response:
        return web.Response(body=b"%PDF-1.4\n%%EOF", content_type="application/pdf")

    site = web.Application()
    site.router.add_get("/dl", to_the_file)
    site.router.add_get("/files/{name}", file)
    async with TestServer(site) as server:
        whole = await paceline(
            devices=1,
            CIRCUIT_BREAKER_FAILURE_THRESHOLD="10",
            REMOTE_MEDIA=way,
            REMOTE_MEDIA_ALLOW="127.0.0.1",
        )
        await whole.simulate("PUT", "mood", json={"mood": "cut-after", "count": 1})
        url = f"http://127.0.0.1:{server.port}{path}"
        body = {"phone": "15550100001", "file_url": url, "on_unknown": "resend"}
        accepted = await whole.call("POST", "/api/send/file", 202, json=body)
        message = await whole.message_in(accepted["message_id"], "sent", "unknown", "failed")
    (send,) = await whole.sends()
    assert [attempt["verdict"] for attempt in message["attempts"]] == ["sent"]
    assert message["whatsapp_id"] == send["whatsapp_id"]
    await whole.judge()


async def test_an_unknown_outcome_is_held_or_resent_as_the_caller_chose(
    paceline: Callable[..., Awaitable[Paceline]],
) -> None:
    whole = await paceline(devices=1, CIRCUIT_BREAKER_FAILURE_THRESHOLD="10")
    await whole.simulate("PUT", "mood", json={"mood": "504-taken", "count": 1})
    held = await whole.call(
        "POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "held", "on_unknown": "hold"}
    )
    message = await whole.message_in(held["message_id"], "sent", "unknown", "failed")
    assert message["status"] == "unknown"
    assert len(await whole.sends()) == 1

    await whole.simulate("PUT", "mood", json={"mood": "504-taken", "count": 1})
    resent = await whole.call(
        "POST", "/api/send/message", 202, json={"phone": "15550100002", "message": "again", "on_unknown": "resend"}
    )
    message = await whole.message_in(resent["message_id"], "sent")
    assert [attempt["verdict"] for attempt in message["attempts"]] == ["unknown", "sent"]
    assert message["possible_duplicate"] is True
    await whole.judge(allowed_doubles=1)


async def test_a_logged_out_account_costs_no_try(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2, WORKER_MAX_RETRIES="0")
    await whole.simulate("POST", "devices/account-1/logout")
    sent = []
    for number in range(4):
        accepted = await whole.call(
            "POST", "/api/send/message", 202, json={"phone": f"1555010000{number}", "message": f"hello {number}"}
        )
        sent.append(await whole.message_in(accepted["message_id"], "sent", "failed"))
    assert [message["status"] for message in sent] == ["sent"] * 4
    verdicts = [attempt["verdict"] for message in sent for attempt in message["attempts"]]
    assert verdicts == ["sent"] * 4, "what cannot type begins no attempt"
    lines = (await whole.simulate("GET", "ledger"))["entries"]
    assert [line["kind"] for line in lines if line["device"] == "account-1"] == ["chat-presence"], "found out once"
    await whole.breaker_is("account-1", "open")

    await whole.simulate("POST", "devices/account-1/login")
    await whole.account_closes("account-1")
    await whole.judge()
