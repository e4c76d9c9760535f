"""What is no request is answered in the envelope by every service, and nothing of it is seen again, in answer or log."""

from __future__ import annotations

import asyncio
import json
import re

import aiohttp
import pytest

from shared.runtime.malformed_requests import LONGEST_HEADER, LONGEST_LINE
from tests.servers import ServiceProcess, StartService

SECRET = b"s3cr3t-of-a-session"
LONG = SECRET + b"x" * LONGEST_HEADER


def get(*headers: bytes, first: bytes = b"GET /ready HTTP/1.1") -> bytes:
    return b"\r\n".join([first, b"Host: service", *headers, b"", b""])


MALFORMED = {
    "a cookie that is too long": (get(b"Cookie: session=" + LONG), 431),
    "a name of a header that is too long": (get(LONG + b": x"), 431),
    "too many headers": (get(*[b"X-%d: %b" % (number, SECRET) for number in range(200)]), 431),
    "an address that is too long": (get(first=b"GET /?token=" + SECRET + b"x" * LONGEST_LINE + b" HTTP/1.1"), 414),
    "a header without a colon": (get(b"Authorization Basic " + SECRET), 400),
    "a header with a control character": (get(b"Cookie: a=\x01" + SECRET), 400),
    "two lengths": (get(b"Content-Length: 1", b"Content-Length: 2", b"Cookie: " + SECRET), 400),
    "a length that is none": (get(b"Content-Length: " + SECRET), 400),
    "no method": (SECRET + b" / HTTP/1.1\r\n\r\n", 400),
    "an unknown version": (get(first=b"GET /" + SECRET + b" HTTP/9.9"), 400),
    "an address that is none": (get(first=b"GET http://[::1" + SECRET + b" HTTP/1.1"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET + b"\r\n\r\n", 400),
    "an expectation that nobody knows": (get(b"Expect: " + SECRET), 417),
}
BROKEN_BODIES = {
    "a chunk without a size": (b"application/json", SECRET + b"\r\n{}\r\n0\r\n\r\n"),
    "a later chunk without a size": (b"application/json", b"2\r\n{}\r\n" + SECRET + b"\r\n"),
    "a form": (b"application/x-www-form-urlencoded", SECRET + b"\r\n"),
    "multipart": (b"multipart/form-data; boundary=b", b"3\r\n--b\r\n" + SECRET + b"\r\n"),
}


async def ask(service: ServiceProcess, raw: bytes, body: bytes = b"") -> tuple[int, bytes, bytes]:
    """Status, headers and body of the answer. A ``body`` is sent once the service has said that it reads it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        writer.write(raw)
        if body:
            assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(body)
        await writer.drain()
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), head, await reader.readexactly(length)
    finally:
        writer.close()


@pytest.mark.parametrize("name", ["gateway", "dispatcher", "scheduler", "monitor"])
async def test_what_is_no_request_is_refused_and_not_repeated(start_service: StartService, name: str) -> None:
    service = await start_service(f"services.{name}", ready_path="/metrics", LOG_LEVEL="debug")
    for what, (raw, expected) in MALFORMED.items():
        status, head, body = await ask(service, raw)
        assert status == expected, (what, body)
        assert b"application/json" in head, what
        assert b"no-store" in head, what
        answer = json.loads(body)
        assert answer["code"].isupper(), what
        assert answer["message"], what
        assert SECRET not in head + body, what
        # Of no request, and still there to ask about.
        identity = re.search(rb"\r\nX-Request-Id: ([0-9a-f]{32})\r\n", head)
        assert identity, what
        if status != 417:
            assert f'"request_id":"{identity[1].decode()}","client":"127.0.0.1"' in service.log_text(), what
    assert SECRET.decode() not in service.log_text()
    assert "Traceback" not in service.log_text()


async def test_a_body_that_breaks_is_the_callers_fault(
    start_service: StartService, service_environment: dict[str, str]
) -> None:
    login = aiohttp.encode_basic_auth("tester", service_environment["DASHBOARD_PASSWORD"]).encode()
    service = await start_service("services.gateway")
    for what, (content_type, sent) in BROKEN_BODIES.items():
        headers = (b"Content-Type: " + content_type, b"Transfer-Encoding: chunked", b"Authorization: " + login)
        raw = get(*headers, b"Expect: 100-continue", first=b"POST /api/send/message HTTP/1.1")
        status, head, body = await ask(service, raw, sent)
        assert status == 400, (what, body)
        assert SECRET not in head + body, what
        assert json.loads(body)["results"]["errors"][0]["field"] == "body", what
    assert SECRET.decode() not in service.log_text()


async def test_the_cookies_of_a_whole_domain_are_taken(start_service: StartService) -> None:
    gateway = await start_service("services.gateway")
    status, _, _ = await ask(gateway, get(b"Cookie: a=" + b"x" * (LONGEST_HEADER - 100), first=b"GET /health HTTP/1.1"))
    assert status == 200
