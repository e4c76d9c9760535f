"""Messages from people reach the webhook in GOWA's shape, and chat storage, where a reply finds what it quotes."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import PHONE, Gowa, Receiver, Start

NUMBER = PHONE.partition("@")[0]
LID = "204800000000001@lid"
GROUP = "120363000000000001@g.us"


async def comes(gowa: Gowa, device: str = "sales-1", **content: Any) -> dict[str, Any]:
    response = await gowa.client.post(f"/simulator/devices/{device}/inbound", json=content)
    assert response.status == 200, await response.text()
    return dict(await response.json())


@pytest.fixture
async def hooked(start: Start, receiver: Receiver) -> Gowa:
    return await start(webhook=receiver.url)


async def payload_of(receiver: Receiver, event: str = "message") -> dict[str, Any]:
    posted, _, _ = await receiver.events.get()
    assert (posted["event"], posted["session_id"], "timestamp" in posted) == (event, "sales-1", False)
    return dict(posted["payload"])


async def test_a_text(hooked: Gowa, receiver: Receiver) -> None:
    answer = await comes(hooked, phone=NUMBER, body="stop")
    payload = await payload_of(receiver)
    assert payload["id"] == answer["id"]
    assert (payload["from"], payload["chat_id"], payload["body"]) == (PHONE, PHONE, "stop")
    assert payload["from_lid"] == payload["chat_lid"]
    assert payload["is_from_me"] is False
    (row,) = await hooked.stored()
    assert (row["id"], row["content"], row["is_from_me"], row["sender_jid"]) == (answer["id"], "stop", False, PHONE)


NAMES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"from": PHONE}, {"from": PHONE, "chat_id": PHONE}),
    ({"from": LID}, {"from": LID, "from_lid": LID, "chat_id": LID, "chat_lid": LID}),
    ({"from": PHONE, "from_lid": LID}, {"from": PHONE, "from_lid": LID, "chat_id": PHONE, "chat_lid": LID}),
    ({"from": PHONE, "chat_id": GROUP}, {"from": PHONE, "chat_id": GROUP}),
    ({"from": LID, "chat_id": GROUP}, {"from": LID, "from_lid": LID, "chat_id": GROUP}),
    ({"from": PHONE, "chat_lid": LID}, {"from": PHONE, "chat_id": PHONE, "chat_lid": LID}),
]


@pytest.mark.parametrize(("given", "named"), NAMES)
async def test_who_wrote_where(hooked: Gowa, receiver: Receiver, given: dict[str, str], named: dict[str, str]) -> None:
    answer = await comes(hooked, body="hello", **given)
    payload = await payload_of(receiver)
    names = ("from", "from_lid", "chat_id", "chat_lid")
    assert {name: payload[name] for name in names if name in payload} == named
    assert answer["chat_id"] == named["chat_id"]
    assert [row["sender_jid"] for row in await hooked.stored(named["chat_id"])] == [named["from"]]


async def test_what_was_typed_on_the_phone(hooked: Gowa, receiver: Receiver) -> None:
    own = (await hooked.results("/devices"))[0]["jid"]
    await comes(hooked, **{"from": PHONE, "body": "mine", "is_from_me": True})
    payload = await payload_of(receiver)
    assert (payload["from"], payload["chat_id"], payload["is_from_me"]) == (own, PHONE, True)
    assert [row["is_from_me"] for row in await hooked.stored()] == [True]


@pytest.mark.parametrize("kind", ["image", "video", "video_note", "document"])
@pytest.mark.parametrize("caption", ["", "see this"])
async def test_media_with_a_caption(hooked: Gowa, receiver: Receiver, kind: str, caption: str) -> None:
    await comes(hooked, phone=NUMBER, kind=kind, body=caption)
    payload = await payload_of(receiver)
    assert payload.get("body", "") == caption
    if caption:
        assert payload[kind]["caption"] == caption
        assert payload[kind]["path"].startswith("statics/media/")
    else:
        assert payload[kind].startswith("statics/media/")
    assert [row["media_type"] for row in await hooked.stored(media_only="true")] == [kind]


@pytest.mark.parametrize("kind", ["audio", "sticker", "contact", "location"])
async def test_other_kinds(hooked: Gowa, receiver: Receiver, kind: str) -> None:
    await comes(hooked, phone=NUMBER, kind=kind)
    assert (await payload_of(receiver))[kind]


ABOUT = [
    ("reaction", "message.reaction", {"reaction": "👍", "reacted_message_id": "3EB0AA"}),
    ("edited", "message.edited", {"body": "👍", "original_message_id": "3EB0AA"}),
    ("revoked", "message.revoked", {"revoked_message_id": "3EB0AA", "revoked_from_me": False, "revoked_chat": PHONE}),
]


@pytest.mark.parametrize(("kind", "event", "fields"), ABOUT)
async def test_what_is_about_another_message_is_no_message(
    hooked: Gowa, receiver: Receiver, kind: str, event: str, fields: dict[str, Any]
) -> None:
    await comes(hooked, phone=NUMBER, kind=kind, body="👍", target_id="3EB0AA")
    payload = await payload_of(receiver, event)
    assert fields.items() <= payload.items()
    assert await hooked.stored() == []


async def test_chosen_id_time_and_quote(hooked: Gowa, receiver: Receiver) -> None:
    chosen = {"id": "3A0011", "replied_to_id": "3EB0AA", "quoted_body": "Hello", "from_name": "Bo", "view_once": True}
    await comes(hooked, phone=NUMBER, body="a", timestamp="2026-09-01T10:20:00+02:00", **chosen)
    payload = await payload_of(receiver)
    assert chosen.items() <= payload.items()
    assert payload["timestamp"] == "2026-09-01T08:20:00Z"
    await comes(hooked, phone=NUMBER, body="b", timestamp=1_788_000_000)
    assert [row["content"] for row in await hooked.stored()] == ["a", "b"]


async def test_a_reply_finds_what_its_own_account_has(start: Start) -> None:
    gowa = await start(devices=("sales-1", "sales-2"))
    inbound = (await comes(gowa, phone=NUMBER, body="question"))["id"]
    reaction = (await comes(gowa, phone=NUMBER, kind="reaction", body="👍", target_id=inbound))["id"]
    sent = (await gowa.send(device="sales-1"))[1]["results"]["message_id"]
    for device, quoted in (
        ("sales-1", inbound),
        ("sales-1", sent),
        ("sales-2", inbound),
        ("sales-1", reaction),
        ("sales-1", "0e6f1f1e-5b6c-4c8e-9d57-000000000000"),
    ):
        assert (await gowa.send(device=device, message=f"{device} {quoted}", reply_message_id=quoted))[0] == 200
    assert (await gowa.send(device="sales-1", message="no reply"))[0] == 200
    found = [line["quote_found"] for line in await gowa.lines(since="1")]
    assert found == [True, True, False, False, False, None]


async def test_somebody_who_wrote_is_no_new_chat(gowa: Gowa) -> None:
    await gowa.mood("429-timelock")
    assert (await gowa.send())[0] == 429
    await comes(gowa, phone=NUMBER, body="hello")
    assert (await gowa.send())[0] == 200


async def test_without_a_webhook_it_is_stored_only(gowa: Gowa) -> None:
    await comes(gowa, phone=NUMBER, body="hello")
    assert [row["content"] for row in await gowa.stored()] == ["hello"]


@pytest.mark.parametrize(
    "content",
    [
        {"body": "x"},
        {"phone": NUMBER, "from": PHONE, "body": "x"},
        {"phone": "+1555", "body": "x"},
        {"phone": NUMBER},
        {"phone": NUMBER, "kind": "song"},
        {"phone": NUMBER, "kind": "reaction", "body": "x"},
        {"from": "bob", "body": "x"},
        {"from": PHONE, "from_lid": "204800000000001", "body": "x"},
        {"phone": NUMBER, "body": "x", "timestamp": "yesterday"},
        {"phone": NUMBER, "body": "x", "timestamp": "2026-09-01T10:20:00"},
        {"phone": NUMBER, "body": "x", "timestamp": True},
        {"phone": NUMBER, "body": "x", "colour": "red"},
        {"phone": NUMBER, "body": "x", "is_from_me": "yes"},
    ],
)
async def test_what_makes_no_sense_is_refused(gowa: Gowa, content: dict[str, Any]) -> None:
    response = await gowa.client.post("/simulator/devices/sales-1/inbound", json=content)
    assert (response.status, bool((await response.json())["error"])) == (400, True)


@pytest.mark.parametrize("mood", ["offline", "logged-out", "404-device"])
async def test_an_account_that_is_not_connected_receives_nothing(gowa: Gowa, mood: str) -> None:
    await gowa.mood(mood)
    response = await gowa.client.post("/simulator/devices/sales-1/inbound", json={"phone": NUMBER, "body": "x"})
    assert response.status == 400
