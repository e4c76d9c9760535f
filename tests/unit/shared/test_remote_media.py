"""Fetching what a caller's URL points to, without being led into our own network."""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.outbound.address_guard import AddressGuard, new_fetching_session
from shared.outbound.remote_media import Fetched, NoPlace, RemoteMediaError, fetch
from tests.unit.shared.conftest import Answers

PICTURE = random.Random(1).randbytes(200_000)
PUBLIC = "93.184.216.34"


Fetch = Callable[..., Awaitable[Fetched]]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A web site on 127.0.0.1, how often it was asked, and what it answers for some paths."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.answers: dict[str, Answer] = {}

    def says(self, path: str, body: bytes, **headers: str) -> None:
        """Answers with these bytes and headers, whatever they say about each other."""

        async def answer(request: web.Request) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            response = web.StreamResponse(
                headers={"Content-Type": "image/png", "Content-Length": str(len(body))} | named
            )
            await response.prepare(request)
            await response.write(body)
            return response

        self.answers[path] = answer

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        assert "Authorization" not in request.headers
        if request.path in self.answers:
            return await self.answers[request.path](request)
        match request.path.strip("/").split("/"):
            case ["status", number]:
                return web.Response(status=int(number))
            case ["to", *_]:
                return web.Response(status=302, headers={"Location": request.query["url"]})
            case ["again"]:
                return web.Response(status=307, headers={"Location": "/again"})
            case ["endless"]:
                response = web.StreamResponse(headers={"Content-Type": "image/png"})
                await response.prepare(request)
                try:
                    while True:
                        await response.write(bytes(64 * 1024))
                except ConnectionError:
                    return response
            case ["drip"]:
                response = web.StreamResponse(headers={"Content-Type": "image/png"})
                await response.prepare(request)
                try:
                    while True:
                        await response.write(b"x")
                        await asyncio.sleep(0.01)
                except ConnectionError:
                    return response
            case ["cut", "chunked"]:
                response = web.StreamResponse()
                response.enable_chunked_encoding()
                await response.prepare(request)
                await response.write(b"half")
                assert request.transport is not None
                request.transport.abort()
                return response
            case ["reset"]:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case ["cut"]:
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"half")
                assert request.transport is not None
                request.transport.abort()
                return response
        return web.Response(body=PICTURE, content_type="image/png")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{tail:.*}", site.answer)
    async with TestServer(app, host="0.0.0.0") as server:
        assert server.port is not None
        site.port = server.port
        yield site


@pytest.fixture
async def fetched(tmp_path: Path) -> AsyncIterator[Fetch]:
    """`await fetched(url)` into `tmp_path / "file"`; 127.0.0.1 is allowed, nothing else of ours."""
    sessions: list[aiohttp.ClientSession] = []

    async def get(
        url: str,
        allowed: tuple[str, ...] = ("127.0.0.1/32",),
        most_bytes: int = 1_000_000,
        seconds: float = 60.0,
        target: Path = tmp_path / "file",
    ) -> Fetched:
        guard = AddressGuard(allowed)
        sessions.append(new_fetching_session(guard))
        return await fetch(sessions[-1], guard, url, target, most_bytes, seconds)

    yield get
    for session in sessions:
        await session.close()


async def test_a_file_arrives_byte_for_byte(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    got = await fetched(site.url("/pictures/Gr%C3%BC%C3%9Fe%201.png?signature=x"))
    assert (got.declared, got.name, got.address_names) == ("image/png", "", ("Grüße 1.png",))
    assert (tmp_path / "file").read_bytes() == PICTURE
    assert (got.facts.size, got.facts.head) == (len(PICTURE), PICTURE[:1024])


async def test_a_name_is_no_path(site: Site, fetched: Fetch) -> None:
    assert (await fetched(site.url("/a/..%2F..%5Cetc%2Fpasswd"))).address_names == ("passwd",)
    site.says("/named", PICTURE, Content_Disposition='attachment; filename="../../etc/pass\u202ewd"')
    assert (await fetched(site.url("/named"))).name == "passwd"


async def test_a_redirect_is_followed(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    assert (await fetched(site.url("/to?url=/a.png"))).address_names == ("a.png", "to")
    assert (tmp_path / "file").read_bytes() == PICTURE
    assert site.asked == ["/to", "/a.png"]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/a.png",
        "http://[::ffff:127.0.0.2]:{port}/a.png",
        "http://2130706434:{port}/a.png",
        "//127.0.0.2:{port}/a.png",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "http://user:password@127.0.0.1:{port}/a.png",
    ],
)
async def test_a_redirect_into_our_network_is_not(site: Site, fetched: Fetch, tmp_path: Path, target: str) -> None:
    with pytest.raises(RemoteMediaError) as raised:
        await fetched(site.url(f"/to?url={target.format(port=site.port)}"))
    assert raised.value.permanent
    assert site.asked == ["/to"], "the forbidden address was asked"
    assert not (tmp_path / "file").exists()


async def test_endless_redirects_end(site: Site, fetched: Fetch) -> None:
    with pytest.raises(RemoteMediaError, match="too often") as raised:
        await fetched(site.url("/again"))
    assert raised.value.permanent
    assert len(site.asked) <= 10


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        (404, True),
        (403, True),
        (410, True),
        (408, False),
        (425, False),
        (429, False),
        (500, False),
        (503, False),
        (204, False),
    ],
)
async def test_what_an_error_means(site: Site, fetched: Fetch, tmp_path: Path, status: int, permanent: bool) -> None:
    with pytest.raises(RemoteMediaError, match=str(status)) as raised:
        await fetched(site.url(f"/status/{status}"))
    assert raised.value.permanent is permanent
    assert not (tmp_path / "file").exists()


async def test_a_file_that_is_too_large(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    for path in ("/a.png", "/endless"):
        with pytest.raises(RemoteMediaError, match="larger") as raised:
            await fetched(site.url(path), most_bytes=len(PICTURE) - 1)
        assert raised.value.permanent
        assert not (tmp_path / "file").exists()
    await fetched(site.url("/a.png"), most_bytes=len(PICTURE))


@pytest.mark.parametrize("path", ["/cut", "/cut/chunked", "/reset"])
async def test_half_a_file_is_none(site: Site, fetched: Fetch, tmp_path: Path, path: str) -> None:
    with pytest.raises(RemoteMediaError) as raised:
        await fetched(site.url(path))
    assert not raised.value.permanent
    assert not (tmp_path / "file").exists()


async def test_a_server_that_drips_is_given_up(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    with pytest.raises(RemoteMediaError, match="in time") as raised:
        await fetched(site.url("/drip"), seconds=0.3)
    assert not raised.value.permanent
    assert not (tmp_path / "file").exists()


async def test_nobody_listens(fetched: Fetch, unused_tcp_port: int) -> None:
    with pytest.raises(RemoteMediaError) as raised:
        await fetched(f"http://127.0.0.1:{unused_tcp_port}/a.png")
    assert not raised.value.permanent


async def test_a_name_that_the_answer_gives(site: Site, fetched: Fetch) -> None:
    site.says(
        "/dl", PICTURE, Content_Disposition="attachment; filename=x; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%E2%82%AC.png"
    )
    assert (await fetched(site.url("/dl?id=5"))).name == "Grüße €.png"


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


TEXT = b"a line of a list, again and again\n" * 20_000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("identity", TEXT),
        ("utf-8", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("X-GZIP", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:])),
        ("gzip", gzip.compress(TEXT) + bytes(100_000)),
        ("identity, gzip", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("gzip", TEXT),
    ],
)
async def test_what_is_packed_for_the_way_is_unpacked(
    site: Site, fetched: Fetch, tmp_path: Path, encoding: str, body: bytes
) -> None:
    site.says("/a.txt", body, Content_Encoding=encoding)
    got = await fetched(site.url("/a.txt"))
    assert (tmp_path / "file").read_bytes() == TEXT
    assert (got.facts.size, got.facts.is_text) == (len(TEXT), True)


async def test_a_file_that_is_packed_itself_stays_so(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    packed = gzip.compress(TEXT)
    site.says("/a.tar.gz", packed, Content_Encoding="gzip", Content_Type="application/gzip")
    await fetched(site.url("/a.tar.gz"))
    assert (tmp_path / "file").read_bytes() == packed


@pytest.mark.parametrize(
    ("encoding", "body", "permanent"),
    [
        ("br", b"\x0b\x02\x80hello\x03", True),
        ("zstd", b"\x28\xb5\x2f\xfd", True),
        ("compress", b"\x1f\x9d", True),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT)), True),
        ("gzip", gzip.compress(TEXT)[:-9], False),
        ("gzip", gzip.compress(random.Random(1).randbytes(300_000))[:150_000], False),
        ("gzip", gzip.compress(TEXT)[:50] + b"broken" * 50, True),
        ("deflate", zlib.compress(random.Random(1).randbytes(3000))[:-10], False),
    ],
)
async def test_what_cannot_be_unpacked_is_not_taken(
    site: Site, fetched: Fetch, tmp_path: Path, encoding: str, body: bytes, permanent: bool
) -> None:
    site.says("/a.txt", body, Content_Encoding=encoding)
    with pytest.raises(RemoteMediaError) as raised:
        await fetched(site.url("/a.txt"))
    assert raised.value.permanent is permanent
    assert not (tmp_path / "file").exists()


async def test_a_small_answer_that_unpacks_to_a_huge_one(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    site.says("/a.txt", bomb, Content_Encoding="gzip")
    with pytest.raises(RemoteMediaError, match="larger") as raised:
        await fetched(site.url("/a.txt"))
    assert raised.value.permanent
    assert not (tmp_path / "file").exists()


async def test_a_full_disk_is_not_the_urls_fault(site: Site, fetched: Fetch, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(NoPlace, match="No space left"):
        await fetched(site.url("/a.png"), target=full)
    with pytest.raises(NoPlace):
        await fetched(site.url("/a.png"), target=tmp_path / "gone" / "file")


async def test_without_the_list_it_is_refused(site: Site, fetched: Fetch) -> None:
    with pytest.raises(RemoteMediaError, match="not a public address") as raised:
        await fetched(site.url("/a.png"), allowed=())
    assert raised.value.permanent
    assert site.asked == []


async def test_a_host_is_allowed_by_its_name(site: Site, fetched: Fetch, names: Callable[[Answers], None]) -> None:
    names(lambda _: ["127.0.0.1"])
    await fetched(site.url("/a.png", "media.example"), allowed=("media.example",))
    with pytest.raises(RemoteMediaError):
        await fetched(site.url("/a.png", "other.example"), allowed=("media.example",))


async def test_a_name_server_that_changes_its_mind(
    site: Site, fetched: Fetch, names: Callable[[Answers], None]
) -> None:
    """Public when it is checked, ours when it is connected to."""
    answers = [[PUBLIC], ["127.0.0.1"]]
    names(lambda _: answers.pop(0))
    with pytest.raises(RemoteMediaError):
        await fetched(site.url("/a.png", "rebind.example"), allowed=())
    assert answers == []
    assert site.asked == []


async def test_an_unknown_host_may_be_known_later(fetched: Fetch) -> None:
    with pytest.raises(RemoteMediaError, match="cannot be found") as raised:
        await fetched("http://nowhere.invalid/a.png")
    assert not raised.value.permanent
