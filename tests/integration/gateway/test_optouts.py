"""Opt-outs: by a caller, by a word of the person, under any spelling of the number; and nothing begins after the answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from services.gateway import shapes
from services.gateway.app_keys import DATABASE
from shared.database.attempts import peek
from shared.database.connection import Database
from shared.messages import Refusal
from shared.messages.phone_key import phone_key
from tests.integration.accepting import accept_message
from tests.integration.database.beginning import begin, sent, write
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results
from tests.integration.gateway.webhooks import SECRET, ack, heard, text

ANA, HIDDEN = "15550100001@s.whatsapp.net", "204800000000001@lid"
# Brazil's ninth digit, Mexico's 1, Argentina's 9: two spellings of one person each.
TWINS = [("5511987654321", "551187654321"), ("5215512345678", "525512345678"), ("5491123456789", "541123456789")]


@pytest.fixture
async def client(start_gateway: StartGateway) -> Client:
    return await start_gateway(whatsapp_webhook_secret=SECRET, optout_words="Genug,Basta ya")


def store_of(client: Client) -> Database:
    return client.server.app[DATABASE]


async def put(client: Client, phone: str, **body: Any) -> dict[str, Any]:
    response = (
        await client.put(f"/api/optouts/{phone}", json=body) if body else await client.put(f"/api/optouts/{phone}")
    )
    return await results(response, shapes.OptOut)


@pytest.mark.parametrize(
    "spelt", ["+62 0812 3456 7890", "6281234567890.0", "'6281234567890", "\ufeff+62-812-3456-7890"]
)
async def test_under_whatever_spelling_it_is_one_person(client: Client, spelt: str) -> None:
    shown = await put(client, quote(spelt, safe=""), scope="all")
    assert shown["phone"] == "6281234567890@s.whatsapp.net"
    assert await has_opted_out(client, "6281234567890")
    assert await refusal_of(client, "6281234567890@s.whatsapp.net", "transactional") is Refusal.SUPPRESSED


async def has_opted_out(client: Client, phone: str = "15550100001") -> bool:
    response = await client.get(f"/api/optouts/{phone}")
    assert response.status in (200, 404)
    return response.status == 200


async def refusal_of(client: Client, phone: str, lane: str) -> Refusal | None:
    """What peek says of a new message to this phone."""
    message = await accept_message(store_of(client), phone=phone, lane=lane)
    await store_of(client).execute("update messages set phone_key = $2 where id = $1", message, phone_key(phone))
    return (await peek(store_of(client), [message]))[message].refusal


async def sent_to(client: Client, phone: str, whatsapp_id: str, endpoint: str = "a") -> UUID:
    message = await accept_message(store_of(client), phone=phone)
    await write(store_of(client), sent(await begin(store_of(client), message, endpoint=endpoint), whatsapp_id))
    return message


async def test_adding_showing_changing_and_removing(client: Client) -> None:
    added = await put(client, "+1 555-010-0001")
    assert (added["phone"], added["scope"], added["source"]) == (ANA, "bulk", "api")
    assert await results(await client.get("/api/optouts/0015550100001"), shapes.OptOut) == added
    changed = await put(client, "15550100001", scope="all")
    assert changed == added | {"scope": "all"}
    assert await results(await client.delete(f"/api/optouts/{ANA}"), shapes.OptedIn) == {"phone": ANA}
    for method in ("GET", "DELETE"):
        assert (await client.request(method, "/api/optouts/15550100001")).status == 404


@pytest.mark.parametrize(
    ("scope", "refusals"),
    [("bulk", [Refusal.SUPPRESSED, None]), ("all", [Refusal.SUPPRESSED, Refusal.SUPPRESSED])],
)
async def test_the_scope_says_what_is_suppressed(client: Client, scope: str, refusals: list[Refusal | None]) -> None:
    await put(client, "15550100001", scope=scope)
    assert [await refusal_of(client, "15550100001", lane) for lane in ("bulk", "transactional")] == refusals
    assert await refusal_of(client, "15550100002", "bulk") is None
    await client.delete("/api/optouts/15550100001")
    assert await refusal_of(client, "15550100001", "bulk") is None


@pytest.mark.parametrize(("one", "other"), TWINS)
async def test_another_spelling_is_the_same_person(client: Client, one: str, other: str) -> None:
    for given, asked in ((one, other), (other, one)):
        await put(client, given)
        assert await has_opted_out(client, asked)
        assert await refusal_of(client, asked, "bulk") is Refusal.SUPPRESSED
        assert (await client.delete(f"/api/optouts/{asked}")).status == 200
        assert await refusal_of(client, given, "bulk") is None


@pytest.mark.parametrize("phone", ["12", "nobody", "0812345678", "15550100001@lid", "%00", "%ED%A0%80", "%20"])
async def test_a_phone_that_is_none(client: Client, phone: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert await refused_fields(await client.request(method, f"/api/optouts/{phone}"), 400) == ["phone"]


async def test_a_wrong_body(client: Client) -> None:
    assert await refused_fields(await client.put("/api/optouts/15550100001", json={"scope": "some"}), 400) == ["scope"]
    assert await refused_fields(await client.put("/api/optouts/15550100001", json={"reason": "x"}), 400) == ["reason"]
    assert not await has_opted_out(client)


async def test_the_list_comes_in_pages(client: Client) -> None:
    phones = [f"1555010000{number}" for number in range(5)]
    for phone in reversed(phones):
        await put(client, phone)
    seen, cursor = [], ""
    while cursor is not None:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = await results(await client.get("/api/optouts", params=query), shapes.OptOutList)
        seen += [one["phone"] for one in page["optouts"]]
        cursor = page["next_cursor"]
    assert seen == [f"{phone}@s.whatsapp.net" for phone in phones]
    assert await refused_fields(await client.get("/api/optouts", params={"cursor": "\x00"}), 400) == ["cursor"]
    assert await refused_fields(await client.get("/api/optouts", params={"limit": "0"}), 400) == ["limit"]


# By a word of the person.


@pytest.mark.parametrize("word", ["STOP", "Berhenti.", "genug!", "basta ya"])
async def test_a_word_ends_campaigns_and_another_asks_for_them_again(client: Client, word: str) -> None:
    await heard(client, text(word, ANA))
    shown = await results(await client.get("/api/optouts/15550100001"), shapes.OptOut)
    assert (shown["scope"], shown["source"], shown["phone"]) == ("bulk", "message", ANA)
    assert await refusal_of(client, "15550100001", "bulk") is Refusal.SUPPRESSED
    await heard(client, text("Start", ANA))
    assert not await has_opted_out(client)


@pytest.mark.parametrize(
    "event",
    [
        text("please don't stop", ANA),
        text("stop", ANA, is_from_me=True),
        text("stop", ANA, chat_id="120363000000000001@g.us"),
        text("stop", ANA) | {"event": "message.edited"},
    ],
)
async def test_other_texts_end_nothing(client: Client, event: dict[str, Any]) -> None:
    await heard(client, event)
    assert not await has_opted_out(client)


async def test_a_text_of_version_7(client: Client) -> None:
    await heard(
        client, {"sender_id": "15550100001", "chat_id": "15550100001", "from": ANA, "message": {"text": "stop"}}
    )
    assert await has_opted_out(client)


@pytest.mark.parametrize(("one", "other"), TWINS)
async def test_who_writes_under_another_spelling(client: Client, one: str, other: str) -> None:
    await heard(client, text("stop", f"{one}@s.whatsapp.net"))
    assert await refusal_of(client, other, "bulk") is Refusal.SUPPRESSED


async def test_a_hidden_number_is_found_by_the_message_it_answers(client: Client) -> None:
    await sent_to(client, "15550100001", "W1")
    await sent_to(client, "15550100002", "W2")
    hidden = text("stop", HIDDEN, chat_id=HIDDEN)
    await heard(client, hidden)
    hidden["payload"]["replied_to_id"] = "W9"
    await heard(client, hidden)
    assert not await has_opted_out(client)
    hidden["payload"]["replied_to_id"] = "W1"
    await heard(client, hidden)
    assert await has_opted_out(client)
    assert not await has_opted_out(client, "15550100002")


async def test_a_word_does_not_undo_what_a_caller_said(client: Client) -> None:
    await put(client, "15550100001", scope="all")
    await heard(client, text("stop", ANA))
    await heard(client, text("start", ANA))
    shown = await results(await client.get("/api/optouts/15550100001"), shapes.OptOut)
    assert (shown["scope"], shown["source"]) == ("all", "api")


async def test_events_in_any_order_leave_the_last_word(client: Client) -> None:
    early, middle, late = (f"2026-09-01T10:20:0{second}Z" for second in (1, 2, 3))
    await heard(client, text("stop", ANA, timestamp=early))
    await heard(client, text("stop", ANA, timestamp=late))
    await heard(client, text("start", ANA, timestamp=middle))
    assert await has_opted_out(client), "the word to come back is older than the last stop"
    await heard(client, text("stop", ANA, timestamp=early))
    await heard(client, text("start", ANA, timestamp=middle))
    assert await has_opted_out(client)
    await heard(client, text("start", ANA, timestamp="2026-09-01T10:20:04Z"))
    assert not await has_opted_out(client)


# Under a hidden id.


def hidden(word: str, **payload: Any) -> dict[str, Any]:
    return text(word, HIDDEN, chat_id=HIDDEN, **payload)


def naming(**payload: Any) -> dict[str, Any]:
    """A receipt that names Ana by number and by hidden id."""
    event = ack("3EB0", device="sales-1")
    return event | {"payload": event["payload"] | {"chat_id": HIDDEN, "from": ANA, "from_lid": HIDDEN} | payload}


async def unresolved(client: Client) -> list[str]:
    page = await results(await client.get("/api/optouts"), shapes.OptOutList)
    return [one["lid"] for one in page["unresolved"]]


@pytest.mark.parametrize(
    "named",
    [
        naming(),
        naming(chat_id=ANA),
        naming(from_lid=None),
        naming(receipt_type="read"),
        naming(from_lid=HIDDEN.replace("@", ":3@")),
        text("hi", ANA, from_lid=HIDDEN),
        text("hi", ANA, chat_lid=HIDDEN),
        text("hi", ANA, chat_id=HIDDEN),
        text("hi", HIDDEN, chat_id=ANA),
        text("hi", ANA, chat_id="120363000000000001@g.us", from_lid=HIDDEN),
        text("hi", "15550109999@s.whatsapp.net", is_from_me=True, chat_id=ANA, chat_lid=HIDDEN),
        text("", ANA, from_lid=HIDDEN) | {"event": "message.reaction"},
        text("", ANA, from_lid=HIDDEN) | {"event": "message.revoked"},
    ],
)
async def test_a_hidden_number_is_known_from_every_event_that_names_both(client: Client, named: dict[str, Any]) -> None:
    await heard(client, hidden("stop"))
    assert await unresolved(client) == [HIDDEN]
    assert not await has_opted_out(client)
    for _ in range(2):
        await heard(client, named)
    assert await has_opted_out(client)
    assert await unresolved(client) == []
    await heard(client, hidden("start"))
    assert not await has_opted_out(client)
    await heard(client, hidden("stop"))
    assert await has_opted_out(client)


@pytest.mark.parametrize(
    "said",
    [
        naming(receipt_type="read-self", **{"from": "15550109999@s.whatsapp.net"}, from_lid=None),
        naming(receipt_type="read", **{"from": "15550109999@s.whatsapp.net"}, from_lid=None),
        naming(**{"from": HIDDEN}),
        text("hi", "15550109999@s.whatsapp.net", is_from_me=True, chat_id=HIDDEN),
    ],
)
async def test_a_hidden_id_is_not_joined_with_our_own_number(client: Client, said: dict[str, Any]) -> None:
    await heard(client, hidden("stop"))
    await heard(client, said)
    assert await unresolved(client) == [HIDDEN]
    assert not await has_opted_out(client, "15550109999")


async def test_the_last_word_under_a_hidden_id_counts_in_any_order(client: Client) -> None:
    early, late = "2026-09-01T10:20:01Z", "2026-09-01T10:20:02Z"
    await heard(client, hidden("start", timestamp=late))
    await heard(client, hidden("stop", timestamp=early))
    assert await unresolved(client) == []
    await heard(client, naming())
    assert not await has_opted_out(client)


async def test_an_answer_under_a_hidden_id_tells_whose_it_is_from_then_on(client: Client) -> None:
    await sent_to(client, "15550100001", "W1")
    await heard(client, hidden("stop"))
    await heard(client, hidden("who is this?", replied_to_id="W1"))
    assert await has_opted_out(client)
    assert await unresolved(client) == []


async def test_a_caller_may_say_whose_hidden_id_it_is(client: Client) -> None:
    await heard(client, hidden("stop"))
    added = await put(client, "15550100001", lid=HIDDEN)
    assert added["phone"] == ANA
    assert await unresolved(client) == []
    for wrong in ("nobody", ANA, "@lid", "2048@lid@lid", ""):
        response = await client.put("/api/optouts/15550100002", json={"lid": wrong})
        if wrong:
            assert await refused_fields(response, 400) == ["lid"]
    await heard(client, hidden("start"))
    assert await has_opted_out(client), "what a caller said only a caller takes back"
