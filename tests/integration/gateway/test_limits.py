"""What a caller may try, how long and how much it may send; and what every answer tells a browser."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from shared.runtime.login_throttle import FAILURES
from tests.integration.gateway.conftest import Client, StartGateway, files_in, refused_fields

TEXT = {"phone": "15550100001", "message": "hi"}
WRONG = {"Authorization": aiohttp.encode_basic_auth("tester", "wrong")}
NOBODY = {"Authorization": aiohttp.encode_basic_auth("x", "x")}


def wrong(number: int) -> dict[str, str]:
    """Another one each time, as whoever guesses would try."""
    return {"Authorization": aiohttp.encode_basic_auth("tester", f"guess {number}")}


async def test_guessing_is_throttled_and_a_right_guess_tells_nothing(start_gateway: StartGateway) -> None:
    client = await start_gateway()
    for number in range(FAILURES):
        assert (await client.get("/api/campaigns", headers=wrong(number))).status == 401
    for headers in (WRONG, {}):
        response = await client.get("/api/campaigns", headers=headers)
        assert response.status == 429
        assert int(response.headers["Retry-After"]) > 0
        assert (await response.json())["code"] == "TOO_MANY_REQUESTS"
    assert (await client.get("/health")).status == 200
    elsewhere = {"X-Forwarded-For": "203.0.113.9"}
    assert (await client.get("/api/campaigns", headers=elsewhere)).status == 200, "other clients are not locked out"
    assert (await client.get("/api/campaigns", headers=elsewhere | WRONG)).status == 401


async def test_a_forwarded_address_is_not_believed_from_anybody(start_gateway: StartGateway) -> None:
    client = await start_gateway(trusted_proxies="192.0.2.1")
    statuses = [
        (await client.get("/api/campaigns", headers=wrong(number) | {"X-Forwarded-For": f"203.0.113.{number}"})).status
        for number in range(FAILURES + 1)
    ]
    assert statuses == [401] * FAILURES + [429]


async def test_asking_without_a_login_is_no_guess(start_gateway: StartGateway) -> None:
    client = await start_gateway(login=False)
    for _ in range(FAILURES + 5):
        assert (await client.get("/api/campaigns")).status == 401


@pytest.mark.parametrize(
    "path", ["/health", "/api/campaigns", "/there/is/none", "/docs/openapi.yml", "/docs", "/", "/metrics"]
)
async def test_every_answer_has_its_security_headers(gateway: Client, path: str) -> None:
    response = await gateway.get(path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    if response.content_type == "application/json":
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("nothing_is_queued")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_a_compressed_body_is_refused(gateway: Client, encoding: str) -> None:
    bomb = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(b"0" * 1_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    try:
        response = await gateway.post("/api/send/message", data=bomb, headers=headers)
    except aiohttp.ClientConnectionError:
        return  # The parser knows that it is none of it and hangs up.
    if encoding in ("br", "zstd") and response.status == 400:
        return  # It has no such decoder.
    assert await refused_fields(response, 415) == ["Content-Encoding"]


@pytest.mark.parametrize("path", ["/api/send/message", "/api/send/image", "/api/stop"])
async def test_a_body_that_does_not_come(start_gateway: StartGateway, uploads: Path, path: str) -> None:
    client = await start_gateway(body_timeout="200ms")
    hang_up = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield (
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
            b"\x89PNG\r\n\x1a\n" + b"0" * 300_000
        )
        await hang_up.wait()

    kind = "application/json" if path == "/api/stop" else "multipart/form-data; boundary=b"
    if path != "/api/send/image":

        async def never() -> AsyncIterator[bytes]:
            yield b" "
            await hang_up.wait()

        body = never()
    else:
        body = slow()
    response = await client.post(path, data=body, headers={"Content-Type": kind})
    assert await refused_fields(response, 408) == ["body"]
    hang_up.set()
    assert files_in(uploads) == []


def part(headers: bytes, content: bytes = b"hi") -> bytes:
    return b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


PHONE = part(b'Content-Disposition: form-data; name="phone"', b"15550100001")


@pytest.mark.usefixtures("nothing_is_queued")
@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (part(b'Content-Disposition: form-data; name="message"', b"0" * 200_000), 413),
        (part(b'Content-Disposition: form-data; name="a"') * 10_001, 413),
        (part(b'Content-Disposition: form-data; name="message"', b"") * 2, 400),
        (
            part(
                b'Content-Disposition: form-data; name="message"\r\nContent-Type: multipart/mixed; boundary=c',
                b"--c\r\n\r\nhi\r\n--c--",
            ),
            400,
        ),
        (
            part(
                b'Content-Disposition: form-data; name="message"\r\nContent-Encoding: gzip',
                gzip.compress(b"0" * 1_000_000),
            ),
            400,
        ),
        (part(b'Content-Disposition: form-data; name="message"\r\nContent-Transfer-Encoding: base64', b"aGk="), 400),
        (part(b'Content-Disposition: form-data; name="message"\r\nX: ' + b"x" * 20_000), 400),
        (
            part(
                b'Content-Disposition: form-data; name="message"\r\n' + b"\r\n".join(b"X%d: x" % n for n in range(500))
            ),
            400,
        ),
        (part(b"Content-Disposition: form-data"), 400),
        (part(b"no header at all"), 400),
        (b"", 400),
    ],
    ids=[
        "field",
        "parts",
        "twice",
        "nested",
        "gzip",
        "base64",
        "long header",
        "headers",
        "nameless",
        "headerless",
        "empty",
    ],
)
async def test_multipart_bombs(gateway: Client, parts: bytes, status: int) -> None:
    response = await gateway.post(
        "/api/send/message",
        data=PHONE + parts + b"--b--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert response.status == status, await response.text()
    assert await refused_fields(response, status)


@pytest.mark.usefixtures("nothing_is_queued")
async def test_long_headers_and_paths(gateway: Client) -> None:
    assert (await gateway.get("/api/campaigns", headers={"X-Long": "x" * 20_000})).status == 200
    assert (await gateway.get("/api/campaigns", headers={"X-Long": "x" * 40_000})).status == 400
    assert (await gateway.get("/api/campaigns?x=" + "x" * 20_000)).status in (400, 414)
