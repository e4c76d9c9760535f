"""What is behind an address reaches the recipient whole and as what it is, or not at all; and it holds up nobody else."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
import resource
from collections.abc import AsyncIterator

import pytest

from shared.messages import Status
from tests.integration.dispatcher.remote_site import RESET, Answer, RemoteSite, answer, chunked, remote_site
from tests.integration.dispatcher.stage import Stage, eventually
from tests.integration.dispatcher.test_sending import LOOPBACK, files_of, sha256
from tests.pictures import jpeg, png

PNG = png(100, 100)
JPEG = jpeg()
PDF = b"%PDF-1.7\n" + random.Random(1).randbytes(20_000)
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + random.Random(1).randbytes(100)
GIF = b"GIF89a" + random.Random(1).randbytes(100)
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
CSV = "Müller;12,50\r\n".encode("cp1252")
OCTETS = "application/octet-stream"


@pytest.fixture
async def site() -> AsyncIterator[RemoteSite]:
    async with remote_site() as site:
        yield site


@pytest.mark.parametrize(
    ("kind", "path", "said", "name", "content_type", "content"),
    [
        (
            "file",
            "/a.pdf",
            answer(gzip.compress(PDF), "application/pdf", Content_Encoding="gzip"),
            "a.pdf",
            "application/pdf",
            PDF,
        ),
        ("file", "/a.pdf", chunked(PDF, whole=True), "a.pdf", "application/pdf", PDF),
        ("file", "/a.pdf", answer(PDF, "text/html"), "a.pdf", "application/pdf", PDF),
        ("file", "/download", answer(PDF, OCTETS), "download.pdf", "application/pdf", PDF),
        ("file", "/dl?id=5", answer(PDF, announced=-1), "dl.pdf", "application/pdf", PDF),
        ("file", "/", answer(PDF), "file.pdf", "application/pdf", PDF),
        ("file", "/invoice.php", answer(PDF), "invoice.pdf", "application/pdf", PDF),
        ("file", "/with%20space%20%C3%BC.pdf", answer(PDF), "with space ü.pdf", "application/pdf", PDF),
        ("file", "/list", answer(CSV, "text/csv"), "list.csv", "text/csv", CSV),
        (
            "file",
            "/export",
            answer(PDF, Content_Disposition="attachment; filename=x; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%E2%82%AC.pdf"),
            "Grüße €.pdf",
            "application/pdf",
            PDF,
        ),
        (
            "file",
            "/export",
            answer(PDF, Content_Disposition='attachment; filename="Angebot für Sie.pdf"'),
            "Angebot für Sie.pdf",
            "application/pdf",
            PDF,
        ),
        (
            "file",
            "/export",
            answer(PDF, Content_Disposition='attachment; filename="caf\udce9.pdf"'),
            "café.pdf",
            "application/pdf",
            PDF,
        ),
        ("file", "/export", answer(PDF, Content_Disposition="inline"), "export.pdf", "application/pdf", PDF),
        (
            "file",
            "/export",
            answer(PDF, Content_Disposition='attachment; filename="../../x\u202efdp.pdf"'),
            "xfdp.pdf",
            "application/pdf",
            PDF,
        ),
        ("image", "/a.png", answer(PNG, OCTETS), "a.png", "image/png", PNG),
        ("image", "/bucket/5f2c", answer(JPEG, "binary/octet-stream"), "5f2c.jpg", "image/jpeg", JPEG),
        ("image", "/thumb.php?w=5", answer(JPEG, "text/html"), "thumb.jpg", "image/jpeg", JPEG),
        ("image", "/a.png", answer(JPEG), "a.jpg", "image/jpeg", JPEG),
        ("image", "/a.webp", answer(PNG, "image/webp"), "a.png", "image/png", PNG),
        ("image", "/", answer(PNG), "image.png", "image/png", PNG),
    ],
)
async def test_it_arrives_whole_and_under_its_name(
    stage: Stage, site: RemoteSite, kind: str, path: str, said: Answer, name: str, content_type: str, content: bytes
) -> None:
    await stage.build("a")
    message = await stage.send(content={f"{kind}_url": site.says(path, said), "caption": "x"}, kind=kind)
    await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK)
    await stage.ended(message)
    [line] = await stage.sender.sends()
    shown = line["file"]["filename"].partition("-")[2] if kind == "image" else line["file"]["filename"]
    assert (shown, line["file"]["content_type"]) == (name, content_type)
    assert line["file"]["sha256"] == sha256(content)
    assert line["fields"] == {"phone": line["phone"], "caption": "x"}


async def test_names_behind_redirects(stage: Stage, site: RemoteSite) -> None:
    for path, target in (
        ("/dl?id=5", "/doc.pdf"),
        ("/terms.pdf", "/5f2c9a"),
        ("/old.pdf", "/new.pdf"),
        ("/get", "/it"),
    ):
        site.says(path, answer(b"", status="302 Found", Location=target))
        site.says(target, answer(PDF, OCTETS))
    await stage.build("a")
    messages = [
        await stage.send(f"1555010000{number}", {"file_url": site.url + path}, kind="file")
        for number, path in enumerate(("/dl?id=5", "/terms.pdf", "/old.pdf", "/get"))
    ]
    await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK)
    await stage.all_sent(messages)
    sent = {line["phone"][10]: line["file"]["filename"] for line in await stage.sender.sends()}
    assert sent == {"0": "doc.pdf", "1": "terms.pdf", "2": "new.pdf", "3": "it.pdf"}


async def test_a_name_that_nothing_else_tells_is_noted_before_the_send(stage: Stage, site: RemoteSite) -> None:
    """A dispatcher may die with the answer; without a caption the sender files a document under its name alone."""
    url = site.says("/dl?id=5", answer(b"", status="302 Found", Location="/doc.pdf"))
    site.says("/doc.pdf", answer(PDF, OCTETS))
    media = await stage.store_media(PDF, "terms.pdf", "application/pdf")
    await stage.build("a")
    others = [
        await stage.send("15550100001", {"file_url": url, "caption": "x"}, kind="file"),
        await stage.send("15550100002", {"image_url": site.says("/a.png", answer(PNG))}, kind="image"),
        await stage.send("15550100003", {}, kind="file", media=media),
    ]
    await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK)
    await stage.all_sent(others)
    noted = "select url_sha256, name from sent_names"
    assert await stage.store.fetch(noted) == [], "these are found by other means"
    await stage.sender.mood("hang", "a")
    await stage.send("15550100004", {"file_url": url, "caption": " "}, kind="file")
    await stage.sender.arrived(4)
    rows = await stage.store.fetch(noted)
    assert [(row["url_sha256"], row["name"]) for row in rows] == [(hashlib.sha256(url.encode()).digest(), "doc.pdf")]


async def test_the_callers_name_goes_first(stage: Stage, site: RemoteSite) -> None:
    url = site.says("/x.pdf", answer(PDF, Content_Disposition='attachment; filename="y.pdf"'))
    await stage.build("a")
    messages = [
        await stage.send("15550100001", {"file_url": url, "filename": "Angebot – März.pdf"}, kind="file"),
        await stage.send("15550100002", {"file_url": url, "filename": "Offer 2.1"}, kind="file"),
        await stage.send("15550100003", {"file_url": url}, kind="file"),
    ]
    await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK)
    await stage.all_sent(messages)
    lines = await stage.sender.sends()
    assert {line["phone"][:11]: line["file"]["filename"] for line in lines} == {
        "15550100001": "Angebot – März.pdf",
        "15550100002": "Offer 2.1.pdf",
        "15550100003": "y.pdf",
    }
    assert [line["fields"] for line in lines] == [{"phone": line["phone"]} for line in lines]


@pytest.mark.parametrize(
    ("kind", "path", "said", "reason"),
    [
        ("file", "/page.pdf", answer(PAGE, "application/pdf"), "it is an HTML page, not application/pdf"),
        ("file", "/page.pdf", answer(PAGE, "text/html; charset=utf-8"), "it is an HTML page"),
        ("file", "/page", answer(gzip.compress(PAGE), "text/html", Content_Encoding="gzip"), "it is an HTML page"),
        ("file", "/list.csv", answer(PAGE, "text/csv"), "it is an HTML page"),
        ("file", "/a.pdf", answer(b"", "application/pdf"), "it is empty"),
        ("file", "/a.pdf", answer(PNG, "application/pdf"), "it is a PNG image, not application/pdf"),
        ("file", "/a.pdf", answer(PDF, Content_Encoding="br"), "packed as 'br'"),
        ("file", "/setup.exe", answer(b"MZ\x90\x00" + PDF, OCTETS), "its name must end in"),
        ("file", "/app.apk", answer(b"PK\x03\x04" + PDF, OCTETS), "its name must end in"),
        ("file", "/a.pdf", answer(PDF, announced=60_000_000), "larger than 50000000 bytes"),
        ("file", "/a.pdf", answer(PDF, status="401 Unauthorized"), "HTTP 401"),
        ("image", "/a.png", answer(PAGE, "text/html"), "it is an HTML page; a JPEG, PNG or WebP image is wanted"),
        ("image", "/a.png", answer(PAGE, "image/png"), "it is an HTML page"),
        ("image", "/a.png", answer(b"", "image/png"), "it is empty"),
        ("image", "/anim.gif", answer(GIF, "image/gif"), "it is a GIF image"),
        ("image", "/anim.png", answer(GIF, "image/gif"), "it is a GIF image"),
        ("image", "/a.webp", answer(WEBP, OCTETS), "comes as 'application/octet-stream'"),
        ("image", "/picture", answer(WEBP, "image/webp"), "whose address has to end in one of .jpg"),
        ("image", "/a.pdf", answer(PDF, "image/png"), "it is a PDF document"),
    ],
)
async def test_junk_reaches_nobody(
    stage: Stage, site: RemoteSite, kind: str, path: str, said: Answer, reason: str
) -> None:
    await stage.build("a")
    message = await stage.send(content={f"{kind}_url": site.says(path, said)}, kind=kind)
    dispatcher = await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK)
    row = await stage.ended(message, Status.FAILED)
    assert reason in row["reason"]
    assert row["attempt"] == 0
    assert await stage.sender.everything() == []
    assert files_of(dispatcher) == []
    await stage.nothing_left()


async def test_a_campaign_with_junk_asks_for_it_once(stage: Stage, site: RemoteSite) -> None:
    url = site.says("/page.pdf", answer(PAGE))
    await stage.build()
    messages = [await stage.send(f"1555010{number:04}", {"file_url": url}, kind="file") for number in range(30)]
    await stage.dispatcher(REMOTE_MEDIA_ALLOW=LOOPBACK)
    for message in messages:
        await stage.ended_row(message, Status.FAILED)
    assert site.asked == ["/page.pdf"]
    await stage.nothing_left()


async def test_what_passes_is_tried_again(stage: Stage, site: RemoteSite) -> None:
    passing = {
        "/cut.pdf": answer(PDF[:9000], announced=len(PDF)),
        "/chunk.pdf": chunked(PDF[:9000], whole=False),
        "/unpacked.pdf": answer(gzip.compress(PDF)[:9000], Content_Encoding="gzip"),
        "/reset.pdf": RESET,
        "/busy.pdf": answer(PAGE, status="503 Service Unavailable"),
        "/many.pdf": answer(b"", status="429 Too Many Requests"),
    }
    await stage.build()
    messages = []
    for number, (path, said) in enumerate(passing.items()):
        content = {"file_url": site.says(path, [said, answer(PDF)])}
        messages.append(await stage.send(f"1555010000{number}", content, kind="file"))
    await stage.dispatcher(REMOTE_MEDIA_ALLOW=LOOPBACK)
    async with stage.promoting():
        await stage.all_sent(messages)
    assert {line["file"]["sha256"] for line in await stage.sender.sends()} == {sha256(PDF)}
    assert sorted(site.asked) == sorted([*passing, *passing])
    rows = [await stage.row(message) for message in messages]
    assert {(row["attempt"], row["tries_used"]) for row in rows} == {(1, 1)}, "waiting is no try"


async def test_what_does_not_pass_in_time_fails(stage: Stage, site: RemoteSite) -> None:
    await stage.build("a")
    message = await stage.send(content={"file_url": site.says("/a.pdf", RESET)}, kind="file")
    await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK, REMOTE_MEDIA_RETRY_LIMIT="0")
    row = await stage.ended(message, Status.FAILED)
    assert "could not be fetched" in row["reason"]
    assert row["attempt"] == 0


async def test_a_slow_address_holds_up_nobody_else(stage: Stage, site: RemoteSite) -> None:
    """One account has one slot: a message that waited for its file in it would let nobody else pass."""
    released = asyncio.Event()
    slow = [site.says(f"/slow{number}.pdf", Answer(answer(PDF).raw, released)) for number in range(3)]
    await stage.build("a")
    await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK)
    waiting = [
        await stage.send(f"1555010000{number}", {"file_url": url}, kind="file") for number, url in enumerate(slow)
    ]
    async with stage.promoting():
        await eventually(lambda: _true(len(site.asked) == 3), "asking for all three")
        quick = await stage.send("15550100005", {"file_url": site.says("/quick.pdf", answer(PDF))}, kind="file")
        text = await stage.send("15550100006")
        await stage.ended_row(text)
        await stage.ended_row(quick)
        assert [line["phone"][10] for line in await stage.sender.sends()] in (["5", "6"], ["6", "5"])
        released.set()
        await stage.all_sent(waiting)
    assert len(site.asked) == 4, "each is fetched once, however often its message looked"


async def _true(fact: bool) -> bool:
    return fact


async def test_a_full_disk_is_waited_for(stage: Stage, site: RemoteSite) -> None:
    """As on a full disk every write of the dispatcher fails; nobody's message may pay for it, however long that takes."""
    media = await stage.store_media(PNG, "a.png", "image/png")
    await stage.build("a")
    dispatcher = await stage.dispatcher("a", REMOTE_MEDIA_ALLOW=LOOPBACK, REMOTE_MEDIA_RETRY_LIMIT="0")
    pid = dispatcher.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    # Its log is shorter than that, the files are longer.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (12_000, hard))
    messages = [
        await stage.send("15550100001", {"file_url": site.says("/a.pdf", answer(PDF))}, kind="file"),
        await stage.send("15550100002", {"image_url": site.says("/a.png", answer(PNG))}, kind="image"),
        await stage.send("15550100003", {}, kind="image", media=media),
    ]

    async def all_parked() -> bool:
        assert {(await stage.row(message))["status"] for message in messages} == {"queued"}
        return await stage.parked() == 3

    await eventually(all_parked, "parking")
    await stage.at_rest()
    assert {(await stage.row(message))["status"] for message in messages} == {"queued"}
    assert files_of(dispatcher) == [], "nothing half-written"
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
    async with stage.promoting():
        await stage.all_sent(messages)
    assert sorted(line["file"]["sha256"] for line in await stage.sender.sends()) == sorted(map(sha256, (PDF, PNG, PNG)))
