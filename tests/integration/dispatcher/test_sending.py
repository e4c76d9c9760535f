"""What reaches the sender is what was accepted, field for field and byte for byte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.messages import Lane, Status
from tests.integration.accepting import accept_campaign
from tests.integration.dispatcher.stage import Stage, eventually
from tests.pictures import WEBP, png
from tests.servers import ServiceProcess

PNG = png(500, 500)
PDF = b"%PDF-1.4 a list"
LOOPBACK = "127.0.0.1/32"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_of(service: ServiceProcess) -> list[Path]:
    [folder] = service.process.log.parent.glob(f"{service.name}-files")
    return list(folder.iterdir())


async def test_a_text(stage: Stage) -> None:
    content = {
        "message": 'Grüße 👋 "quoted"\nsecond line',
        "reply_message_id": "3EB0ABC",
        "is_forwarded": False,
        "duration": 86400,
        "mentions": ["15550100002", "@everyone"],
    }
    await stage.build()
    message = await stage.send("15550100001", content)
    await stage.dispatcher(TYPING_DELAY_MIN="30ms", TYPING_DELAY_MAX="30ms")
    row = await stage.ended(message)

    start, stop, line = await stage.sender.everything()
    assert [start["kind"], start["fields"]["action"]] == ["chat-presence", "start"]
    assert [stop["kind"], stop["fields"]["action"]] == ["chat-presence", "stop"]
    assert stop["finished_at"] <= line["arrived_at"], "typing must have ended before the message"
    assert line["kind"] == "message"
    assert line["fields"] == {"phone": "15550100001@s.whatsapp.net", **content}
    assert [one["malformed"] for one in (start, stop, line)] == [[], [], []]

    attempt = await stage.store.fetchrow("select * from attempts where message = $1", message)
    assert attempt is not None
    assert (attempt["number"], attempt["verdict"], attempt["http_status"]) == (1, "sent", 200)
    assert attempt["whatsapp_id"] == line["whatsapp_id"]
    assert attempt["endpoint"] == row["endpoint"] == stage.endpoint(line["device"])
    assert (row["attempt"], row["tries_used"], row["reason"]) == (1, 1, None)
    assert await stage.store.fetchval("select count(*) from due") == 0
    await stage.nothing_left()
    assert await stage.rota() == {"a", "b", "c"}


async def test_an_image_of_a_campaign_is_read_once(stage: Stage) -> None:
    content = {
        "caption": "Grüße 👋",
        "view_once": False,
        "compress": True,
        "is_forwarded": True,
        "duration": 604800,
        "reply_message_id": "3EB0ABC",
    }
    media = await stage.store_media(PNG, "Löwe 1.png", "image/png", block=100_000)
    campaign = await accept_campaign(stage.store, 5)
    await stage.store.execute(
        "update campaigns set kind = 'image', media = $2, content = $3 where token = $1", campaign.token, media, content
    )
    await stage.store.execute("update messages set kind = 'image' where campaign = $1", campaign.token)
    await stage.build()
    await stage.enqueue(campaign.messages, Lane.BULK)
    dispatcher = await stage.dispatcher()
    await stage.all_sent(campaign.messages)

    lines = await stage.sender.sends()
    assert sorted(line["phone"] for line in lines) == [f"{15550200000 + n}@s.whatsapp.net" for n in range(5)]
    names = {line["file"]["filename"] for line in lines}
    assert len(names) == 5, "the sender keeps images of all its accounts in one folder, under their names"
    for line in lines:
        assert line["kind"] == "image"
        assert line["fields"] == {"phone": line["phone"], **content}
        assert line["file"].pop("filename").endswith("-Löwe 1.png")
        assert line["file"] == {"field": "image", "content_type": "image/png", "size": len(PNG), "sha256": sha256(PNG)}
        assert line["malformed"] == []
    assert [path.read_bytes() for path in files_of(dispatcher)] == [PNG], "one copy, and nothing half-written"
    await stage.nothing_left()


async def test_a_field_that_was_not_given_is_not_sent(stage: Stage) -> None:
    media = await stage.store_media(png(), "a.png", "image/png")
    await stage.build()
    message = await stage.send(content={}, kind="image", media=media)
    await stage.dispatcher()
    await stage.ended(message)
    [line] = await stage.sender.sends()
    assert line["fields"] == {"phone": "15550100001@s.whatsapp.net"}


async def test_a_file(stage: Stage) -> None:
    document = os.urandom(300_001)
    media = await stage.store_media(document, 'Rechnung "März" 2026.pdf', "application/pdf")
    await stage.build()
    message = await stage.send(content={"caption": "", "is_forwarded": False}, kind="file", media=media)
    await stage.dispatcher()
    await stage.ended(message)
    [line] = await stage.sender.sends()
    assert line["file"]["filename"] == 'Rechnung "März" 2026.pdf'
    assert (line["file"]["content_type"], line["file"]["sha256"]) == ("application/pdf", sha256(document))
    assert line["fields"]["is_forwarded"] is False


async def test_media_that_is_gone_fails_the_message(stage: Stage) -> None:
    media = await stage.store_media(PNG, "a.png", "image/png")
    await stage.store.execute("delete from media_blocks where media = $1", media)
    await stage.build()
    message = await stage.send(content={}, kind="image", media=media)
    dispatcher = await stage.dispatcher()
    row = await stage.ended(message, Status.FAILED)
    assert "the file is gone" in row["reason"]
    assert row["attempt"] == 0
    assert await stage.sender.everything() == []
    assert files_of(dispatcher) == []
    await stage.nothing_left()
    assert await stage.rota() == {"a", "b", "c"}


async def test_a_copy_that_disappears_is_brought_anew(stage: Stage) -> None:
    media = await stage.store_media(PNG, "a.png", "image/png")
    await stage.build("a")
    message = await stage.send(content={}, kind="image", media=media)
    dispatcher = await stage.dispatcher("a", TYPING_DELAY_MIN="700ms", TYPING_DELAY_MAX="700ms")

    async def typing() -> bool:
        return await stage.sender.typing() == ["start"]

    await eventually(typing, "typing")
    [copy] = files_of(dispatcher)
    copy.unlink()
    row = await stage.ended(message)
    assert await stage.attempts(message) == [(1, "a", "not_sent"), (2, "a", "sent")]
    assert row["tries_used"] == 1
    assert (await stage.state("a")).get("failures", "0") == "0"
    assert (await stage.sender.sends())[-1]["file"]["sha256"] == sha256(PNG)


async def test_a_disk_that_is_away_is_waited_for(stage: Stage) -> None:
    media = await stage.store_media(PNG, "a.png", "image/png")
    await stage.build("a")
    dispatcher = await stage.dispatcher("a")
    [folder] = dispatcher.process.log.parent.glob(f"{dispatcher.name}-files")
    folder.rename(folder.with_suffix(".away"))
    message = await stage.send(content={}, kind="image", media=media)

    async def parked() -> bool:
        return bool(await stage.parked())

    await eventually(parked, "parking")
    await stage.at_rest()
    assert (await stage.row(message))["attempt"] == 0
    folder.with_suffix(".away").rename(folder)
    async with stage.promoting():
        await stage.ended(message)


class Site:
    """A web site that a caller's URL points to."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.asked_by_sender: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        is_sender = request.headers["User-Agent"].startswith("Go-http-client")
        (self.asked_by_sender if is_sender else self.asked).append(request.path)
        if request.path.startswith("/missing"):
            raise web.HTTPNotFound
        if request.path.endswith(".webp"):
            return web.Response(body=WEBP, content_type="image/webp")
        if request.path.endswith(".pdf"):
            return web.Response(body=PDF, content_type="application/pdf")
        return web.Response(body=PNG, content_type="image/png")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{tail:.*}", site.answer)
    async with TestServer(app) as server:
        site.url = str(server.make_url("")).rstrip("/")
        yield site


async def test_a_remote_image_is_fetched_once_and_uploaded(stage: Stage, site: Site) -> None:
    content = {"image_url": f"{site.url}/pictures/cat%201.png?signature=x", "caption": "a cat", "view_once": True}
    await stage.build()
    messages = [await stage.send(f"1555010000{number}", content, kind="image") for number in range(4)]
    await stage.dispatcher(REMOTE_MEDIA_ALLOW=LOOPBACK)
    await stage.all_sent(messages)
    assert site.asked == ["/pictures/cat 1.png"]
    for line in await stage.sender.sends():
        assert line["fields"] == {"phone": line["phone"], "caption": "a cat", "view_once": True}
        assert line["file"]["sha256"] == sha256(PNG)
        assert line["file"]["filename"].endswith("-cat 1.png")
        assert line["file"]["content_type"] == "image/png"
        assert line["malformed"] == []


async def test_a_remote_image_that_cannot_be_uploaded_is_handed_on(stage: Stage, site: Site) -> None:
    """The sender takes only JPEG and PNG as uploads; it converts others that it fetches itself."""
    content = {"image_url": f"{site.url}/a.webp"}
    await stage.build()
    message = await stage.send(content=content, kind="image")
    await stage.dispatcher(REMOTE_MEDIA_ALLOW=LOOPBACK)
    await stage.ended(message)
    [line] = await stage.sender.sends()
    assert line["fields"]["image_url"] == content["image_url"]
    assert line["file"] is None


async def test_pass_hands_the_url_on(stage: Stage, site: Site) -> None:
    content: dict[str, Any] = {"file_url": f"{site.url}/a.pdf", "caption": "read it"}
    await stage.build()
    message = await stage.send(content=content, kind="file")
    await stage.dispatcher(REMOTE_MEDIA="pass")
    await stage.ended(message)
    [line] = await stage.sender.sends()
    assert line["fields"] == {"phone": line["phone"], **content}
    assert (site.asked, site.asked_by_sender) == ([], ["/a.pdf"])


@pytest.mark.parametrize(
    ("path", "allow", "reason"),
    [("/missing.png", LOOPBACK, "HTTP 404"), ("/a.png", "", "not a public address")],
)
async def test_a_remote_image_that_cannot_be_had(stage: Stage, site: Site, path: str, allow: str, reason: str) -> None:
    await stage.build()
    message = await stage.send(content={"image_url": site.url + path}, kind="image")
    await stage.dispatcher(REMOTE_MEDIA_ALLOW=allow)
    row = await stage.ended(message, Status.FAILED)
    assert reason in row["reason"]
    assert row["attempt"] == 0
    assert await stage.sender.everything() == [], "nobody may see typing for a message that cannot be sent"
    await stage.nothing_left()


async def test_an_address_that_is_away_is_tried_again_later(stage: Stage) -> None:
    await stage.build()
    message = await stage.send(content={"image_url": "http://nowhere.invalid/a.png"}, kind="image")
    await stage.dispatcher()

    async def parked() -> bool:
        return bool(await stage.parked())

    await eventually(parked, "parking")
    row = await stage.ended(message, Status.QUEUED)
    assert row["attempt"] == 0
    assert await stage.rota() == {"a", "b", "c"}
