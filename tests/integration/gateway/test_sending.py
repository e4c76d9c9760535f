"""A request to send becomes rows and entries that say exactly what was asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import pytest

from services.gateway.shapes import AcceptedCampaign, AcceptedMessage
from shared.database.connection import Database
from shared.database.messages import Row
from shared.endpoints.identity import endpoint_id
from shared.messages import Entry, Lane
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.accepting import message_row
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results

Entries = Callable[..., Awaitable[list[dict[str, str]]]]

EVERYTHING = {
    "message": "Grüße 👋\nzweite Zeile ",
    "mentions": ["15550100002", "@everyone"],
    "reply_message_id": "3EB0A1B2C3D4E5F6071829",
    "is_forwarded": True,
    "duration": 604800,
}


async def accepted(response: aiohttp.ClientResponse) -> UUID:
    found = await results(response, AcceptedMessage, 202)
    assert found["status"] == "queued"
    return UUID(found["message_id"])


async def waiting_messages(store: Database) -> int:
    return int(await store.fetchval("select count(*) from messages"))


async def test_a_text_is_committed_enqueued_and_answered(client: Client, store: Database, entries: Entries) -> None:
    message = await accepted(
        await client.post(
            "/api/send/message", json={"phone": "+1 (555) 010-0001", "reference": "order 7", **EVERYTHING}
        )
    )
    row = await message_row(store, message)
    assert row["content"] == EVERYTHING
    assert (row["phone"], row["phone_key"]) == ("15550100001@s.whatsapp.net", "15550100001")
    assert (row["status"], row["lane"], row["kind"], row["on_unknown"]) == (
        "queued",
        "transactional",
        "message",
        "resend",
    )
    assert (row["reference"], row["chosen_endpoint"], row["campaign"], row["media"]) == ("order 7", None, None, None)
    lifetime = await store.fetchval("select expires_at - created_at from messages where id = $1", message)
    assert round(lifetime.total_seconds()) == 24 * 3600
    due = await store.fetchrow("select why, enqueued_at is not null as enqueued from due where message = $1", message)
    assert due is not None
    assert dict(due) == {"why": "send", "enqueued": True}
    [fields] = await entries("transactional")
    assert Entry.from_fields(fields, Lane.TRANSACTIONAL) == Entry(message, 1, Lane.TRANSACTIONAL)


async def test_json_urlencoded_and_multipart_bodies_say_the_same(client: Client, store: Database) -> None:
    pairs = [
        ("phone", "15550100001"),
        ("message", EVERYTHING["message"]),
        ("is_forwarded", "1"),
        ("duration", "604800"),
    ]
    pairs += [("reply_message_id", EVERYTHING["reply_message_id"])]
    pairs += [("mentions", number) for number in EVERYTHING["mentions"]]
    multipart = aiohttp.FormData(default_to_multipart=True)
    for name, value in pairs:
        multipart.add_field(name, value)
    sent = [
        await client.post("/api/send/message", json={"phone": "15550100001", **EVERYTHING}),
        await client.post(
            "/api/send/message",
            data=urlencode(pairs),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
        await client.post("/api/send/message", data=multipart),
    ]
    for response in sent:
        assert (await message_row(store, await accepted(response)))["content"] == EVERYTHING


async def test_what_is_left_out_stays_out(client: Client, store: Database) -> None:
    message = await accepted(
        await client.post("/api/send/message", json={"phone": "15550100001", "message": "hi", "duration": None})
    )
    assert (await message_row(store, message))["content"] == {"message": "hi"}


async def test_options_are_kept(client: Client, store: Database, entries: Entries) -> None:
    message = await accepted(
        await client.post(
            "/api/send/message",
            json={
                "phone": "120363000000000001@g.us",
                "message": "hi",
                "endpoint": "http://127.0.0.1:9/",
                "on_unknown": "hold",
                "lane": "bulk",
                "expires_at": "2100-01-01T00:00:00Z",
            },
        )
    )
    row = await message_row(store, message)
    chosen = endpoint_id("http://127.0.0.1:9", "")
    assert (row["phone"], row["on_unknown"], row["lane"]) == ("120363000000000001@g.us", "hold", "bulk")
    assert row["expires_at"].isoformat() == "2100-01-01T00:00:00+00:00"
    assert row["chosen_endpoint"] == chosen
    [fields] = await entries(f"endpoint:{chosen}:bulk")
    assert Entry.from_fields(fields, Lane.BULK) == Entry(message, 1, Lane.BULK, endpoint=chosen, chosen=True)


async def test_a_public_address_is_kept_for_the_dispatcher(start_gateway: StartGateway, store: Database) -> None:
    client = await start_gateway(remote_media_allow="files.invalid,10.1.0.0/16")
    content = {
        "image_url": "http://10.1.2.3/offer.png",
        "caption": "",
        "view_once": True,
        "compress": False,
        "hd": False,
    }
    message = await accepted(await client.post("/api/send/image", json={"phone": "15550100001", **content}))
    assert (await message_row(store, message))["content"] == content
    form = {"phone": "15550100001", "file_url": "http://8.8.8.8/a.pdf", "caption": "x", "is_forwarded": "off"}
    message = await accepted(await client.post("/api/send/file", data=form))
    row = await message_row(store, message)
    assert row["kind"] == "file"
    assert row["content"] == {"file_url": "http://8.8.8.8/a.pdf", "caption": "x", "is_forwarded": False}


async def test_an_image_that_the_sender_fetches_needs_its_type_in_the_path(start_gateway: StartGateway) -> None:
    client = await start_gateway(remote_media="pass")
    body = {"phone": "15550100001", "image_url": "http://8.8.8.8/image"}
    assert await refused_fields(await client.post("/api/send/image", json=body), 400) == ["image_url"]
    body["image_url"] += ".PNG?size=1"
    await accepted(await client.post("/api/send/image", json=body))


@pytest.mark.parametrize(
    "phone",
    [
        "15550100001, abc, +1 555 010 0001,15550100002",
        ["15550100001", "abc", "+1 555 010 0001", "15550100002"],
    ],
)
async def test_several_recipients_are_a_campaign_with_refusals_by_recipient(
    client: Client, store: Database, entries: Entries, phone: Any
) -> None:
    found = await results(
        await client.post("/api/send/message", json={"phone": phone, "reference": "june", **EVERYTHING}),
        AcceptedCampaign,
        202,
    )
    assert (found["status"], found["accepted"], found["duplicates"], found["total"]) == ("running", 2, 1, 2)
    assert [(one["phone"].strip(), bool(one["reason"])) for one in found["rejected"]] == [("abc", True)]
    token = UUID(found["campaign_token"])
    campaign = await store.fetchrow("select * from campaigns where token = $1", token)
    assert campaign is not None
    assert campaign["content"] == EVERYTHING
    assert (campaign["lane"], campaign["on_unknown"], campaign["reference"]) == ("bulk", "hold", "june")
    assert (campaign["total"], campaign["rejected"], campaign["duplicates"]) == (2, 1, 1)
    rows = await store.fetch("select * from messages where campaign = $1 order by id", token)
    assert [row["phone"] for row in rows] == ["15550100001@s.whatsapp.net", "15550100002@s.whatsapp.net"]
    assert [(row["lane"], row["on_unknown"], row["content"], row["expires_at"]) for row in rows] == [
        ("bulk", "hold", None, None)
    ] * 2
    assert (campaign["first_id"], campaign["last_id"]) == (rows[0]["id"], rows[1]["id"])
    assert await store.fetchval("select count(*) from due") == 0
    assert await entries("bulk") == [], "the scheduler feeds campaigns"


async def test_phones_of_forms(client: Client) -> None:
    for form in (
        [("phone", "15550100001"), ("phone[]", "15550100002")],
        [("phone", "15550100001,15550100002")],
        [("phone", '["15550100001", "15550100002"]')],
    ):
        response = await client.post("/api/send/message", data=[*form, ("message", "hi")])
        assert (await results(response, AcceptedCampaign, 202))["accepted"] == 2


async def test_an_array_of_one_is_one(client: Client) -> None:
    await accepted(await client.post("/api/send/message", json={"phone": ["15550100001"], "message": "hi"}))


async def test_1200_recipients_make_three_chunks(client: Client, store: Database) -> None:
    phones = [str(15550200000 + number) for number in range(1200)]
    found = await results(
        await client.post("/api/send/message", json={"phone": phones, "message": "hi"}), AcceptedCampaign, 202
    )
    token = UUID(found["campaign_token"])
    chunks = await store.fetch("select * from chunks where campaign = $1 order by number", token)
    assert [(chunk["number"], chunk["size"], chunk["fed_at"]) for chunk in chunks] == [
        (0, 500, None),
        (1, 500, None),
        (2, 200, None),
    ]
    for chunk in chunks:
        inside = await store.fetchval(
            "select count(*) from messages where campaign = $1 and id between $2 and $3",
            token,
            chunk["first_id"],
            chunk["last_id"],
        )
        assert inside == chunk["size"]
    in_order = await store.fetch("select phone from messages where campaign = $1 order by id", token)
    assert [row["phone"].partition("@")[0] for row in in_order] == phones


async def test_more_recipients_than_allowed_are_none(start_gateway: StartGateway, store: Database) -> None:
    client = await start_gateway(max_recipients=2)
    body = {"phone": ["15550100001", "15550100002", "15550100003"], "message": "hi"}
    assert await refused_fields(await client.post("/api/send/message", json=body), 400) == ["phone"]
    assert await waiting_messages(store) == 0


async def test_the_region_of_the_settings_completes_national_numbers(
    start_gateway: StartGateway, store: Database
) -> None:
    client = await start_gateway(default_region="ID")
    message = await accepted(await client.post("/api/send/message", json={"phone": "0812-3456-789", "message": "hi"}))
    assert (await message_row(store, message))["phone"] == "628123456789@s.whatsapp.net"


async def test_requests_that_arrive_together_share_an_insert(
    client: Client, store: Database, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    fetch = Database.fetch

    async def counted(self: Database, statement: str, *arguments: Any) -> list[Row]:
        if "insert into messages" in statement:
            batches.append(len(arguments[0]))
        return await fetch(self, statement, *arguments)

    monkeypatch.setattr(Database, "fetch", counted)
    answers = await asyncio.gather(
        *(
            client.post("/api/send/message", json={"phone": str(15550200000 + number), "message": f"text {number}"})
            for number in range(60)
        )
    )
    ids = [await accepted(answer) for answer in answers]
    assert sum(batches) == 60
    assert len(batches) < 60
    for number, message in enumerate(ids):
        row = await message_row(store, message)
        assert (row["content"], row["phone"]) == (
            {"message": f"text {number}"},
            f"{15550200000 + number}@s.whatsapp.net",
        )
    assert {fields["m"] for fields in await entries("transactional")} == {message.hex for message in ids}


async def test_without_redis_it_is_accepted_and_left_to_the_scheduler(
    client: Client, store: Database, redis_server: EmbeddedValkey
) -> None:
    redis_server.kill()
    message = await accepted(await client.post("/api/send/message", json={"phone": "15550100001", "message": "hi"}))
    due = await store.fetchrow("select why, enqueued_at from due where message = $1", message)
    assert due is not None
    assert dict(due) == {"why": "send", "enqueued_at": None}
    ready = await client.get("/ready")
    assert ready.status == 200, "it has an answer for its callers"
    (problem,) = (await ready.json())["problems"]
    assert problem.startswith("Redis cannot be reached")


async def test_without_postgres_nothing_is_accepted(
    client: Client, entries: Entries, postgres_server: EmbeddedPostgres
) -> None:
    assert (await client.get("/ready")).status == 200
    postgres_server.kill()
    for body in ({"phone": "15550100001", "message": "hi"}, {"phone": ["15550100001", "15550100002"], "message": "hi"}):
        response = await client.post("/api/send/message", json=body)
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert (await response.json())["code"] == "SERVICE_UNAVAILABLE"
    assert await entries("transactional") == []
    ready = await client.get("/ready")
    assert ready.status == 200, "it has an answer for its callers"
    (problem,) = (await ready.json())["problems"]
    assert problem.startswith("Postgres cannot be reached")
    postgres_server.start()
    await accepted(await client.post("/api/send/message", json={"phone": "15550100001", "message": "hi"}))


async def test_a_body_of_many_phones_is_read_like_a_small_one(client: Client) -> None:
    phones = [f"+{15550200000 + number}" for number in range(9000)]
    body = json.dumps({"phone": ["junk", *phones], "message": "hi"})
    response = await client.post("/api/send/message", data=body, headers={"Content-Type": "application/json"})
    found = await results(response, AcceptedCampaign, 202)
    assert (found["accepted"], len(found["rejected"])) == (9000, 1)
