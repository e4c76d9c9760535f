"""Uploads end in Postgres byte for byte, or nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from services.gateway.shapes import AcceptedCampaign, AcceptedMessage
from shared.database.connection import Database
from standalone.embedded_postgres import EmbeddedPostgres
from tests.integration.accepting import message_row
from tests.integration.gateway.conftest import Client, StartGateway, files_in, refused_fields, results

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256))
PDF = b"%PDF-1.7\n" + bytes(range(256))


def form(
    kind: str, content: Any, part_name: str, content_type: str | None, first: bool = False, **fields: str
) -> aiohttp.FormData:
    """A form with an upload behind its other fields, or before them."""
    data = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
    if first:
        data.add_field(kind, content, filename=part_name, content_type=content_type)
    for name, value in ({"phone": "15550100001"} | fields).items():
        data.add_field(name, value)
    if not first:
        data.add_field(kind, content, filename=part_name, content_type=content_type)
    return data


async def stored_bytes(store: Database, media: UUID) -> bytes:
    rows = await store.fetch("select bytes from media_blocks where media = $1 order by number", media)
    assert all(len(row["bytes"]) <= 256 * 1024 for row in rows)
    return b"".join(row["bytes"] for row in rows)


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fact():  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def nothing_stays(store: Database, uploads: Path) -> AsyncIterator[None]:
    """Afterwards nothing is on disk, in Postgres or on its way."""
    yield
    assert files_in(uploads) == []
    rows = await store.fetch(
        "select id from messages union all select token from campaigns union all select message from due"
        " union all select id from media union all select media from media_blocks"
    )
    assert rows == []


@pytest.mark.parametrize("first", [True, False])
async def test_an_image_reaches_postgres_byte_for_byte(
    client: Client, store: Database, uploads: Path, first: bool
) -> None:
    data = form(
        "image", PNG, "Sommer – Angebot.png", "image/png", first, caption="", view_once="true", compress="false"
    )
    found = await results(await client.post("/api/send/image", data=data), AcceptedMessage, 202)
    row = await message_row(store, UUID(found["message_id"]))
    assert row["content"] == {"caption": "", "view_once": True, "compress": False}
    media = await store.fetchrow("select * from media where id = $1", row["media"])
    assert media is not None
    assert (media["owner"], media["filename"], media["content_type"]) == (
        row["id"],
        "Sommer – Angebot.png",
        "image/png",
    )
    assert (media["size"], media["sha256"]) == (len(PNG), hashlib.sha256(PNG).digest())
    assert await stored_bytes(store, media["id"]) == PNG
    assert files_in(uploads) == []


async def test_a_file_of_a_campaign_is_stored_once(client: Client, store: Database) -> None:
    data = form("file", PDF, "terms.pdf", "application/pdf", phone="15550100001,15550100002", caption="Terms")
    found = await results(await client.post("/api/send/file", data=data), AcceptedCampaign, 202)
    token = UUID(found["campaign_token"])
    [media] = await store.fetch("select id, owner from media")
    assert media["owner"] == token
    campaign = await store.fetchrow("select content, media from campaigns where token = $1", token)
    assert campaign is not None
    assert (campaign["content"], campaign["media"]) == ({"caption": "Terms"}, media["id"])
    assert await store.fetchval("select count(*) from messages where media is not null") == 0


@pytest.mark.parametrize(
    ("content", "filename", "content_type"),
    [(b"name,price\n\xc3\xa4,1\n", "list.csv", "text/csv"), (b"PK\x03\x04" + b"\0" * 40, "a.xlsx", None)],
)
async def test_files_of_other_types(client: Client, content: bytes, filename: str, content_type: str | None) -> None:
    data = form("file", content, filename, content_type)
    await results(await client.post("/api/send/file", data=data), AcceptedMessage, 202)


async def stored_name(client: Client, store: Database, kind: str, data: Any, **options: Any) -> tuple[str, str]:
    """(name, content type) with which an accepted upload is kept."""
    found = await results(await client.post(f"/api/send/{kind}", data=data, **options), AcceptedMessage, 202)
    row = await message_row(store, UUID(found["message_id"]))
    media = await store.fetchrow("select filename, content_type from media where id = $1", row["media"])
    assert media is not None
    return media["filename"], media["content_type"]


def multipart(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """A body byte by byte: headers (without the last line) and content of each part; and its own header."""
    body = b"".join(b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}


PHONE = ('Content-Disposition: form-data; name="phone"', b"15550100001")


@pytest.mark.parametrize(
    "head",
    [
        # Python's requests, node's fetch and aiohttp with bytes, browsers with a wrong type, old Internet Explorers.
        'form-data; name="image"; filename="photo.jpg"',
        'form-data; name="image"; filename="photo.jpg"\r\nContent-Type: application/octet-stream',
        'form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpg',
        'form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/pjpeg; charset=binary',
        'form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/png',
        'form-data; name="image"; filename="photo.jpg"\r\nContent-Type: ',
        'form-data; name="image"; filename="C:\\photos\\photo.jpg"\r\nContent-Type: image/pjpeg',
        'form-data; name="image"; filename="photo.jfif"',
        'form-data; name="image"; filename="photo"',
        'form-data; name="image"; filename="photo.png"',
    ],
)
async def test_an_image_is_known_by_its_bytes(client: Client, store: Database, head: str) -> None:
    body, headers = multipart(PHONE, (f"Content-Disposition: {head}", JPEG))
    assert await stored_name(client, store, "image", body, headers=headers) == ("photo.jpg", "image/jpeg")


async def test_a_file_without_a_name(client: Client, store: Database) -> None:
    octets = "\r\nContent-Type: application/octet-stream"
    body, headers = multipart(PHONE, ('Content-Disposition: form-data; name="image"' + octets, PNG))
    assert await stored_name(client, store, "image", body, headers=headers) == ("image.png", "image/png")
    body, headers = multipart(PHONE, ('Content-Disposition: form-data; name="file"', PDF))
    assert await stored_name(client, store, "file", body, headers=headers) == ("file.pdf", "application/pdf")
    body, headers = multipart(PHONE, ('Content-Disposition: form-data; name="file"' + octets, b"name,price\n"))
    assert await stored_name(client, store, "file", body, headers=headers) == ("file.txt", "text/plain")


@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_path_in_place_of_a_file_is_none(gateway: Client) -> None:
    for kind in ("image", "file"):
        body, headers = multipart(PHONE, (f'Content-Disposition: form-data; name="{kind}"', b"./terms.pdf"))
        response = await gateway.post(f"/api/send/{kind}", data=body, headers=headers)
        assert await refused_fields(response, 400) == [kind]


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ('filename="C:\\Users\\me\\Desktop\\offer.pdf"', "offer.pdf"),
        ('filename="C:\\\\Users\\\\me\\\\offer.pdf"', "offer.pdf"),
        ("filename=\"x.pdf\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
        (
            'filename="Rechnung\u202f12\u3000\u00a0נ\u200fا\u200cب.pdf"',
            "Rechnung\u202f12\u3000\u00a0נ\u200fا\u200cب.pdf",
        ),
        ('filename="Acme Ltd..pdf"', "Acme Ltd..pdf"),
        ('filename="' + "ใ" * 66 + '.pdf"', "ใ" * 66 + ".pdf"),
        ('filename="Offer 2.1"', "Offer 2.1.pdf"),
        ('filename="blob"', "blob.pdf"),
    ],
)
async def test_names_as_clients_send_them(client: Client, store: Database, head: str, name: str) -> None:
    part = (f'Content-Disposition: form-data; name="file"; {head}\r\nContent-Type: application/pdf', PDF)
    body, headers = multipart(PHONE, part)
    assert (await stored_name(client, store, "file", body, headers=headers))[0] == name


@pytest.mark.parametrize("first", [True, False])
async def test_the_field_filename_goes_before_the_names_of_parts(client: Client, store: Database, first: bool) -> None:
    data = form("file", PDF, "blob", "application/octet-stream", first, filename="Angebot – März.pdf", caption="x")
    assert await stored_name(client, store, "file", data) == ("Angebot – März.pdf", "application/pdf")
    [content] = await store.fetch("select content from messages")
    assert content["content"] == {"caption": "x"}
    data = form("file", PDF, "scan.pdf", "application/pdf", first, filename=" ")
    assert (await stored_name(client, store, "file", data))[0] == "scan.pdf"
    data = form("file", PDF, "scan.xyz", "application/pdf", first, filename="Offer")
    assert (await stored_name(client, store, "file", data))[0] == "Offer.pdf"


@pytest.mark.usefixtures("nothing_is_queued")
@pytest.mark.parametrize("filename", ["a.png", "a.exe", "../a.pdf", "a\u202efdp.pdf", "nul.pdf", "x" * 300 + ".pdf"])
async def test_a_filename_that_does_not_do_is_named(gateway: Client, filename: str) -> None:
    data = form("file", PDF, "a.pdf", "application/pdf", filename=filename)
    assert await refused_fields(await gateway.post("/api/send/file", data=data), 400) == ["filename"]
    if filename != "a.png":
        body = {"phone": "15550100001", "file_url": "http://8.8.8.8/a.pdf", "filename": filename}
        assert await refused_fields(await gateway.post("/api/send/file", json=body), 400) == ["filename"]


@pytest.mark.usefixtures("nothing_is_queued")
async def test_an_image_has_no_name_that_anybody_sees(gateway: Client) -> None:
    data = form("image", PNG, "a.png", "image/png", filename="b.png")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["filename"]


@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "with password.xlsx"),
        (b"\xef\xbb\xbf%PDF-1.7\n\x00", "a.pdf"),
        (b"\n\n%PDF-1.7\n\x00", "a.pdf"),
        (b'<?xml version="1.0"?><Invoice/>', "invoice.xml"),
        ("Müller;12\r\n".encode("cp1252"), "list.csv"),
        ("Müller;12\r\n".encode("utf-16"), "list.csv"),
        (b"text \xff", "a.txt"),
        (JPEG, "photo.jfif"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00", "clip.mov"),
    ],
)
async def test_files_that_people_send(client: Client, store: Database, content: bytes, filename: str) -> None:
    data = form("file", content, filename, "application/octet-stream")
    assert (await stored_name(client, store, "file", data))[0] == filename


async def test_an_operator_takes_further_types(start_gateway: StartGateway, store: Database) -> None:
    client = await start_gateway(file_types="apk, stp=model/step")
    data = form("file", b"PK\x03\x04" + bytes(30), "shop.apk", None)
    assert (await stored_name(client, store, "file", data))[0] == "shop.apk"
    data = form("file", b"ISO-10303-21;", "part.stp", None)
    assert await stored_name(client, store, "file", data) == ("part.stp", "model/step")
    data = form("file", b"MZ\x90\x00", "setup.exe", None)
    assert await refused_fields(await client.post("/api/send/file", data=data), 400) == ["file"]


async def test_many_blocks_in_little_memory(client: Client, store: Database) -> None:
    content = b"%PDF-1.7\n" + random.Random(1).randbytes(20_000_000)

    async def slowly() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 64 * 1024):
            yield content[start : start + 64 * 1024]

    tracemalloc.start()
    try:
        data = form("file", slowly(), "large.pdf", "application/pdf")
        found = await results(await client.post("/api/send/file", data=data), AcceptedMessage, 202)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Client and gateway together; the file has 20 MB.
    assert peak < 6_000_000
    row = await message_row(store, UUID(found["message_id"]))
    assert hashlib.sha256(await stored_bytes(store, row["media"])).digest() == hashlib.sha256(content).digest()


@pytest.mark.usefixtures("nothing_is_queued")
@pytest.mark.parametrize(
    ("kind", "content", "filename", "content_type"),
    [
        ("image", b"<html>", "a.png", "image/png"),
        ("image", b"GIF89a", "a.gif", "image/gif"),
        ("image", b"RIFF....WEBPVP8 ", "a.webp", "image/webp"),
        ("image", PNG[:4], "a.png", "image/png"),
        ("image", b"", "a.png", "image/png"),
        ("image", PNG, "../a.png", "image/png"),
        ("image", PNG, "/a.png", "image/png"),
        ("image", PNG, "/etc/a.png", "image/png"),
        ("image", PNG, "a\u202egnp.png", "image/png"),
        ("file", b"MZ\x90\x00", "a.exe", "application/octet-stream"),
        ("file", b"MZ\x90\x00", "a.pdf", "application/pdf"),
        ("file", PDF, "a.docx", "application/octet-stream"),
        ("file", b"<script>", "a.html", "text/html"),
        ("file", b"<!DOCTYPE html><title>Sign in</title>", "a.pdf", "application/pdf"),
        ("file", b"<html><title>Sign in</title>", "a.csv", "text/csv"),
        ("file", PDF, "a.apk", "application/octet-stream"),
        ("file", PDF, "con.pdf", "application/pdf"),
        ("file", b"", "a.pdf", "application/pdf"),
        ("file", b"nul \x00", "a.csv", "text/csv"),
    ],
)
async def test_an_upload_that_is_not_what_it_says(
    gateway: Client, kind: str, content: bytes, filename: str, content_type: str
) -> None:
    data = form(kind, content, filename, content_type)
    assert await refused_fields(await gateway.post(f"/api/send/{kind}", data=data), 400) == [kind]


@pytest.mark.usefixtures("nothing_is_queued")
async def test_uploads_with_other_fields_wrong(gateway: Client) -> None:
    data = form("image", PNG, "a.png", "image/png", first=True, duration="5")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["duration"]
    data = form("image", PNG, "a.png", "image/png", image_url="https://8.8.8.8/a.png")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["image_url"]
    data = form("image", PNG, "a.png", "image/png", phone="abc,12")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["phone", "phone"]
    data = form("image", PNG, "a.png", "image/png")
    data.add_field("image", PNG, filename="b.png", content_type="image/png")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["image"]
    data = form("file", PDF, "a.pdf", "application/pdf")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["file"]
    data = form("message", b"hi", "a.txt", "text/plain")
    assert await refused_fields(await gateway.post("/api/send/message", data=data), 400) == ["message"]


@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_file_field_left_empty_counts_as_not_given(gateway: Client) -> None:
    data = form("image", b"", "", "application/octet-stream")
    assert await refused_fields(await gateway.post("/api/send/image", data=data), 400) == ["image"]


@pytest.mark.usefixtures("nothing_stays")
async def test_an_upload_that_is_too_large(start_gateway: StartGateway) -> None:
    client = await start_gateway(max_image_size=500_000, max_body_size=10_000)
    content = PNG + b"\0" * 600_000
    said = await client.post("/api/send/image", data=form("image", content, "a.png", "image/png"))
    assert await refused_fields(said, 413) == ["image"]
    assert "500000" in (await said.json())["message"]

    async def unsaid() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]

    # Without a Content-Length it shows only while it streams in.
    streamed = await client.post("/api/send/image", data=form("image", unsaid(), "a.png", "image/png"))
    assert await refused_fields(streamed, 413) == ["image"]
    fits = PNG + b"\0" * (500_000 - len(PNG))
    too_much = await client.post("/api/send/image", data=form("image", fits + b"\0", "a.png", "image/png"))
    assert await refused_fields(too_much, 413) == ["image"]


async def test_an_upload_of_just_the_limit(start_gateway: StartGateway, store: Database) -> None:
    client = await start_gateway(max_image_size=500_000)
    content = PNG + b"\0" * (500_000 - len(PNG))
    await results(
        await client.post("/api/send/image", data=form("image", content, "a.png", "image/png")), AcceptedMessage, 202
    )
    assert await store.fetchval("select size from media") == 500_000


@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_that_is_cut_off_midway(client: Client, uploads: Path, chunked: bool) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="phone"\r\n\r\n15550100001\r\n'
    head += b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body = head + PNG + b"\0" * 600_000
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 100_000}"
    lines = [
        "POST /api/send/image HTTP/1.1",
        f"Host: {client.host}:{client.port}",
        f"Authorization: {client.session.headers['Authorization']}",
        "Content-Type: multipart/form-data; boundary=x",
        length,
    ]
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    writer.write(f"{len(body):x}\r\n".encode() + body + b"\r\n" if chunked else body)
    await writer.drain()
    await until(lambda: any(file.stat().st_size for file in files_in(uploads)))
    writer.close()
    await writer.wait_closed()
    await until(lambda: not files_in(uploads))


@pytest.mark.usefixtures("nothing_stays")
async def test_a_body_that_ends_before_its_last_boundary(client: Client) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="phone"\r\n\r\n15550100001\r\n'
    body += b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body += PNG
    response = await client.post(
        "/api/send/image", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert await refused_fields(response, 400) == ["body"]


@pytest.mark.usefixtures("nothing_stays")
async def test_without_room_for_media(start_gateway: StartGateway) -> None:
    client = await start_gateway(media_max_total=len(PNG) - 1)
    data = form("image", PNG, "a.png", "image/png")
    assert await refused_fields(await client.post("/api/send/image", data=data), 507) == ["image"]


async def test_media_together_are_bounded(start_gateway: StartGateway) -> None:
    client = await start_gateway(media_max_total=2 * len(PNG))
    for status in (202, 202, 507):
        response = await client.post("/api/send/image", data=form("image", PNG, "a.png", "image/png"))
        assert response.status == status


async def test_without_postgres_no_file_stays(
    client: Client, store: Database, postgres_server: EmbeddedPostgres, uploads: Path
) -> None:
    postgres_server.kill()
    response = await client.post("/api/send/image", data=form("image", PNG, "a.png", "image/png"))
    assert response.status == 503
    assert files_in(uploads) == []
    postgres_server.start()
    assert await store.fetchval("select count(*) from media") == 0


async def test_a_refused_campaign_takes_its_file_along(
    client: Client, store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: Any) -> None:
        raise RuntimeError("the campaign could not be written")

    monkeypatch.setattr("services.gateway.intake.acceptance.insert_campaign", gone)
    data = form("image", PNG, "a.png", "image/png", phone="15550100001,15550100002")
    assert (await client.post("/api/send/image", data=data)).status == 500
    assert await store.fetchval("select count(*) from media") == 0
