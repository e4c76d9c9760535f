"""The same Idempotency-Key, the same answer: concurrently, after a restart, from another gateway; and one message only."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import aiohttp.web
import pytest
from aiohttp.test_utils import TestServer

from services.gateway.app_keys import IDEMPOTENCY
from services.gateway.intake.idempotency import Idempotency
from services.gateway.shapes import AcceptedCampaign, AcceptedMessage
from shared.database.connection import Database
from shared.database.idempotency import CallerKey, prune_answers, reserve_key
from standalone.embedded_postgres import EmbeddedPostgres
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results

TEXT = {"phone": "15550100001", "message": "hi"}
SEVERAL = {"phone": "15550100001,15550100002,nobody", "message": "hi"}
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 300_000
KEY = {"Idempotency-Key": "order-7"}


async def counted(store: Database, table: str) -> int:
    return int(await store.fetchval("select count(*) from " + table))  # noqa: S608


async def post(client: Client, body: dict[str, Any], key: str = "order-7") -> tuple[int, bytes, bool]:
    """Status, body and whether it was a replay."""
    async with client.post("/api/send/message", json=body, headers={"Idempotency-Key": key}) as response:
        return response.status, await response.read(), response.headers.get("Idempotency-Replayed") == "true"


def image(content: bytes = PNG) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("phone", "15550100001")
    form.add_field("image", content, filename="a.png", content_type="image/png")
    return form


async def test_one_message_however_often_it_is_asked_for(client: Client, store: Database) -> None:
    status, body, replayed = await post(client, TEXT)
    assert (status, replayed) == (202, False)
    assert await post(client, TEXT) == (202, body, True)
    assert await counted(store, "messages") == await counted(store, "due") == 1
    assert (await results(await client.post("/api/send/message", json=TEXT, headers=KEY), AcceptedMessage, 202))[
        "message_id"
    ] == json.loads(body)["results"]["message_id"]


async def test_a_number_spelt_otherwise_is_the_same_request(client: Client, store: Database) -> None:
    _, body, _ = await post(client, {"phone": "+62 0812-3456-7890", "message": "hi"})
    assert await post(client, {"phone": "6281234567890.0", "message": "hi"}) == (202, body, True)
    assert (await post(client, {"phone": "6281234567891", "message": "hi"}))[0] == 422
    assert await counted(store, "messages") == 1


async def test_one_campaign_however_often_it_is_asked_for(client: Client, store: Database) -> None:
    first = await client.post("/api/send/message", json=SEVERAL, headers=KEY)
    again = await client.post("/api/send/message", json=SEVERAL, headers=KEY)
    assert await results(first, AcceptedCampaign, 202) == await results(again, AcceptedCampaign, 202)
    assert [response.headers.get("Idempotency-Replayed") for response in (first, again)] == [None, "true"]
    assert (await counted(store, "campaigns"), await counted(store, "messages")) == (1, 2)


@pytest.mark.parametrize("body", [TEXT, SEVERAL], ids=["single", "campaign"])
async def test_fifty_at_once_over_two_gateways(
    start_gateway: StartGateway, store: Database, body: dict[str, Any]
) -> None:
    gateways = [await start_gateway(), await start_gateway()]
    answers = await asyncio.gather(*(post(gateways[number % 2], body) for number in range(50)))
    assert {(status, text) for status, text, _ in answers} == {(202, answers[0][1])}
    assert [replayed for _, _, replayed in answers].count(False) == 1
    assert await counted(store, "messages") == (1 if body is TEXT else 2)
    assert await counted(store, "idempotency_keys") == 1


async def test_many_keys_at_once_over_two_gateways(start_gateway: StartGateway, store: Database) -> None:
    gateways = [await start_gateway(), await start_gateway()]
    keys = [f"key-{number % 40}" for number in range(160)]
    answers = await asyncio.gather(*(post(gateways[place % 3 % 2], TEXT, key) for place, key in enumerate(keys)))
    assert {status for status, _, _ in answers} == {202}
    assert len({text for _, text, _ in answers}) == await counted(store, "messages") == 40


async def test_after_a_restart(start_gateway: StartGateway, store: Database) -> None:
    gateway = await start_gateway()
    _, body, _ = await post(gateway, TEXT)
    await gateway.close()
    assert await post(await start_gateway(), TEXT) == (202, body, True)
    assert await counted(store, "messages") == 1


async def test_another_body_is_refused(client: Client, store: Database) -> None:
    await post(client, TEXT)
    for other in (TEXT | {"message": "ho"}, TEXT | {"phone": "15550100002"}, TEXT | {"is_forwarded": True}, SEVERAL):
        response = await client.post("/api/send/message", json=other, headers=KEY)
        assert await refused_fields(response, 422) == ["Idempotency-Key"]
    assert await counted(store, "messages") == 1


async def test_the_same_content_in_another_form_is_the_same(client: Client, store: Database) -> None:
    multipart = aiohttp.FormData({"phone": "15550100001", "message": "hi", "is_forwarded": "on", "reference": ""})
    _, body, _ = await post(client, TEXT | {"is_forwarded": True, "duration": None})
    async with client.post("/api/send/message", data=multipart, headers=KEY) as response:
        assert (response.status, await response.read()) == (202, body)
    assert await counted(store, "messages") == 1


async def test_an_upload_is_compared_by_its_bytes(client: Client, store: Database) -> None:
    first = await client.post("/api/send/image", data=image(), headers=KEY)
    again = await client.post("/api/send/image", data=image(), headers=KEY)
    assert await first.read() == await again.read()
    assert (first.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    other = await client.post("/api/send/image", data=image(PNG + b"1"), headers=KEY)
    assert await refused_fields(other, 422) == ["Idempotency-Key"]
    assert await counted(store, "media") == 1


async def test_uploads_at_once_over_two_gateways_leave_one_file(start_gateway: StartGateway, store: Database) -> None:
    gateways = [await start_gateway(), await start_gateway()]
    answers = await asyncio.gather(
        *(gateways[number % 2].post("/api/send/image", data=image(), headers=KEY) for number in range(6))
    )
    assert len({await answer.read() for answer in answers}) == 1
    assert await store.fetchval("select count(*) from media where owner is not null") == 1
    assert await counted(store, "media") == 1


async def test_what_was_refused_is_not_kept(client: Client, store: Database) -> None:
    assert (await post(client, {"phone": "15550100001"}))[0] == 400
    assert (await post(client, TEXT))[::2] == (202, False)
    assert await counted(store, "messages") == 1


async def test_a_replay_asks_not_whether_it_would_be_accepted_today(
    start_gateway: StartGateway, store: Database
) -> None:
    chosen = TEXT | {"endpoint": "http://127.0.0.1:9"}
    _, body, _ = await post(await start_gateway(), chosen)
    later = await start_gateway(whatsapp_endpoints="http://127.0.0.1:10")
    assert await post(later, chosen) == (202, body, True)


async def test_callers_have_keys_of_their_own(start_gateway: StartGateway, store: Database) -> None:
    await post(await start_gateway(), TEXT)
    anybody = await start_gateway(login=False, enable_auth="false")
    assert (await post(anybody, TEXT | {"message": "another"}))[::2] == (202, False)
    callers = await store.fetch("select caller from idempotency_keys order by caller")
    assert [row["caller"] for row in callers] == ["", "tester"]


async def test_nothing_is_kept_while_postgres_is_away(
    start_gateway: StartGateway, store: Database, postgres_server: EmbeddedPostgres
) -> None:
    client = await start_gateway()
    postgres_server.kill()
    assert (await post(client, TEXT))[0] == 503
    postgres_server.start()
    assert (await post(client, TEXT))[::2] == (202, False)
    assert await counted(store, "messages") == 1


async def test_a_first_one_that_takes_too_long(start_gateway: StartGateway, store: Database) -> None:
    """Another gateway writes a campaign under the key and then dies."""
    client = await start_gateway()
    assert isinstance(client.server, TestServer)
    client.server.app[IDEMPOTENCY]._wait = 0.3
    async with store.connection() as connection:
        writing = connection.transaction()
        await writing.start()
        await reserve_key(connection, CallerKey("tester", "order-7"))
        response = await client.post("/api/send/message", json=SEVERAL, headers=KEY)
        assert await refused_fields(response, 409) == ["Idempotency-Key"]
        assert (await response.json())["code"] == "IN_PROGRESS"
        assert int(response.headers["Retry-After"]) > 0
        await writing.rollback()
    assert (await post(client, SEVERAL))[::2] == (202, False)
    assert await counted(store, "campaigns") == 1


async def test_in_one_gateway_the_second_waits_for_the_first(store: Database) -> None:
    once = Idempotency(store, wait=0.2)
    key, begun, forever = CallerKey("tester", "a"), asyncio.Event(), asyncio.Event()

    async def act() -> aiohttp.web.Response:
        begun.set()
        await forever.wait()
        return aiohttp.web.Response(status=202)

    first = asyncio.create_task(once.once(key, b"1", act))
    await begun.wait()
    with pytest.raises(Exception, match="under way"):
        await once.once(key, b"1", act)
    forever.set()
    assert (await first).status == 202
    assert once._lines == {}


@pytest.mark.parametrize("key", ["", "two words", "ключ", "x" * 256, "tab\there"])
@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_key_that_is_none(gateway: Client, key: str) -> None:
    response = await gateway.post("/api/send/message", json=TEXT, headers={"Idempotency-Key": key})
    assert await refused_fields(response, 400) == ["Idempotency-Key"]
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await gateway.post("/api/send/message", json=TEXT, headers=twice)).status == 400


async def test_old_answers_are_forgotten(client: Client, store: Database) -> None:
    await post(client, TEXT, "old")
    await post(client, TEXT, "new")
    await store.execute("update idempotency_keys set created_at = created_at - interval '49 hours' where key = 'old'")
    assert await prune_answers(store, 48 * 3600, 100) == 1
    assert (await post(client, TEXT, "old"))[2] is False
    assert (await post(client, TEXT, "new"))[2] is True
