"""Bad input gets a 4xx that names the field, in the envelope, and nothing is queued."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.conftest import Client, gateway_client, refused_fields

TEXT = {"phone": "15550100001", "message": "hi"}
IMAGE = {"phone": "15550100001"}


pytestmark = pytest.mark.usefixtures("nothing_is_queued")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("message", {"message": "hi"}, ["phone"]),
        ("message", {"phone": "", "message": "hi"}, ["phone"]),
        ("message", {"phone": " , ", "message": "hi"}, ["phone"]),
        ("message", {"phone": [], "message": "hi"}, ["phone"]),
        ("message", {"phone": [""], "message": "hi"}, ["phone"]),
        ("message", {"phone": 15550100001, "message": "hi"}, ["phone"]),
        ("message", {"phone": {"a": 1}, "message": "hi"}, ["phone"]),
        ("message", {"phone": "alphabetic", "message": "hi"}, ["phone"]),
        ("message", {"phone": "12345", "message": "hi"}, ["phone"]),
        ("message", {"phone": "1234567890123456", "message": "hi"}, ["phone"]),
        ("message", {"phone": "08123456789", "message": "hi"}, ["phone"]),
        ("message", {"phone": ["abc", "12"], "message": "hi"}, ["phone", "phone"]),
        ("message", {"phone": "15550100001"}, ["message"]),
        ("message", {"phone": "15550100001", "message": " "}, ["message"]),
        ("message", {"message": "", "duration": 5}, ["phone", "duration", "message"]),
        ("message", TEXT | {"duration": 60}, ["duration"]),
        ("message", TEXT | {"duration": "86400"}, ["duration"]),
        ("message", TEXT | {"is_forwarded": "yes"}, ["is_forwarded"]),
        ("message", TEXT | {"mesage": "typo"}, ["mesage"]),
        ("message", TEXT | {"endpoint": "elsewhere"}, ["endpoint"]),
        ("message", TEXT | {"expires_at": "2001-01-01T00:00:00Z"}, ["expires_at"]),
        ("message", [TEXT], ["body"]),
        ("message", "hi", ["body"]),
        ("image", IMAGE, ["image"]),
        ("image", IMAGE | {"image": "aGk="}, ["image"]),
        ("image", IMAGE | {"image_url": ""}, ["image_url"]),
        ("image", IMAGE | {"image_url": "offer.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "ftp://8.8.8.8/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "file:///etc/passwd"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "https://user:secret@8.8.8.8/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "https://8.8.8.8\\@10.0.0.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://127.0.0.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://localhost:6379/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://127.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://2130706433/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://0x7f000001/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://0.0.0.0/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://10.0.0.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://192.168.1.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://100.64.0.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://169.254.169.254/latest/meta-data"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://224.0.0.1/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://[::1]/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://[::ffff:10.0.0.1]/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://[64:ff9b::7f00:1]/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://[fd00::1]/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://8.8.8.8:99999/a.png"}, ["image_url"]),
        ("image", IMAGE | {"image_url": "http://there-is-no-such-host.invalid/a.png"}, ["image_url"]),
        ("file", IMAGE | {"file_url": "http://10.0.0.1/a.pdf"}, ["file_url"]),
        ("file", IMAGE | {"file_url": "http://8.8.8.8/a.pdf", "view_once": True}, ["view_once"]),
    ],
)
async def test_wrong_fields(gateway: Client, path: str, body: Any, fields: list[str]) -> None:
    assert await refused_fields(await gateway.post(f"/api/send/{path}", json=body), 400) == fields


@pytest.fixture(scope="module")
async def passing_gateway(strict_environment: dict[str, str], strict_uploads: Path) -> AsyncIterator[Client]:
    """A gateway whose sender fetches URLs itself."""
    client = await gateway_client(strict_environment, strict_uploads, remote_media="pass")
    yield client
    await client.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost:6379",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "[fd00::1]",
    ],
)
async def test_the_sender_is_not_led_into_our_network_either(passing_gateway: Client, host: str) -> None:
    for kind, ending in (("image", "png"), ("file", "pdf")):
        body = {"phone": "15550100001", f"{kind}_url": f"http://{host}/a.{ending}"}
        response = await passing_gateway.post(f"/api/send/{kind}", json=body)
        assert await refused_fields(response, 400) == [f"{kind}_url"]
        assert "its host is not a public address" in (await response.json())["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"phone": "15550100001", "message": "hi"',
        b'{"phone": "15550100001", "message": "hi"} trailing',
        b"[" * 5000 + b"]" * 5000,
        b'{"phone": "15550100001", "message": "\xff"}',
        b'{"phone": "15550100001", "message": NaN}',
        "{'phone': '15550100001'}".encode("utf-16"),
    ],
)
async def test_broken_json(gateway: Client, body: bytes) -> None:
    response = await gateway.post("/api/send/message", data=body, headers={"Content-Type": "application/json"})
    assert await refused_fields(response, 400) == ["body"]


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (b"phone=15550100001&message=%FF", "body"),
        (b"phone=15550100001&message=hi&is_forwarded=perhaps", "is_forwarded"),
        (b"phone=15550100001&message=hi&duration=1%2C5", "duration"),
        (b"phone=15550100001&message=hi&message=ho", "message"),
        (b"phone=%5B1&message=hi", "phone"),
        (b"message=hi", "phone"),
    ],
)
async def test_broken_forms(gateway: Client, form: bytes, field: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert await refused_fields(await gateway.post("/api/send/message", data=form, headers=headers), 400) == [field]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b"hi", 415),
        ("application/xml", b"<a/>", 415),
        ("application/octet-stream", b"", 415),
        ("multipart/mixed; boundary=x", b"--x--\r\n", 415),
        ("multipart/form-data", b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", b"no parts", 400),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="phone"\r\n\r\n1555', 400),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", 400),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n\xff\r\n--x--\r\n',
            400,
        ),
    ],
)
async def test_bodies_that_are_none(gateway: Client, content_type: str, body: bytes, status: int) -> None:
    response = await gateway.post("/api/send/message", data=body, headers={"Content-Type": content_type})
    assert await refused_fields(response, status)


async def test_an_empty_body(gateway: Client) -> None:
    response = await gateway.post("/api/send/message", data=b"", headers={"Content-Type": "application/json"})
    assert await refused_fields(response, 400) == ["phone", "message"]


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_too_large(gateway: Client, content_type: str) -> None:
    response = await gateway.post("/api/send/message", data=b" " * 200_000, headers={"Content-Type": content_type})
    assert await refused_fields(response, 413) == ["body"]
    assert "100000 bytes" in (await response.json())["message"]


async def test_fields_of_a_multipart_body_that_are_too_large(gateway: Client) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n' + b"a" * 99_900
    body += b'\r\n--x\r\nContent-Disposition: form-data; name="reference"\r\n\r\n' + b"a" * 200 + b"\r\n--x--\r\n"
    response = await gateway.post(
        "/api/send/file", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert await refused_fields(response, 413) == ["body"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/messages?status=lost", ["status"]),
        ("/api/messages?cursor=x", ["cursor"]),
        ("/api/messages?limit=0", ["limit"]),
        ("/api/messages?limit=501", ["limit"]),
        ("/api/messages?state=sent", ["state"]),
        ("/api/campaigns?cursor=99999999999999999999999_x", ["cursor"]),
        ("/api/campaigns?limit=ten", ["limit"]),
    ],
)
async def test_wrong_parameters(gateway: Client, path: str, fields: list[str]) -> None:
    assert await refused_fields(await gateway.get(path), 400) == fields


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/messages/not-an-id"),
        ("GET", "/api/messages/01a20bd1-0000-7000-8000-000000000000"),
        ("POST", "/api/messages/01a20bd1-0000-7000-8000-000000000000/cancel"),
        ("GET", "/api/campaigns/01a20bd1-0000-7000-8000-000000000000"),
        ("GET", "/api/campaigns/01a20bd1-0000-7000-8000-000000000000/messages"),
        ("POST", "/api/campaigns/01a20bd1-0000-7000-8000-000000000000/pause"),
        ("POST", "/api/campaigns/01a20bd1-0000-7000-8000-000000000000/resume"),
        ("POST", "/api/campaigns/01a20bd1-0000-7000-8000-000000000000/cancel"),
        ("POST", "/api/campaigns/01a20bd1-0000-7000-8000-000000000000/retry"),
        ("GET", "/api/nothing"),
        ("GET", "/nothing"),
    ],
)
async def test_what_does_not_exist(gateway: Client, method: str, path: str) -> None:
    response = await gateway.request(method, path)
    assert response.status == 404
    assert (await response.json())["code"] == "NOT_FOUND"


async def test_a_wrong_method(gateway: Client) -> None:
    response = await gateway.get("/api/send/message")
    assert response.status == 405
    assert response.headers["Allow"] == "POST"
    assert (await response.json())["code"] == "METHOD_NOT_ALLOWED"
