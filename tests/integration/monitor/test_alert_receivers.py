"""What receivers of alerts are sent over the wire, what they answer, and how an operator sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from services.monitor.alert_messages import AlertMessage
from services.monitor.alert_receiver import AlertReceiver
from services.monitor.settings_of_alerts import AlertSettings
from tests.servers import StartService

MESSAGE = AlertMessage("alert_1", {"type": "alert.test", "text": "x" * 3000, "data": {}})


@dataclass
class Chat:
    """Takes what Discord would take; answers ``answers`` first, one after the other."""

    url: str = ""
    answers: list[web.Response] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.bodies.append(body)
        if self.answers:
            return self.answers.pop(0)
        if not isinstance(body, dict) or not 0 < len(body.get("content", "")) <= 2000:
            return web.json_response({"message": "Cannot send an empty message", "code": 50006}, status=400)
        return web.Response(status=204)


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    found = Chat()
    app = web.Application()
    app.router.add_post("/api/webhooks/1/s3cret", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/webhooks/1/s3cret"
    yield found
    await runner.cleanup()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_who_asks_to_be_left_alone_is(chat: Chat) -> None:
    settings = AlertSettings(alert_webhook_url=chat.url, alert_webhook_format="discord")
    clock = Clock()
    too_many = {"message": "You are being rate limited.", "retry_after": 40.5, "global": False}
    chat.answers = [web.json_response(too_many, status=429, headers={"Retry-After": "41"})]
    async with aiohttp.ClientSession() as session:
        receiver = AlertReceiver(session, settings, clock)
        assert (await receiver.post(MESSAGE)).status == 429
        clock.now = 40
        left_alone = await receiver.post(MESSAGE)
        assert (left_alone.taken, left_alone.asked) == (False, False)
        assert len(chat.bodies) == 1
        clock.now = 41
        assert (await receiver.post(MESSAGE)).taken
        assert len(chat.bodies) == 2


Answer = tuple[int, dict[str, Any]]


async def test_an_operator_sees_what_the_receiver_answers(
    start_service: StartService, client: aiohttp.ClientSession, authorization: dict[str, str], chat: Chat
) -> None:
    monitor = await start_service("services.monitor", ALERT_WEBHOOK_URL=chat.url, ALERT_WEBHOOK_FORMAT="discord")

    async def test(headers: dict[str, str] = authorization) -> Answer:
        async with client.post(f"{monitor.url}/api/alerts/test", headers=headers) as response:
            return response.status, await response.json()

    assert (await test({}))[0] == 401
    assert (await test(authorization | {"Origin": "https://evil.example"}))[0] == 403
    chat.bodies.clear()
    status, body = await test()
    assert (status, body["code"]) == (200, "SUCCESS")
    assert body["results"] == {"format": "discord", "taken": True, "status": 204, "answer": ""}
    assert [one["content"] for one in chat.bodies if "test" in one["content"]]
    chat.answers = [web.json_response({"message": "Unknown Webhook", "code": 10015}, status=404)]
    status, body = await test()
    assert (status, body["code"]) == (502, "ALERT_NOT_TAKEN")
    assert body["results"]["status"] == 404
    assert "Unknown Webhook" in body["results"]["answer"]
    assert "s3cret" not in monitor.log_text() + orjson.dumps(body).decode()


async def test_a_receiver_that_is_away_and_none_at_all(
    start_service: StartService, client: aiohttp.ClientSession, authorization: dict[str, str]
) -> None:
    for settings, status, code in (
        ({"ALERT_WEBHOOK_URL": "http://127.0.0.1:9/s3cret"}, 502, "ALERT_NOT_TAKEN"),
        ({}, 409, "NO_ALERT_RECEIVER"),
    ):
        monitor = await start_service("services.monitor", **settings)
        async with client.post(f"{monitor.url}/api/alerts/test", headers=authorization) as response:
            body = await response.json()
            assert (response.status, body["code"]) == (status, code)
            assert "s3cret" not in str(body) + monitor.log_text()
