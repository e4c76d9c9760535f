"""Whatever bytes a caller sends, the answer is one of the documented ones and never an error of ours."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.intake.phones import read_recipients
from services.gateway.send_requests import FIELDS_OF
from shared.messages import Kind
from tests.integration.gateway.conftest import Client, gateway_client

bounded = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = sorted({name for fields in FIELDS_OF.values() for name in fields.model_fields} | {"phone", "image", "file"})
PHONES = [
    "15550100001",
    "+1 (555) 010-0001",
    "15550100001,15550100002",
    '["15550100001"]',
    "[",
    "120363000000000001@g.us",
]
texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [*PHONES, "true", "0", "604800", "2031-05-17T09:30:00Z", "http://[::1", "\x00", "999999999999999999999"]
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
fields = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), json_values, max_size=6).map(
    lambda given: {"phone": "15550100001", "message": "hi"} | given
)
kinds = st.sampled_from(["message", "image", "file"])
PICTURE = b"\x89PNG\r\n\x1a\n0000"


def broken(good: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Also with a piece cut out or put in, or only its beginning."""
    place = st.integers(0, 400)
    return st.one_of(
        good,
        st.tuples(good, place, st.integers(1, 20)).map(lambda t: t[0][: t[1]] + t[0][t[1] + t[2] :]),
        st.tuples(good, place, st.binary(max_size=8)).map(lambda t: t[0][: t[1]] + t[2] + t[0][t[1] :]),
        st.tuples(good, place).map(lambda t: t[0][: t[1]]),
        st.binary(max_size=200),
    )


async def check(gateway: Client, kind: str, content_type: str, body: bytes, key: str | None = None) -> None:
    headers = {"Content-Type": content_type} | ({} if key is None else {"Idempotency-Key": key})
    async with gateway.post(f"/api/send/{kind}", data=body, headers=headers) as response:
        answer: dict[str, Any] = json.loads(await response.read())
        assert response.status in (202, 400, 413, 415, 422), answer
        assert answer["code"]
        assert answer["message"]
        if response.status != 202:
            assert answer["results"]["errors"]


@bounded
@given(kinds, broken(fields.map(lambda value: json.dumps(value).encode())))
async def test_any_json(gateway: Client, kind: str, body: bytes) -> None:
    await check(gateway, kind, "application/json", body)


def urlencoded(pairs: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs).encode()


pairs = st.lists(st.tuples(st.sampled_from([*NAMES, "phone[]"]) | st.text(max_size=10), texts), max_size=6)


@bounded
@given(kinds, broken(pairs.map(lambda given: urlencoded([("phone", "15550100001"), ("message", "hi"), *given]))))
async def test_any_form(gateway: Client, kind: str, body: bytes) -> None:
    await check(gateway, kind, "application/x-www-form-urlencoded", body)


def part(headers: list[bytes], content: bytes) -> bytes:
    return b"--b\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + content + b"\r\n"


def disposition(name: str, filename: str | None) -> bytes:
    text = f'Content-Disposition: form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return text.encode(errors="replace")


header = st.one_of(
    st.builds(
        disposition,
        st.sampled_from(NAMES) | st.text(max_size=10),
        st.none() | st.text(max_size=12) | st.sampled_from(["a.png", "../a.png", "a.pdf", "%2e.png", "", "\\a.png"]),
    ),
    st.sampled_from(
        [
            b"Content-Type: image/png",
            b"Content-Type: text/plain; charset=utf-16",
            b"Content-Type: multipart/mixed; boundary=c",
            b"Content-Transfer-Encoding: base64",
            b"Content-Encoding: gzip",
            b"Content-Length: 99999999",
            b"Content-Disposition: form-data; name*=utf-8''%ff",
            b"Content-Disposition: form-data; name=phone; filename*=utf-8'x'%41.png",
        ]
    ),
    st.binary(max_size=20),
)
parts = st.lists(
    st.builds(part, st.lists(header, max_size=3), st.sampled_from([PICTURE, b"", b"hi"]) | st.binary(max_size=30)),
    max_size=4,
)
multipart = parts.map(lambda given: part([disposition("phone", None)], b"15550100001") + b"".join(given) + b"--b--\r\n")


@bounded
@given(
    kinds,
    broken(multipart),
    st.sampled_from(["; boundary=b", '; boundary="b"', "", "; boundary=", "; boundary=c", ";;=;"]),
)
async def test_any_multipart(gateway: Client, kind: str, body: bytes, boundary: str) -> None:
    await check(gateway, kind, "multipart/form-data" + boundary, body)


@bounded
@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=300),
    st.sampled_from(["hi", "ho"]),
)
async def test_any_key(gateway: Client, key: str, message: str) -> None:
    body = json.dumps({"phone": "15550100001", "message": message}).encode()
    await check(gateway, "message", "application/json", body, key)


@bounded
@given(
    st.lists(json_values | st.text(st.sampled_from("0123456789+-() ,@.gus\u202a"), max_size=20), max_size=20),
    st.sampled_from(["", "ID", "US"]),
)
def test_any_phones(given_phones: list[object], region: str) -> None:
    found = read_recipients(given_phones, region)
    assert len(found.accepted) + len(found.rejected) + found.duplicates == len(given_phones)
    for phone in found.accepted:
        assert re.fullmatch(r"[1-9]\d{6,14}@s\.whatsapp\.net|\d{5,20}(-\d{5,20})?@g\.us", phone, re.ASCII)
    for shown, reason in found.rejected:
        assert reason
        assert "\x00" not in shown
        shown.encode()


@bounded
@given(
    st.sampled_from(["/api/campaigns", "/api/messages"]),
    st.sampled_from(["cursor", "limit", "status", "x"]),
    st.text(max_size=40),
)
async def test_any_query(gateway: Client, path: str, name: str, value: str) -> None:
    async with gateway.get(path, params={name: value.encode(errors="replace").decode()}) as response:
        assert response.status in (200, 400), await response.text()


@bounded
@given(
    st.sampled_from(["stop", "start", "rate-profile"]),
    broken(json_values.map(lambda value: json.dumps(value).encode())),
)
async def test_any_steering(gateway: Client, path: str, body: bytes) -> None:
    method = "PUT" if path == "rate-profile" else "POST"
    async with gateway.request(
        method, f"/api/{path}", data=body, headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status in (200, 400), await response.text()


@bounded
@given(st.sampled_from(Kind), st.binary(max_size=3000))
async def test_any_file(gateway: Client, kind: Kind, content: bytes) -> None:
    name = "a.png" if kind is Kind.IMAGE else "a.txt"
    upload = [f'Content-Disposition: form-data; name="{kind.value}"; filename="{name}"'.encode()]
    body = part([disposition("phone", None)], b"15550100001") + part(upload, content) + b"--b--\r\n"
    await check(gateway, kind.value, "multipart/form-data; boundary=b", body)


SECRET = "a secret of the webhooks"
texts_of_events = st.one_of(
    texts, st.sampled_from(["message.ack", "message", "delivered", "read", "STOP", "1@s.whatsapp.net"])
)
event_names = [
    "event",
    "payload",
    "device_id",
    "ids",
    "receipt_type",
    "from",
    "chat_id",
    "body",
    "message",
    "text",
    "id",
]
event_values = st.recursive(
    json_values | texts_of_events,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(event_names), inner, max_size=5),
    max_leaves=10,
)
events = st.dictionaries(st.sampled_from(event_names), event_values, max_size=5).map(
    lambda given: json.dumps(
        {"event": "message.ack", "payload": {"ids": ["A"], "receipt_type": "read"}} | given
    ).encode()
)


@pytest.fixture(scope="module")
async def listening(strict_environment: dict[str, str], strict_uploads: Path) -> AsyncIterator[Client]:
    """A gateway that takes webhooks."""
    client = await gateway_client(strict_environment, strict_uploads, login=False, whatsapp_webhook_secret=SECRET)
    yield client
    await client.close()


@bounded
@given(broken(events))
async def test_any_signed_webhook(listening: Client, body: bytes) -> None:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
    async with listening.post("/api/webhooks/gowa", data=body, headers=headers) as response:
        assert response.status in (200, 400), await response.text()
