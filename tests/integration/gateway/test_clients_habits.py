"""What clients of many makes send is read as they mean it: numbered lists, their own charsets, half an emoji, slow clocks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_from_bytes

import aiohttp
import pytest

from services.gateway.shapes import AcceptedCampaign, AcceptedMessage, Message
from shared.database.connection import Database
from tests.integration.gateway.conftest import Client, refused_fields, results

FORM = "application/x-www-form-urlencoded"
PHONES = ["15550100003", "15550100001", "15550100002"]
TEXT = {"phone": "15550100001", "message": "hi"}
GREETING = "Grüße für 5 €"


async def contents(store: Database) -> list[dict[str, Any]]:
    return [dict(row["content"]) for row in await store.fetch("select content from messages order by id")]


async def phones_of(store: Database) -> list[str]:
    return [row["phone"].partition("@")[0] for row in await store.fetch("select phone from messages order by id")]


@pytest.mark.parametrize("multipart", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ["phone[0]", "phone[1]", "phone[2]"],
        ["phone[]", "phone[]", "phone[]"],
        ["phone", "phone[7]", "phone[]"],
    ],
)
async def test_numbered_lists(client: Client, store: Database, names: list[str], multipart: bool) -> None:
    pairs = [
        *zip(names, PHONES, strict=True),
        ("message", "hi"),
        ("mentions[1]", "15550100008"),
        ("mentions[0]", "@everyone"),
    ]
    data: Any = aiohttp.FormData(pairs, default_to_multipart=multipart)
    accepted = await results(await client.post("/api/send/message", data=data), AcceptedCampaign, 202)
    assert accepted["accepted"] == 3
    assert await phones_of(store) == PHONES
    assert (await store.fetchval("select content from campaigns"))["mentions"] == ["@everyone", "15550100008"]


@pytest.mark.parametrize("multipart", [False, True])
@pytest.mark.parametrize("name", ["phone[0][number]", "phone[a]", "phone[99999999999999999999]"])
@pytest.mark.usefixtures("nothing_is_queued")
async def test_what_is_no_list_is_refused_by_name(gateway: Client, name: str, multipart: bool) -> None:
    data: Any = aiohttp.FormData([(name, "15550100001"), ("message", "hi")], default_to_multipart=multipart)
    assert await refused_fields(await gateway.post("/api/send/message", data=data), 400) == ["phone"]


def part(name: str, content: bytes, content_type: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n'
    return (head + (f"Content-Type: {content_type}\r\n" if content_type else "") + "\r\n").encode() + content + b"\r\n"


def multipart(*parts: bytes) -> dict[str, Any]:
    body = part("phone", b"15550100001", "text/plain; charset=US-ASCII") + b"".join(parts) + b"--b--\r\n"
    return {"data": body, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


def urlencoded(message: bytes, charset: str = "", field: str = "") -> dict[str, Any]:
    body = f"_charset_={field}&" if field else ""
    body += f"phone=15550100001&message={quote_from_bytes(message)}"
    return {"data": body.encode(), "headers": {"Content-Type": FORM + (f"; charset={charset}" if charset else "")}}


@pytest.mark.parametrize(
    "request_",
    [
        multipart(part("message", GREETING.encode())),
        multipart(part("message", GREETING.encode(), "text/plain")),
        multipart(part("message", GREETING.encode(), "text/plain; charset=US-ASCII")),
        multipart(part("message", GREETING.encode("cp1252"), "text/plain; charset=ISO-8859-1")),
        multipart(part("message", GREETING.encode("cp1252"), 'text/plain; charset="windows-1252"')),
        multipart(part("message", GREETING.encode("iso8859-15"), "text/plain; charset=ISO-8859-15")),
        multipart(part("message", GREETING.encode("utf-16"), "text/plain; charset=UTF-16")),
        multipart(part("_charset_", b"iso-8859-1"), part("message", GREETING.encode("cp1252"))),
        urlencoded(GREETING.encode()),
        urlencoded(GREETING.encode(), "UTF-8"),
        urlencoded(GREETING.encode("cp1252"), "ISO-8859-1"),
        urlencoded(GREETING.encode("cp1252"), "windows-1252"),
        urlencoded(GREETING.encode("cp1252"), field="iso-8859-1"),
        urlencoded(GREETING.encode(), field="UTF-8"),
    ],
)
async def test_texts_are_read_in_their_charset(client: Client, store: Database, request_: dict[str, Any]) -> None:
    await results(await client.post("/api/send/message", **request_), AcceptedMessage, 202)
    assert await contents(store) == [{"message": GREETING}]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (multipart(part("message", b"hi", "text/plain; charset=latin-99")), "message"),
        (multipart(part("message", b"aGk=", "text/plain; charset=base64")), "message"),
        (multipart(part("message", b"hi", "text/plain; charset=unicode_escape")), "message"),
        (multipart(part("message", b"\xff\xfe\xfd", "text/plain; charset=shift_jis")), "message"),
        (multipart(part("message", GREETING.encode("cp1252"))), "message"),
        (multipart(part("_charset_", b"latin-99"), part("message", b"hi")), "message"),
        (urlencoded(b"hi", "latin-99"), "body"),
        (urlencoded(b"hi", field="latin-99"), "_charset_"),
        (urlencoded(GREETING.encode("cp1252")), "body"),
    ],
)
@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_charset_that_is_unknown_or_wrong_is_named(
    gateway: Client, request_: dict[str, Any], field: str
) -> None:
    assert await refused_fields(await gateway.post("/api/send/message", **request_), 400) == [field]


async def post_json(client: Client, body: bytes) -> aiohttp.ClientResponse:
    return await client.post("/api/send/message", data=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (rb'{"phone": "15550100001", "message": "See you \ud83d"}', "See you "),
        (rb'{"phone": "15550100001", "message": "\ude00See\\ud83d \ud83d\ude00"}', r"See\ud83d " + "\U0001f600"),
        (b"\xef\xbb\xbf" + json.dumps(TEXT).encode(), "hi"),
        (json.dumps(TEXT).encode("utf-16"), "hi"),
    ],
)
async def test_odd_json(client: Client, store: Database, body: bytes, message: str) -> None:
    await results(await post_json(client, body), AcceptedMessage, 202)
    assert await contents(store) == [{"message": message}]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (rb'{"phone": "15550\ud83d100001", "message": "hi"}', "phone", "characters"),
        (rb'{"phone": "15550100001", "message": "\ud83d"}', "message", "empty"),
        (b'{"phone": "15550100001", "message": "hi", "duration": NaN}', "body", "'duration'"),
        (b'{"phone": "15550100001", "phone": "15550100002", "message": "hi"}', "phone", "more than once"),
        (b'{"phone": "15550100001", "message": "hi", "message": "hi"}', "message", "more than once"),
        ('{"phone": "15550100001", "message": "ü"}'.encode("latin-1"), "body", "UTF-8"),
    ],
)
@pytest.mark.usefixtures("nothing_is_queued")
async def test_json_that_could_mean_anything_is_refused(gateway: Client, body: bytes, field: str, words: str) -> None:
    response = await post_json(gateway, body)
    text = await response.text()
    assert await refused_fields(response, 400) == [field]
    assert words in text


@pytest.mark.parametrize("ago", [0.5, 30, 55])
@pytest.mark.parametrize("phone", ["15550100001", "15550100001,15550100002"])
async def test_a_moment_ago_is_now(client: Client, ago: float, phone: str) -> None:
    body = TEXT | {"phone": phone, "send_at": (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()}
    response = await client.post("/api/send/message", json=body)
    if "," in phone:
        assert (await results(response, AcceptedCampaign, 202))["status"] == "running"
    else:
        accepted = await results(response, AcceptedMessage, 202)
        shown = await results(await client.get(f"/api/messages/{accepted['message_id']}"), Message)
        assert shown["send_at"] is None


@pytest.mark.parametrize(
    ("field", "ago"), [("send_at", 65), ("send_at", 86_400), ("expires_at", 0.5), ("expires_at", 30)]
)
@pytest.mark.usefixtures("nothing_is_queued")
async def test_what_is_over_is_refused(gateway: Client, field: str, ago: float) -> None:
    body = TEXT | {field: (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()}
    assert await refused_fields(await gateway.post("/api/send/message", json=body), 400) == [field]
