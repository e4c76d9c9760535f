"""GOWA fetches URLs itself; what goes wrong there is 500 with Go's words, and nothing is sent."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from simulator.downloads import _LIMITS
from tests.pictures import WEBP, png

from .conftest import JPEG, PHONE, PNG, Gowa, Site, Start, until

FILE = "failed to download file from URL "
IMAGE = "failed to download image from URL "
OPEN = "Failed to open image file 'statics/senditems/{}' for thumbnail generation: "


async def test_what_was_fetched_is_noted(gowa: Gowa, site: Site) -> None:
    url = f"{site.url}/shop/a%20list.pdf?key=x"
    site.pages["/shop/a list.pdf"] = ("application/pdf", b"%PDF-1.7", {})
    assert (await gowa.send("file", phone=PHONE, file_url=url))[0] == 200
    line = await gowa.line()
    assert (line["file"], line["malformed"]) == (None, [])
    assert line["fetched"] == {
        "url": url,
        "content_type": "application/pdf",
        "size": 8,
        "sha256": hashlib.sha256(b"%PDF-1.7").hexdigest(),
    }
    # The name is the last segment as it was written.
    (row,) = await gowa.stored()
    assert (row["content"], row["filename"], row["file_length"]) == ("📄 a%20list.pdf", "a%20list.pdf", 8)
    assert site.agents == {"Go-http-client/1.1"}


FAILURES = [
    ("file", "/404/a.pdf", FILE + "HTTP request failed with status: 404 Not Found"),
    ("image", "/403/a.png", IMAGE + "HTTP request failed with status: 403 Forbidden"),
    ("image", "/503/a.png", IMAGE + "HTTP request failed with status: 503 Service Unavailable"),
    ("image", "/a.pdf", IMAGE + "invalid content type: application/pdf"),
    ("image", "/anim.gif", IMAGE + "unsupported file type: .gif"),
    ("image", "/plain", IMAGE + "unsupported file type: "),
    ("image", "/plain?name=a.png", IMAGE + "unsupported file type: "),
    ("video", "/a.pdf", "failed to download video from URL invalid content type: application/pdf"),
    ("sticker", "/anim.gif", "failed to download sticker from URL unsupported file type: .gif"),
    ("image", "/cut.png", OPEN.format("cut.png") + "unexpected EOF."),
    ("image", "/text.jpg", OPEN.format("text.jpg") + "image: unknown format."),
    ("image", "/empty.jpg", OPEN.format("empty.jpg") + "image: unknown format."),
]


@pytest.mark.parametrize(("kind", "path", "sentence"), FAILURES)
async def test_what_cannot_be_had_or_used_is_500(gowa: Gowa, site: Site, kind: str, path: str, sentence: str) -> None:
    site.pages |= {
        "/plain": ("image/png", PNG, {}),
        "/cut.png": ("image/png", PNG[:-9], {}),
        "/text.jpg": ("image/jpeg", b"not at all a picture", {}),
        "/empty.jpg": ("image/jpeg", b"", {}),
    }
    status, envelope = await gowa.send(kind, phone=PHONE, **{f"{kind}_url": site.url + path})
    assert (status, envelope["code"]) == (500, "INTERNAL_SERVER_ERROR")
    assert envelope["message"].startswith(sentence)
    line = await gowa.line()
    assert (line["taken"], line["fetched"], line["outcome"]) == (False, None, 500)
    assert await gowa.stored() == []
    assert site.asked == [path.partition("?")[0]]


@pytest.mark.parametrize("path", ["/a.png", "/a.PNG?width=3", "/a.webp", "/a.jpg", "/a.jpeg", "/wrong.jpg"])
async def test_pictures_that_go_can_read(gowa: Gowa, site: Site, path: str) -> None:
    site.pages |= {
        "/a.PNG": ("image/png", PNG, {}),
        "/a.webp": ("image/webp", WEBP, {}),
        "/a.jpg": ("image/jpeg", JPEG, {}),
        "/a.jpeg": ("image/jpeg", JPEG + b"trailing", {}),
        # Go looks at the bytes, whatever name and type say.
        "/wrong.jpg": ("image/jpeg", PNG, {}),
    }
    assert (await gowa.send("image", phone=PHONE, image_url=site.url + path))[0] == 200


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/a.png", "dial tcp 127.0.0.1:1: connect: connection refused"),
        ("http://192.0.2.7/a.png", "dial tcp 192.0.2.7:80: connect: connection refused"),
        ("https://example.com/a.png", "dial tcp example.com:443: connect: connection refused"),
        ("http://10.1.2.3:8080/a.png", "dial tcp 10.1.2.3:8080: connect: connection refused"),
        ("http://nowhere.invalid/a.png", "dial tcp: lookup nowhere.invalid: no such host"),
    ],
)
async def test_nothing_beyond_this_machine_is_ever_fetched(gowa: Gowa, site: Site, url: str, reason: str) -> None:
    for given in (url, f"{site.url}/to?{url}"):
        status, envelope = await gowa.send("file", phone=PHONE, file_url=given)
        assert (status, envelope["message"]) == (500, f'{FILE}Get "{url}": {reason}')


async def test_redirects_are_followed_and_the_name_stays_that_of_the_first(gowa: Gowa, site: Site) -> None:
    assert (await gowa.send("file", phone=PHONE, file_url=f"{site.url}/to?%2Fa.pdf"))[0] == 200
    assert site.asked == ["/to", "/a.pdf"]
    assert (await gowa.line())["fetched"]["url"] == f"{site.url}/a.pdf"
    assert [row["content"] for row in await gowa.stored()] == ["📄 to"]


@pytest.mark.parametrize(("hops", "status"), [(9, 200), (10, 500)])
async def test_ten_requests_are_the_most(gowa: Gowa, site: Site, hops: int, status: int) -> None:
    url = f"{site.url}/a.pdf"
    for _ in range(hops):
        url = f"{site.url}/to?{url}"
    answer, envelope = await gowa.send("file", phone=PHONE, file_url=url)
    assert (answer, "too many redirects" in envelope["message"]) == (status, status == 500)
    assert len(site.asked) == 10


async def test_a_server_that_does_not_answer_in_time(start: Start, site: Site) -> None:
    gowa = await start(download_limit=0.05)
    site.hold.clear()
    url = f"{site.url}/a.pdf"
    _, envelope = await gowa.send("file", phone=PHONE, file_url=url)
    reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    assert envelope["message"] == f'{FILE}Get "{url}": {reason}'


async def test_redirects_do_not_lengthen_the_limit(start: Start, site: Site) -> None:
    """Each hop alone is quick enough; together they are not."""
    gowa = await start(download_limit=0.4)
    site.delay = 0.15
    url = f"{site.url}/a.pdf"
    for _ in range(5):
        url = f"{site.url}/to?{url}"
    _, envelope = await gowa.send("file", phone=PHONE, file_url=url)
    assert "Client.Timeout exceeded" in envelope["message"]
    assert "/a.pdf" not in site.asked


@asynccontextmanager
async def saying(answer: bytes, *, closes: bool) -> AsyncIterator[str]:
    """A server that says these bytes to everybody."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if not closes:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "closes", "reason"),
    [
        (HEAD % 100 + PNG, True, "unexpected EOF"),
        (
            HEAD % 500 + PNG,
            False,
            "context deadline exceeded (Client.Timeout or context cancellation while reading body)",
        ),
        (b"", True, 'Get "{url}": EOF'),
        (HEAD % 20_000_001, False, "image size 20000001 exceeds maximum allowed size 20000000"),
    ],
)
async def test_answers_that_break_off_or_are_too_large(start: Start, answer: bytes, closes: bool, reason: str) -> None:
    gowa = await start(download_limit=0.3)
    async with saying(answer, closes=closes) as server:
        url = f"{server}/a.png"
        _, envelope = await gowa.send("image", phone=PHONE, image_url=url)
    assert envelope["message"] == IMAGE + reason.replace("{url}", url)


async def test_a_packed_answer_is_unpacked(gowa: Gowa, site: Site) -> None:
    site.pages["/a.png"] = ("image/png", gzip.compress(PNG), {"Content-Encoding": "gzip"})
    assert (await gowa.send("image", phone=PHONE, image_url=f"{site.url}/a.png"))[0] == 200
    assert (await gowa.line())["fetched"]["sha256"] == hashlib.sha256(PNG).hexdigest()


async def test_a_picture_longer_than_the_limit_is_cut_and_then_no_picture(
    gowa: Gowa, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_LIMITS, "image", 1000)  # type: ignore[index]
    site.pages["/a.png"] = ("image/png", gzip.compress(png(40, 40)), {"Content-Encoding": "gzip"})
    _, envelope = await gowa.send("image", phone=PHONE, image_url=f"{site.url}/a.png")
    assert "not enough pixel data" in envelope["message"]


async def test_nothing_is_fetched_for_a_message_that_is_refused_before(gowa: Gowa, site: Site) -> None:
    await gowa.client.put("/simulator/numbers", json={"not_on_whatsapp": [PHONE.partition("@")[0]]})
    assert (await gowa.send("file", phone=PHONE, file_url=f"{site.url}/a.pdf"))[0] == 400
    await gowa.mood("offline")
    assert (await gowa.send("file", phone=PHONE, file_url=f"{site.url}/a.pdf"))[0] == 401
    assert site.asked == []


async def test_a_download_outlives_its_client(gowa: Gowa, site: Site) -> None:
    site.hold.clear()
    leaving = asyncio.create_task(gowa.send("file", phone=PHONE, file_url=f"{site.url}/a.pdf"))

    async def is_asked() -> bool:
        return bool(site.asked)

    await until(is_asked)
    leaving.cancel()
    site.hold.set()
    assert [row["content"] for row in await until(gowa.stored)] == ["📄 a.pdf"]


async def test_when_nothing_is_fetched_the_ending_still_counts(start: Start) -> None:
    gowa = await start(fetch_urls=False)
    assert (await gowa.send("image", phone=PHONE, image_url="https://example.com/a.jpg"))[0] == 200
    status, envelope = await gowa.send("image", phone=PHONE, image_url="https://example.com/a.gif")
    assert (status, envelope["message"]) == (500, IMAGE + "unsupported file type: .gif")
    assert (await gowa.send("file", phone=PHONE, file_url="https://example.com/anything"))[0] == 200
