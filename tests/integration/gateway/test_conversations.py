"""What people write to the accounts, as the sender posts it, and answers that have to go through the account that has it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.gateway import shapes
from services.gateway.app_keys import DATABASE, ENDPOINTS
from shared.database.attempts import peek
from shared.database.connection import Database
from tests.integration.accepting import accept_message, message_row
from tests.integration.database.beginning import begin, failed, sent, write
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results
from tests.integration.gateway.webhooks import SECRET, ack, heard, text

ANA, HIDDEN = "15550100001@s.whatsapp.net", "204800000000001@lid"
GROUP = "120363000000000001@g.us"


@pytest.fixture
async def client(start_gateway: StartGateway) -> Client:
    return await start_gateway(
        whatsapp_webhook_secret=SECRET,
        whatsapp_endpoints="http://127.0.0.1:9,http://127.0.0.1:9,http://127.0.0.1:9",
        whatsapp_auths="user:password,user:password,user:password",
        whatsapp_device_ids="sales-1,sales-2,sales-3",
    )


def store_of(client: Client) -> Database:
    return client.server.app[DATABASE]


def endpoint(client: Client, device: str) -> str:
    return next(one.id for one in client.server.app[ENDPOINTS].values() if one.device_id == device)


def event(kind: str, device: str, **payload: Any) -> dict[str, Any]:
    said = {"id": "3A01", "is_from_me": False, "chat_id": ANA, "from": ANA} | payload
    return {"event": kind, "device_id": "15550109999@s.whatsapp.net", "session_id": device, "payload": said}


async def stays_with(client: Client, phone: str = "15550100001") -> tuple[str, ...]:
    """The accounts that a message to this phone would go through, the first before the others."""
    message = await accept_message(store_of(client), phone=phone)
    return (await peek(store_of(client), [message]))[message].talked_to_by


async def accepted(client: Client, **body: Any) -> Any:
    """The row of a message that was taken."""
    fields = {"phone": "15550100001", "message": "hello"} | body
    found = await results(await client.post("/api/send/message", json=fields), shapes.AcceptedMessage, 202)
    return await message_row(store_of(client), UUID(found["message_id"]))


async def refused(client: Client, **body: Any) -> list[str]:
    fields = {"phone": "15550100001", "message": "hello"} | body
    return await refused_fields(await client.post("/api/send/message", json=fields), 400)


@pytest.mark.parametrize(
    "said",
    [
        event("message", "sales-2", body="Is it still there?"),
        event("message", "sales-2", image={"path": "statics/media/a.jpe"}),
        event("message", "sales-2", location={"degreesLatitude": -6.2, "degreesLongitude": 106.8}),
        event("message", "sales-2", contact={"displayName": "Ben"}),
        event("message.reaction", "sales-2", reaction="👍", reacted_message_id="3EB0"),
        event("message.edited", "sales-2", original_message_id="3A00", body="Is it?"),
        event("message", "sales-2", chat_id=HIDDEN, body="hi"),
        event("message", "sales-2", **{"from": HIDDEN}, body="hi"),
        event("message", "sales-2", **{"from": "15550100001:7@s.whatsapp.net"}, body="hi"),
    ],
)
async def test_whatever_somebody_writes_binds_them_to_the_account(client: Client, said: dict[str, Any]) -> None:
    for _ in range(2):
        await heard(client, said)
    assert await stays_with(client) == (endpoint(client, "sales-2"),)


@pytest.mark.parametrize(
    "said",
    [
        event("message", "sales-2", is_from_me=True, body="hi"),
        event("message", "sales-2", chat_id=GROUP, body="hi"),
        event("message", "sales-2", chat_id="status@broadcast", body="hi"),
        event("message.revoked", "sales-2", revoked_message_id="3A00"),
        event("message", "nobody-1", body="hi"),
        event("call.offer", "sales-2"),
        ack("3EB0", device="sales-2"),
    ],
)
async def test_what_binds_nobody(client: Client, said: dict[str, Any]) -> None:
    await heard(client, said)
    assert await stays_with(client) == ()


async def test_another_spelling_is_the_same_person(client: Client) -> None:
    twin = "5511987654321@s.whatsapp.net"
    await heard(client, event("message", "sales-3", **{"from": twin, "chat_id": twin}, body="oi"))
    assert await stays_with(client, "551187654321") == (endpoint(client, "sales-3"),)


async def test_the_only_account_needs_no_name(start_gateway: StartGateway) -> None:
    client = await start_gateway(whatsapp_webhook_secret=SECRET)
    [only] = client.server.app[ENDPOINTS]
    # Version 7 knows no devices, and later ones name the one they have.
    await heard(client, {"sender_id": "15550100001", "chat_id": "15550100001", "from": ANA, "message": {"text": "hi"}})
    assert await stays_with(client) == (only,)
    ben = "15550100002@s.whatsapp.net"
    await heard(client, event("message", "default", **{"from": ben, "chat_id": ben}, body="hi"))
    assert await stays_with(client, "15550100002") == (only,)


# Answers.


async def test_an_answer_goes_through_the_account_that_was_written_to(client: Client) -> None:
    await heard(client, event("message", "sales-2", id="3A5F", body="Is it still there?"))
    row = await accepted(client, reply_message_id="3A5F")
    assert row["chosen_endpoint"] == endpoint(client, "sales-2")
    assert row["content"] == {"message": "hello", "reply_message_id": "3A5F"}
    # To whomever it goes: the account has it.
    assert (await accepted(client, reply_message_id="3A5F", phone="15550100002"))["chosen_endpoint"] == row[
        "chosen_endpoint"
    ]
    # The account named is the one that has it.
    row = await accepted(client, reply_message_id="3A5F", endpoint=endpoint(client, "sales-2"))
    assert row["chosen_endpoint"] == endpoint(client, "sales-2")


async def test_a_campaign_of_answers_goes_through_the_account_that_has_it(client: Client) -> None:
    await heard(client, event("message", "sales-2", id="3A5F", chat_id=GROUP, body="who is in?"))
    body = {"phone": ["15550100001", "15550100002"], "message": "we are", "reply_message_id": "3A5F"}
    await results(await client.post("/api/send/message", json=body), shapes.AcceptedCampaign, 202)
    assert await store_of(client).fetchval("select endpoint from campaigns") == endpoint(client, "sales-2")


async def test_an_answer_to_what_the_account_s_own_phone_wrote(client: Client) -> None:
    await heard(client, event("message", "sales-3", id="3EB0F", is_from_me=True, body="typed by hand"))
    assert (await accepted(client, reply_message_id="3EB0F"))["chosen_endpoint"] == endpoint(client, "sales-3")


async def test_an_answer_through_an_account_that_cannot_quote_is_refused(client: Client) -> None:
    await heard(client, event("message", "sales-2", id="3A5F", body="hi"))
    other = endpoint(client, "sales-1")
    assert await refused(client, reply_message_id="3A5F", endpoint=other) == ["reply_message_id", "endpoint"]
    # Two accounts are in the group, and either has it.
    for device in ("sales-1", "sales-3"):
        await heard(client, event("message", device, id="3A60", chat_id=GROUP, body="hi"))
    assert (await accepted(client, reply_message_id="3A60", endpoint=other))["chosen_endpoint"] == other
    assert (await accepted(client, reply_message_id="3A60"))["chosen_endpoint"] == endpoint(client, "sales-3")
    named = endpoint(client, "sales-2")
    assert await refused(client, reply_message_id="3A60", endpoint=named) == ["reply_message_id", "endpoint"]


async def test_an_id_that_nobody_has_heard_of_binds_to_nothing(client: Client) -> None:
    row = await accepted(client, reply_message_id="3EB0TYPEDONTHEPHONE")
    assert (row["chosen_endpoint"], row["content"]["reply_message_id"]) == (None, "3EB0TYPEDONTHEPHONE")
    other = endpoint(client, "sales-1")
    assert (await accepted(client, reply_message_id="3EB0TYPED", endpoint=other))["chosen_endpoint"] == other
    # A reaction cannot be answered, so its id says nothing.
    await heard(client, event("message.reaction", "sales-2", id="3A77", reaction="👍"))
    assert (await accepted(client, reply_message_id="3A77"))["chosen_endpoint"] is None


async def sent_through(client: Client, device: str, whatsapp_id: str | None) -> UUID:
    message = await accept_message(store_of(client))
    begun = await begin(store_of(client), message, endpoint=endpoint(client, device))
    await write(store_of(client), sent(begun, whatsapp_id))
    return message


async def test_an_answer_to_a_message_of_ours_by_either_id(client: Client) -> None:
    original = await sent_through(client, "sales-3", "3EB0OURS")
    for named in ("3EB0OURS", str(original), str(original).upper(), f" {original} "):
        row = await accepted(client, reply_message_id=named)
        assert row["chosen_endpoint"] == endpoint(client, "sales-3"), named
        assert row["content"]["reply_message_id"] == named, "it is resolved when it is sent"
    other = endpoint(client, "sales-1")
    fields = ["reply_message_id", "endpoint"]
    assert await refused(client, reply_message_id=str(original), endpoint=other) == fields


async def test_an_answer_to_a_message_that_is_not_sent_yet_or_never_was(client: Client) -> None:
    waiting = await accept_message(store_of(client))
    assert (await accepted(client, reply_message_id=str(waiting)))["chosen_endpoint"] is None
    gone = await accept_message(store_of(client))
    await write(store_of(client), failed(await begin(store_of(client), gone)))
    assert (await accepted(client, reply_message_id=str(gone)))["chosen_endpoint"] is None


async def test_an_id_of_no_message_of_ours_is_refused(client: Client) -> None:
    assert await refused(client, reply_message_id=str(uuid4())) == ["reply_message_id"]
    body = {"phone": ["15550100001", "15550100002"], "message": "hello"}
    campaign = await results(await client.post("/api/send/message", json=body), shapes.AcceptedCampaign, 202)
    assert await refused(client, reply_message_id=campaign["campaign_token"]) == ["reply_message_id"]
    assert await store_of(client).fetchval("select count(*) from messages where campaign is null") == 0


async def test_an_account_that_has_left_the_settings_binds_nothing(client: Client) -> None:
    message = await accept_message(store_of(client))
    await write(store_of(client), sent(await begin(store_of(client), message, endpoint="gone"), "3EB0GONE"))
    for named in ("3EB0GONE", str(message)):
        assert (await accepted(client, reply_message_id=named))["chosen_endpoint"] is None


async def test_the_event_of_a_hidden_sender_binds_once_a_receipt_names_both(client: Client) -> None:
    await heard(client, event("message", "sales-2", **{"from": HIDDEN}, chat_id=HIDDEN, body="hi"))
    assert await stays_with(client) == ()
    receipt = ack("3EB0", device="sales-1")
    receipt["payload"] |= {"from": ANA, "from_lid": HIDDEN}
    await heard(client, receipt)
    assert await stays_with(client) == (endpoint(client, "sales-2"),)


async def test_words_of_a_hidden_sender_do_not_reach_the_log(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await heard(client, text("stop", HIDDEN, chat_id=HIDDEN))
    assert "204800000000001" not in capsys.readouterr().out
