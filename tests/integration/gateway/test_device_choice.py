"""A client of GOWA chooses the account by X-Device-Id or `device_id`: it is that one, or none at all."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from services.gateway.app_keys import DATABASE
from services.gateway.shapes import AcceptedCampaign, AcceptedMessage, Message
from shared.database.account_answers import note_answer
from shared.database.connection import Database
from shared.endpoints.identity import endpoint_id
from tests.integration.gateway.conftest import Client, StartGateway, gateway_client, refused_fields, results

JID = "15550109999@s.whatsapp.net"
DEVICES = ("sales-1", "sales-2", "süd+ost 3", "twin", JID)
IDS = {device: endpoint_id("http://one:3000", device) for device in DEVICES}
OTHER_TWIN = endpoint_id("http://two:3000", "twin")
SETTINGS = {
    "whatsapp_endpoints": ",".join(["http://one:3000"] * len(DEVICES) + ["http://two:3000"]),
    "whatsapp_auths": "",
    "whatsapp_device_ids": ",".join([*DEVICES, "twin"]),
}
TEXT = {"phone": "15550100001", "message": "hi"}
PICTURE = b"\x89PNG\r\n\x1a\n0000"


@pytest.fixture
async def client(start_gateway: StartGateway) -> Client:
    return await start_gateway(**SETTINGS)


async def chosen(client: Client, **request: Any) -> str | None:
    """The account that a text accepted with this request is bound to."""
    response = await client.post("/api/send/message", **({"json": TEXT} | request))
    accepted = await results(response, AcceptedMessage, 202)
    shown = await results(await client.get(f"/api/messages/{accepted['message_id']}"), Message)
    found: str | None = shown["chosen_endpoint"]
    return found


@pytest.mark.parametrize(
    ("request_", "device"),
    [
        ({"headers": {"X-Device-Id": "sales-2"}}, "sales-2"),
        ({"headers": {"x-device-id": " sales-2 "}}, "sales-2"),
        ({"headers": {"X-Device-Id": IDS["sales-2"]}}, "sales-2"),
        ({"headers": {"X-Device-Id": "one:3000 sales-2"}}, "sales-2"),
        ({"headers": {"X-Device-Id": "s%C3%BCd%2Bost%203"}}, "süd+ost 3"),
        ({"headers": {"X-Device-Id": "s%C3%BCd%2Bost+3"}}, "süd+ost 3"),
        ({"headers": {"X-Device-Id": JID}}, JID),
        ({"headers": {"X-Device-Id": "15550109999:32@s.whatsapp.net"}}, JID),
        ({"headers": {"X-Device-Id": "15550109999%3A32%40s.whatsapp.net"}}, JID),
        ({"params": {"device_id": "sales-1"}}, "sales-1"),
        ({"params": {"device_id": "süd+ost 3"}}, "süd+ost 3"),
        ({"params": {"device_id": "sales-1"}, "headers": {"X-Device-Id": "sales-2"}}, "sales-2"),
        ({"params": {"device_id": "sales-1"}, "headers": {"X-Device-Id": " "}}, "sales-1"),
        ({"params": {"device_id": "sales-1"}, "json": TEXT | {"endpoint": IDS["sales-1"]}}, "sales-1"),
        ({"params": {"device_id": "sales-1"}, "json": TEXT | {"endpoint": None}}, "sales-1"),
        ({"params": {"device_id": "sales-1"}, "json": TEXT | {"endpoint": ""}}, "sales-1"),
        ({"params": {"device_id": "sales-1"}, "json": None, "data": TEXT | {"endpoint": ""}}, "sales-1"),
        ({"params": {"device_id": "sales-1"}, "json": None, "data": TEXT | {"endpoint": "sales-1"}}, "sales-1"),
        ({"json": TEXT | {"endpoint": "sales-2"}}, "sales-2"),
        ({"json": TEXT | {"endpoint": "15550109999:3@s.whatsapp.net"}}, JID),
        ({"json": TEXT}, None),
        ({"params": {"device_id": ""}}, None),
    ],
)
async def test_the_account_is_the_one_that_was_asked_for(
    client: Client, request_: dict[str, Any], device: str | None
) -> None:
    assert await chosen(client, **request_) == (device and IDS[device])


async def test_so_it_is_in_every_form_and_for_every_kind(client: Client, store: Database) -> None:
    headers = {"X-Device-Id": "sales-2"}
    upload = aiohttp.FormData({"phone": "15550100001,15550100002"})
    upload.add_field("image", PICTURE, filename="a.png", content_type="image/png")
    several = await client.post("/api/send/image", data=upload, headers=headers)
    await results(several, AcceptedCampaign, 202)
    file = aiohttp.FormData({"phone": "15550100003"})
    file.add_field("file", b"hello", filename="a.txt", content_type="text/plain")
    await results(await client.post("/api/send/file", data=file, headers=headers), AcceptedMessage, 202)
    listed = {"phone": ["15550100004", "15550100005"], "message": "hi"}
    await results(await client.post("/api/send/message", json=listed, headers=headers), AcceptedCampaign, 202)
    assert await store.fetchval("select count(*) from campaigns where endpoint = $1", IDS["sales-2"]) == 2
    assert await store.fetchval("select count(*) from messages where chosen_endpoint = $1", IDS["sales-2"]) == 5


@pytest.mark.parametrize("name", ["nosuch", "SALES-2", "15550109998@s.whatsapp.net", "x" * 5000])
@pytest.mark.parametrize("kind", ["message", "image", "file"])
async def test_a_device_that_nobody_knows_is_not_found(client: Client, name: str, kind: str) -> None:
    response = await client.post(f"/api/send/{kind}", json=TEXT, headers={"X-Device-Id": name})
    body = await response.json()
    assert response.status == 404, body
    assert body["code"] == "DEVICE_NOT_FOUND"
    assert body["results"]["device_id"] == name[:200]
    assert [error["field"] for error in body["results"]["errors"]] == ["X-Device-Id"]
    assert await client.server.app[DATABASE].fetchval("select count(*) from messages") == 0
    odd = await client.post(f"/api/send/{kind}", json=TEXT, headers={"X-Device-Id": "%ff%00"})
    assert (odd.status, (await odd.json())["results"]["device_id"]) == (404, "\ufffd")
    asked = await client.post(f"/api/send/{kind}", json=TEXT, params={"device_id": "nosuch"})
    assert (asked.status, (await asked.json())["results"]["device_id"]) == (404, "nosuch")


async def test_a_number_that_an_account_was_seen_with(client: Client, store: Database) -> None:
    number = "15550108888@s.whatsapp.net"
    await note_answer(store, IDS["sales-1"], number)
    await note_answer(store, "an account that is gone", number)
    for given in (number, "15550108888:32@s.whatsapp.net", "15550108888%3A7%40s.whatsapp.net"):
        assert await chosen(client, headers={"X-Device-Id": given}) == IDS["sales-1"]
    await note_answer(store, IDS["sales-2"], number)
    response = await client.post("/api/send/message", json=TEXT, headers={"X-Device-Id": number})
    assert await refused_fields(response, 400) == ["X-Device-Id"], "two accounts share it"
    await note_answer(store, IDS["sales-1"], "15550107777@s.whatsapp.net")
    assert await chosen(client, headers={"X-Device-Id": number}) == IDS["sales-2"], "the other has another number now"


async def test_what_several_accounts_have_chooses_none(client: Client) -> None:
    response = await client.post("/api/send/message", json=TEXT, headers={"X-Device-Id": "twin"})
    text = await response.text()
    assert await refused_fields(response, 400) == ["X-Device-Id"]
    assert IDS["twin"] in text
    assert OTHER_TWIN in text
    assert await chosen(client, headers={"X-Device-Id": OTHER_TWIN}) == OTHER_TWIN


@pytest.mark.parametrize("form", [False, True])
async def test_header_and_body_must_not_disagree(client: Client, form: bool) -> None:
    body = TEXT | {"endpoint": "sales-1"}
    send = {"data": body} if form else {"json": body}
    response = await client.post("/api/send/message", headers={"X-Device-Id": "sales-2"}, **send)  # type: ignore[arg-type]
    assert await refused_fields(response, 400) == ["endpoint", "X-Device-Id"]
    unknown = TEXT | {"endpoint": "nosuch"}
    response = await client.post("/api/send/message", headers={"X-Device-Id": "sales-2"}, json=unknown)
    assert await refused_fields(response, 400) == ["endpoint"]


async def test_another_account_is_another_request(client: Client) -> None:
    async def send(device: str | None, **body: Any) -> int:
        headers = {"Idempotency-Key": "order-7"} | ({"X-Device-Id": device} if device else {})
        return (await client.post("/api/send/message", json=TEXT | body, headers=headers)).status

    assert await send("sales-2") == 202
    assert await send("sales-2") == 202
    assert await send(None, endpoint=IDS["sales-2"]) == 202, "the same, said in another way"
    assert await send("sales-1") == 422
    assert await send(None) == 422
    assert await client.server.app[DATABASE].fetchval("select count(*) from messages") == 1


async def test_one_account_without_a_device_id_is_known_by_none(
    strict_environment: dict[str, str], tmp_path: Any
) -> None:
    client = await gateway_client(strict_environment, tmp_path)
    response = await client.post("/api/send/message", json=TEXT, headers={"X-Device-Id": "sales-1"})
    assert response.status == 404
    assert "WHATSAPP_DEVICE_IDS" in await response.text()
    await client.close()
