"""What leaves for the sender, read back byte for byte by a server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.payload import BytesPayload
from aiohttp.test_utils import TestServer

from services.dispatcher.sending import deadline as deadlines
from services.dispatcher.sending.client import SenderClient
from services.dispatcher.sending.deadline import START_LIMIT, StartDeadline
from services.dispatcher.sending.payloads import Upload, request_for
from shared.clock import boottime
from shared.endpoints.identity import Endpoint
from shared.messages import Kind, Verdict
from shared.settings import EndpointSettings

PHONE = "15550100001@s.whatsapp.net"
SENT = {"code": "SUCCESS", "message": "sent", "results": {"message_id": "3EB0AA"}}


@dataclass
class Received:
    """What the server has of the request it answered last."""

    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: list[tuple[str, str | None, str, bytes]] = field(default_factory=list)
    """(name, file name, content type, bytes)"""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)
    seconds_between_reads: float = 0.0


@pytest.fixture
async def sender() -> AsyncIterator[tuple[Endpoint, Received]]:
    received = Received()

    async def answer(request: web.Request) -> web.Response:
        received.path = request.path
        received.begun.set()
        received.headers = dict(request.headers)
        try:
            if request.content_type == "multipart/form-data":
                async for part in await request.multipart():
                    assert isinstance(part, aiohttp.BodyPartReader)
                    content = bytearray()
                    while chunk := await part.read_chunk(64 * 1024):
                        content += chunk
                        await asyncio.sleep(received.seconds_between_reads)
                    kind = part.headers.get("Content-Type", "")
                    received.parts.append((part.name or "", part.filename, kind, bytes(content)))
            else:
                received.body = await request.read()
        except BaseException:
            received.broken_off.set()
            raise
        return web.json_response(SENT)

    app = web.Application(client_max_size=100_000_000)
    app.router.add_post("/{tail:.*}", answer)
    async with TestServer(app) as server:
        yield Endpoint("one", str(server.make_url("")).rstrip("/"), "sales+1%", "Basic abc"), received


@pytest.fixture
async def client() -> AsyncIterator[SenderClient]:
    async with SenderClient(EndpointSettings(whatsapp_base_url="http://unused")) as client:
        yield client


def now() -> StartDeadline:
    return StartDeadline(boottime())


async def test_json_has_the_fields_as_they_came(sender: tuple[Endpoint, Received], client: SenderClient) -> None:
    endpoint, received = sender
    content = {
        "message": 'Grüße 👋 "quoted"\nsecond line',
        "is_forwarded": False,
        "duration": 86400,
        "reply_message_id": "3EB0/=+",
        "mentions": ["15550100002", "@everyone"],
    }
    start = now()
    request = request_for(Kind.MESSAGE, PHONE, content, None, start)
    answer = await client.send(endpoint, Kind.MESSAGE, request, start)
    assert (answer.verdict, answer.whatsapp_id) == (Verdict.SENT, "3EB0AA")
    assert received.path == "/send/message"
    assert json.loads(received.body) == {"phone": PHONE, **content}
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["Authorization"] == "Basic abc"
    # The sender decodes this header from URL form.
    assert received.headers["X-Device-Id"] == "sales%2B1%25"
    assert "Cookie" not in received.headers


async def test_a_field_that_was_left_out_stays_out() -> None:
    request = request_for(Kind.IMAGE, PHONE, {"image_url": "https://a.example/b.png"}, None, now())
    assert isinstance(request.body, BytesPayload)
    assert json.loads(request.body.decode()) == {"phone": PHONE, "image_url": "https://a.example/b.png"}


@pytest.mark.parametrize("size", [1, 64 * 1024, 3_000_001])
async def test_multipart_arrives_byte_for_byte(
    sender: tuple[Endpoint, Received], client: SenderClient, tmp_path: Path, size: int
) -> None:
    endpoint, received = sender
    path = tmp_path / "stored"
    bytes_of_file = os.urandom(size)
    path.write_bytes(bytes_of_file)
    content = {
        "caption": "Grüße 👋\r\n--boundary?",
        "view_once": False,
        "compress": True,
        "duration": 0,
        "mentions": ["15550100002", "@everyone"],
    }
    upload = Upload(path, 'Löwe "quer" 猫.png', "image/png")
    start = now()
    request = request_for(Kind.IMAGE, PHONE, content, upload, start)
    answer = await client.send(endpoint, Kind.IMAGE, request, start)
    assert answer.verdict is Verdict.SENT
    assert received.path == "/send/image"
    assert "Transfer-Encoding" not in received.headers, "the length is known, and proxies want it"
    *fields, file = received.parts
    assert [(name, text.decode()) for name, _, _, text in fields] == [
        ("phone", PHONE),
        ("caption", "Grüße 👋\r\n--boundary?"),
        ("view_once", "false"),
        ("compress", "true"),
        ("duration", "0"),
        ("mentions", "15550100002"),
        ("mentions", "@everyone"),
    ]
    assert all(filename is None for _, filename, _, _ in fields), "GOWA would take a field with a file name for a file"
    assert file[1].endswith('-Löwe "quer" 猫.png')
    assert (file[0], *file[2:]) == ("image", "image/png", bytes_of_file)


async def test_a_file_name_cannot_add_a_header(
    sender: tuple[Endpoint, Received], client: SenderClient, tmp_path: Path
) -> None:
    endpoint, received = sender
    (tmp_path / "stored").write_bytes(b"x")
    upload = Upload(tmp_path / "stored", 'a\r\nX-Evil: 1\r\n\r\nb\\"c.pdf', "application/pdf")
    start = now()
    await client.send(endpoint, Kind.FILE, request_for(Kind.FILE, PHONE, {}, upload, start), start)
    assert received.parts[-1] == ("file", 'a__X-Evil: 1____b\\"c.pdf', "application/pdf", b"x")


async def test_a_file_is_the_part_that_its_kind_names(
    sender: tuple[Endpoint, Received], client: SenderClient, tmp_path: Path
) -> None:
    endpoint, received = sender
    (tmp_path / "stored").write_bytes(b"%PDF-1.7")
    upload = Upload(tmp_path / "stored", "bill.pdf", "application/pdf")
    start = now()
    await client.send(endpoint, Kind.FILE, request_for(Kind.FILE, PHONE, {}, upload, start), start)
    assert received.path == "/send/file"
    assert received.parts[-1] == ("file", "bill.pdf", "application/pdf", b"%PDF-1.7")


async def test_an_upload_that_starts_too_late_is_not_sent(
    sender: tuple[Endpoint, Received], client: SenderClient, tmp_path: Path
) -> None:
    endpoint, received = sender
    (tmp_path / "stored").write_bytes(b"x" * 1000)
    late = StartDeadline(boottime() - START_LIMIT - 0.1)
    request = request_for(Kind.FILE, PHONE, {}, Upload(tmp_path / "stored", "a.pdf", "application/pdf"), late)
    answer = await client.send(endpoint, Kind.FILE, request, late)
    assert (answer.verdict, answer.too_late) == (Verdict.NOT_SENT, True)
    assert received.path == "", "nothing may have arrived"


async def test_an_upload_that_was_interrupted_stays_incomplete(
    sender: tuple[Endpoint, Received], client: SenderClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a suspend in the middle: the clock has gone on when the next part of the file is asked for."""
    endpoint, received = sender
    # Far more than the buffers of both sides hold, or it could be written whole before the clock goes on.
    (tmp_path / "stored").write_bytes(b"x" * 40_000_000)
    received.seconds_between_reads = 0.02
    start = now()
    request = request_for(Kind.FILE, PHONE, {}, Upload(tmp_path / "stored", "a.pdf", "application/pdf"), start)
    sending = asyncio.create_task(client.send(endpoint, Kind.FILE, request, start))
    await asyncio.wait_for(received.begun.wait(), 10)
    monkeypatch.setattr(deadlines, "boottime", lambda: boottime() + 3600)
    answer = await sending
    assert (answer.verdict, answer.too_late) == (Verdict.NOT_SENT, True)
    await asyncio.wait_for(received.broken_off.wait(), 10)
    assert not received.parts or received.parts[-1][0] != "file", "the file is whole, so the sender would have sent it"


async def test_a_slow_upload_that_goes_on_is_sent(
    sender: tuple[Endpoint, Received], client: SenderClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file takes longer than START_LIMIT to write; it must not be given up and begun anew for ever."""
    endpoint, received = sender
    monkeypatch.setattr(deadlines, "START_LIMIT", 1.5)
    size = 32_000_000
    (tmp_path / "stored").write_bytes(b"x" * size)
    received.seconds_between_reads = 0.01
    start = now()
    request = request_for(Kind.FILE, PHONE, {}, Upload(tmp_path / "stored", "a.pdf", "application/pdf"), start)
    answer = await client.send(endpoint, Kind.FILE, request, start)
    assert boottime() - start.begun_at > 2 * 1.5, "the server was too quick for this test"
    assert answer.verdict is Verdict.SENT
    assert len(received.parts[-1][3]) == size


async def test_a_file_that_is_gone_raises_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        request_for(Kind.FILE, PHONE, {}, Upload(tmp_path / "missing", "a.pdf", "application/pdf"), now())
