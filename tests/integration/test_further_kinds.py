"""A kind of message that is put into the table alone goes through all four services, and through a rollout."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.integration.further_kinds import make_version_with_further_kinds
from tests.servers import Database, ServiceProcess, StartService
from tests.stories.conftest import QUICK, Paceline, until

SERVICES = ("gateway", "monitor", "scheduler", "dispatcher")
FILM = b"\0\0\0\x18ftypmp42" + bytes(2000)
JAKARTA = {"latitude": "-6.2", "longitude": "106.8"}


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    return make_version_with_further_kinds(tmp_path / "newer")


@pytest.fixture
async def simulator(start_service: StartService, service_environment: dict[str, str]) -> ServiceProcess:
    """One account, whose every message has to be looked up."""
    simulator = await start_service(
        "simulator",
        arguments=(
            *("--listen", "127.0.0.1:{port}", "--devices", "one"),
            *("--basic-auth", "user:password", "--latency", "20ms"),
        ),
        ready_path="/health",
    )
    service_environment.update(QUICK | {"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "50"})
    service_environment["WHATSAPP_ENDPOINTS"] = simulator.url
    service_environment["WHATSAPP_DEVICE_IDS"] = "one"
    return simulator


@pytest.fixture
async def session(service_environment: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    login = service_environment["DASHBOARD_USERNAME"], service_environment["DASHBOARD_PASSWORD"]
    async with aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth(*login)}) as session:
        yield session


@pytest.fixture
async def whole(
    newer: Path, start_service: StartService, simulator: ServiceProcess, session: aiohttp.ClientSession
) -> Paceline:
    """All four services know the further kinds."""
    gateway, monitor, scheduler, dispatcher = await asyncio.gather(
        *(start_service(f"services.{service}", root=newer) for service in SERVICES)
    )
    return Paceline(start_service, session, simulator, gateway, monitor, scheduler, ["one"], [dispatcher])


def film(**fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData(fields)
    form.add_field("video", FILM, filename="at the sea.mp4", content_type="video/mp4")
    return form


async def answers_are(whole: Paceline, mood: str) -> None:
    await whole.simulate("PUT", "mood", json={"mood": mood, "count": 1})


async def send(whole: Paceline, kind: str, **body: Any) -> str:
    accepted = await whole.call("POST", f"/api/send/{kind}", 202, **body)
    return str(accepted["message_id"])


def location(phone: str, **fields: str) -> dict[str, Any]:
    return {"json": {"phone": phone, **JAKARTA, **fields}}


async def test_a_location_whose_answer_is_lost_is_found(whole: Paceline) -> None:
    await answers_are(whole, "cut-after")
    message = await whole.message_in(await send(whole, "location", **location("15550100001")), "sent", "unknown")
    assert (message["status"], message["type"], message["on_unknown"]) == ("sent", "location", "hold")
    assert [attempt["reason"] for attempt in message["attempts"]] == ["found in the account's chat storage"]
    (arrived,) = await whole.sends()
    assert (arrived["kind"], arrived["fields"]) == ("location", {"phone": "15550100001@s.whatsapp.net", **JAKARTA})
    await whole.judge()


async def test_one_that_was_not_sent_is_sent_again_and_once(whole: Paceline) -> None:
    await answers_are(whole, "cut-before")
    identity = await send(whole, "location", **location("15550100001", on_unknown="resend"))
    message = await whole.message_in(identity, "sent", "unknown")
    assert [attempt["verdict"] for attempt in message["attempts"]] == ["unknown", "sent"]
    assert [arrived["taken"] for arrived in await whole.sends()] == [False, True]
    await whole.judge()


async def test_a_video_is_uploaded_looked_up_and_shown(whole: Paceline) -> None:
    await whole.call("POST", "/api/stop", json={"reason": "so that the campaign stays open"})
    accepted = await whole.call(
        "POST", "/api/send/video", 202, data=film(phone="15550100001,15550100002", caption="the sea")
    )

    async def is_shown() -> bool:
        shown = await whole.call("GET", "/api/statistics")
        return [campaign["type"] for campaign in shown["campaigns"]["open"]] == ["video"]

    await until(is_shown, "the monitor shows the campaign")
    await answers_are(whole, "cut-after")
    await whole.call("POST", "/api/start", json={})
    campaign = await whole.campaign_in(accepted["campaign_token"], "finished")
    assert (campaign["type"], campaign["counts"]["sent"]) == ("video", 2)
    sends = await whole.sends()
    assert {(arrived["kind"], arrived["file"]["content_type"]) for arrived in sends} == {("video", "video/mp4")}
    assert all(arrived["file"]["filename"].endswith("-at the sea.mp4") for arrived in sends)
    assert len(sends) == 2

    async def is_counted() -> bool:
        shown = await whole.call("GET", "/api/statistics")
        return bool(shown["worker"]["messages_processed"] == 2)

    await until(is_counted, "the monitor counts both attempts")
    async with whole.session.get(whole.dispatchers[0].url + "/metrics") as response:
        assert 'paceline_answer_seconds_count{kind="video",verdict="unknown"} 1.0' in await response.text()
    await whole.judge()


WRONG: list[tuple[dict[str, str | bytes], str]] = [
    ({"phone": "15550100001", "video": b"a text"}, "video"),
    ({"phone": "15550100001"}, "video"),
    ({"phone": "15550100001", "video_url": "ftp://example.org/a.mp4"}, "video_url"),
    ({"phone": "15550100001", "video_url": "https://example.org/a.mp4", "view_once": "perhaps"}, "view_once"),
    ({"phone": "15550100001", "video": FILM, "video_url": "https://example.org/a.mp4"}, "video_url"),
]


async def test_what_is_wrong_with_a_video_is_named(
    newer: Path, start_service: StartService, simulator: ServiceProcess, session: aiohttp.ClientSession
) -> None:
    gateway = await start_service("services.gateway", root=newer, MAX_VIDEO_SIZE="3000")
    cases = [*WRONG, ({"phone": "15550100001", "video": FILM * 2}, "video")]
    for fields, wrong in cases:
        form = aiohttp.FormData()
        for name, value in fields.items():
            form.add_field(name, value, filename="a.mp4" if isinstance(value, bytes) else None)
        async with session.post(gateway.url + "/api/send/video", data=form) as response:
            body = await response.json()
        assert response.status == (413 if fields is cases[-1][0] else 400), body
        assert {error["field"] for error in body["results"]["errors"]} == {wrong}, fields


async def test_a_rollout_with_those_that_do_not_know_it(
    newer: Path,
    start_service: StartService,
    simulator: ServiceProcess,
    session: aiohttp.ClientSession,
    database: Database,
) -> None:
    """A scheduler and then a dispatcher of before: what they do not know they leave, everything else goes on."""
    gateway, monitor, dispatcher, old_scheduler = await asyncio.gather(
        start_service("services.gateway", root=newer),
        start_service("services.monitor"),
        start_service("services.dispatcher", root=newer),
        start_service("services.scheduler"),
    )
    whole = Paceline(start_service, session, simulator, gateway, monitor, old_scheduler, ["one"], [dispatcher])
    postgres = await asyncpg.connect(database.dsn)
    try:
        await answers_are(whole, "cut-after")
        held = await send(whole, "location", **location("15550100001", on_unknown="resend"))
        left = await send(whole, "location", **location("15550100002"))
        await whole.message_in(left, "sent")
        await answers_are(whole, "cut-after")
        lost = await send(whole, "location", **location("15550100003", on_unknown="resend"))

        async def both_are_met() -> bool:
            return old_scheduler.log_text().count("this version does not know its kind") >= 2

        await until(both_are_met, "the old scheduler has looked at both")
        await answers_are(whole, "cut-after")
        text = await send(whole, "message", json={"phone": "15550100004", "message": "hello"})
        message = await whole.message_in(text, "sent", "unknown")
        assert message["attempts"][0]["reason"] == "found in the account's chat storage"
        # As after its UNKNOWN_CHECK_LIMIT: it has nothing sent again.
        await postgres.execute(
            "update due set due_at = now(), first_check_at = now() - interval '1 hour' where message = $1", held
        )
        assert (await whole.message_in(held, "unknown", "sent", "retrying"))["status"] == "unknown"
        assert (await whole.message(lost))["status"] == "sending"

        await old_scheduler.stop()
        await start_service("services.scheduler", root=newer)
        await postgres.execute("update due set due_at = now()")
        message = await whole.message_in(lost, "sent", "unknown")
        assert message["attempts"][0]["reason"] == "found in the account's chat storage"

        await dispatcher.stop()
        old_dispatcher = await whole.add_dispatcher()
        waiting = await send(whole, "location", **location("15550100005"))
        text = await send(whole, "message", json={"phone": "15550100006", "message": "hello"})
        await whole.message_in(text, "sent")
        assert (await whole.message(waiting))["status"] == "queued"
        await old_dispatcher.stop()
        await start_service("services.dispatcher", root=newer)
        # Otherwise it would be missed from Redis after a minute.
        await postgres.execute("update due set enqueued_at = null")
        await whole.message_in(waiting, "sent")
    finally:
        await postgres.close()
    assert sorted(arrived["phone"][:11] for arrived in await whole.sends()) == [
        f"1555010000{number}" for number in range(1, 7)
    ]
    await whole.judge()
