"""POST /api/webhooks/gowa: only what is signed counts, and receipts converge in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from services.gateway import shapes
from services.gateway.app_keys import DATABASE, ENDPOINTS, QUEUE, REFUSED_WEBHOOKS
from services.gateway.routes.gowa_webhook import MAX_BODY, PATH, SIGNATURE
from shared.database.account_answers import note_answer
from shared.database.attempts import GateRequest, end_unsendable
from shared.database.connection import Database
from shared.database.receipts import Leftovers, join_leftovers, record_receipts
from shared.messages import Receipt, Status
from shared.queue.noting import Noted, noted
from tests.integration.accepting import accept_campaign, accept_message, message_row, status_of
from tests.integration.database.beginning import begin, due_why, failed, history, sent, to_retry, unknown, write
from tests.integration.dispatcher.stage import eventually
from tests.integration.gateway.conftest import Client, StartGateway, results
from tests.integration.gateway.webhooks import ACCOUNT, SECRET, ack, heard, post, signature, text

DAY = 86_400.0
LOCK_WAITERS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


async def counts(store: Database, campaign: UUID) -> dict[str, int]:
    row = await store.fetchrow(
        "select sum(sent)::int as sent, sum(delivered)::int as delivered, sum(read)::int as read,"
        " sum(failed)::int as failed, sum(unknown)::int as unknown, sum(canceled)::int as canceled"
        " from campaign_counts where campaign = $1",
        campaign,
    )
    return {name: number for name, number in row.items() if number} if row else {}


async def leftovers(store: Database) -> int:
    """One round of the scheduler's; answers how many messages changed."""
    changed, cursor = 0, ""
    while True:
        page = await join_leftovers(store, 3, cursor, 100, DAY)
        changed, cursor = changed + page.changed, page.following
        if not cursor:
            return changed


async def pending(store: Database) -> int:
    return int(await store.fetchval("select count(*) from pending_receipts"))


async def receipt_of(store: Database, message: UUID) -> str:
    return str((await message_row(store, message))["receipt"])


# The rows.

EVENTS: list[tuple[Receipt, str]] = [
    (Receipt.DELIVERED, "a"),
    (Receipt.READ, "a"),
    (Receipt.DELIVERED, "a"),
    (Receipt.READ, ""),
]


@pytest.mark.parametrize("settles_as", [sent, unknown], ids=["sent", "unknown first"])
async def test_early_late_doubled_and_shuffled_receipts_come_to_the_same(store: Database, settles_as: Any) -> None:
    """Each order of four receipts and the settlement among them; an outcome that was unknown is known by then."""
    # Two of the four are alike.
    for order in dict.fromkeys(permutations([*EVENTS, None])):
        campaign = await accept_campaign(store, 1)
        [message] = campaign.messages
        name = f"W-{message}"
        begun = await begin(store, message)
        if settles_as is unknown:
            await write(store, unknown(begun))
        for event in order:
            if event is None:
                await write(store, sent(begun, name))
            else:
                await record_receipts(store, 1, [name], event[1], event[0])
        assert (await status_of(store, message), await receipt_of(store, message)) == (Status.SENT, "read"), order
        assert await counts(store, campaign.token) == {"sent": 1, "delivered": 1, "read": 1}, order
        assert await pending(store) == 0, order
    assert await leftovers(store) == 0


async def test_receipts_at_the_very_same_moment_as_the_settlement(store: Database) -> None:
    chance = random.Random(4)
    for _ in range(40):
        campaign = await accept_campaign(store, 6)
        begun = [await begin(store, message, slot=slot) for slot, message in enumerate(campaign.messages)]
        names = [f"W-{message}" for message in campaign.messages]
        some = [chance.sample(names, 4) for _ in range(4)]
        receipts = [Receipt.DELIVERED, Receipt.DELIVERED, Receipt.READ, Receipt.READ]
        work: list[Coroutine[Any, Any, Any]] = [
            write(store, *map(sent, begun, names)),
            record_receipts(store, 2, names, "", Receipt.READ),
            *(record_receipts(store, 1, ids, "a", receipt) for ids, receipt in zip(some, receipts, strict=True)),
        ]
        chance.shuffle(work)
        await asyncio.gather(*work)
        await leftovers(store)
        assert {await receipt_of(store, message) for message in campaign.messages} == {"read"}
        assert await counts(store, campaign.token) == {"sent": 6, "delivered": 6, "read": 6}
        assert await pending(store) == 0
        await store.execute("delete from open_attempts")


async def test_what_settlement_and_webhook_missed_of_each_other_is_joined_later(store: Database) -> None:
    message = await accept_message(store)
    begun = await begin(store, message)
    async with store.transaction() as settling:
        # The settlement's last statement has looked; its row is not visible yet.
        await settling.execute("insert into whatsapp_ids values ('W1', 'a', $1, 1)", message)
        assert await record_receipts(store, 0, ["W1"], "a", Receipt.READ) == 0
    await write(store, sent(begun))
    assert await receipt_of(store, message) == "none"
    assert await leftovers(store) == 1
    assert await receipt_of(store, message) == "read"


async def test_a_receipt_that_comes_again_while_it_is_joined_is_waited_for_by_nobody(store: Database) -> None:
    message = await accept_message(store)
    await write(store, sent(await begin(store, message)))
    await record_receipts(store, 0, ["W1"], "a", Receipt.READ)
    await store.execute("insert into whatsapp_ids values ('W1', 'a', $1, 1)", message)

    async with store.transaction() as joining:
        await joining.execute("select from messages where id = $1 for no key update", message)
        # It has the receipt, and waits for the message; we have the message, and must not wait for the receipt.
        again = asyncio.create_task(record_receipts(store, 0, ["W1"], "a", Receipt.READ))
        await eventually(lambda: store.fetchval(LOCK_WAITERS), "waiting for the message")
        assert await joining.fetchval("select join_receipts(0, '{W1}')") == 0
    assert await again == 1
    assert (await receipt_of(store, message), await pending(store)) == ("read", 0)


async def test_a_receipt_without_a_message_is_kept_for_a_day(store: Database) -> None:
    await record_receipts(store, 0, ["typed on the phone", "another"], "", Receipt.DELIVERED)
    await store.execute(
        "update pending_receipts set received_at = received_at - interval '25 h' where whatsapp_id = 'another'"
    )
    assert await join_leftovers(store, 0, "", 100, DAY) == Leftovers(0, 1, "typed on the phone")
    assert await pending(store) == 1


async def test_leftovers_are_looked_at_page_by_page(store: Database) -> None:
    for number in range(5):
        await record_receipts(store, 0, [f"W{number}"], "", Receipt.READ)
        await record_receipts(store, 0, [f"W{number}"], "a", Receipt.DELIVERED)
    seen: list[str] = []
    cursor = ""
    while cursor or not seen:
        cursor = (await join_leftovers(store, 0, cursor, 3, DAY)).following
        seen.append(cursor)
    # The limit counts receipts, of which an id may have several; none is passed over.
    assert seen == ["W1", "W3", "W4", ""]


@pytest.mark.parametrize("state", ["checked", "unknown", "retrying", "retried", "failed", "canceled"])
async def test_a_receipt_of_a_known_id_proves_that_it_was_sent(store: Database, state: str) -> None:
    campaign = await accept_campaign(store, 1)
    [message] = campaign.messages
    first = await begin(store, message)
    if state in ("checked", "unknown"):
        await write(store, unknown(first))
        if state == "unknown":
            assert await store.fetchval("select decide_unknown($1, null, 'checked')", message) == "unknown"
    elif state == "failed":
        await write(store, failed(first))
    else:
        await write(store, to_retry(first))
        if state == "retried":
            await begin(store, message)
        if state == "canceled":
            await end_unsendable(store, 0, [message], Status.CANCELED, "test")
    await record_receipts(store, 0, ["W1"], "a", Receipt.DELIVERED)
    assert await status_of(store, message) is not Status.SENT, "an id that is nobody's proves nothing"
    await store.execute("insert into whatsapp_ids values ('W1', 'a', $1, 1)", message)
    assert await leftovers(store) == 1
    assert await status_of(store, message) is Status.SENT
    assert await counts(store, campaign.token) == {"sent": 1, "delivered": 1}
    assert await due_why(store, message) is None
    if state in ("checked", "unknown"):
        assert await history(store, message) == [(1, "sent")]


async def test_of_two_accounts_with_the_same_id_the_one_that_reports_is_meant(store: Database) -> None:
    messages = {endpoint: await accept_message(store) for endpoint in ("a", "b")}
    for endpoint, message in messages.items():
        await write(store, sent(await begin(store, message, endpoint=endpoint), "W1"))
    await record_receipts(store, 0, ["W1"], "b", Receipt.READ)
    assert [await receipt_of(store, messages[name]) for name in "ab"] == ["none", "read"]


async def test_an_account_whose_address_has_changed_keeps_its_receipts(store: Database) -> None:
    message = await accept_message(store)
    await write(store, sent(await begin(store, message, endpoint="old"), "W1"))
    await record_receipts(store, 0, ["W1"], "new", Receipt.DELIVERED)
    assert await receipt_of(store, message) == "delivered"


# The route.


@pytest.fixture
async def hearing(start_gateway: StartGateway) -> Client:
    return await start_gateway(
        login=False,
        whatsapp_webhook_secret=SECRET,
        whatsapp_endpoints="http://one:3000,http://one:3000",
        whatsapp_auths="u:p,u:p",
        whatsapp_device_ids="sales-1,sales-2",
    )


async def sent_message(client: Client, whatsapp_id: str, endpoint: str = "a") -> UUID:
    store = client.server.app[DATABASE]
    message = await accept_message(store)
    begun: GateRequest = await begin(store, message, endpoint=endpoint)
    await write(store, sent(begun, whatsapp_id))
    return message


async def test_without_a_secret_nothing_is_taken_and_it_says_why(start_gateway: StartGateway) -> None:
    client = await start_gateway(login=False)
    for secret in ("", SECRET, "secret"):
        body = b"{}"
        response = await client.post(PATH, data=body, headers={SIGNATURE: signature(body, secret)})
        assert response.status == 404
        assert "WHATSAPP_WEBHOOK_SECRET" in (await response.json())["message"]


async def test_only_what_is_signed_counts(hearing: Client) -> None:
    message = await sent_message(hearing, "W1")
    store = hearing.server.app[DATABASE]
    for headers in (
        {},
        {SIGNATURE: ""},
        {SIGNATURE: signature(b"{}")},
        {SIGNATURE: "sha256="},
        {"Authorization": "Basic YTpi"},
    ):
        response = await hearing.post(PATH, json=ack("W1"), headers=headers)
        assert response.status == 401
        assert (await response.json())["code"] == "AUTHENTICATION_ERROR"
    assert await receipt_of(store, message) == "none"
    assert await pending(store) == 0
    # The monitor is told; several within a second are told with the next one after it.
    assert (await noted(hearing.server.app[QUEUE]))[Noted.REFUSED_WEBHOOK] == 1
    hearing.server.app[REFUSED_WEBHOOKS]._told_at = float("-inf")
    assert (await hearing.post(PATH, json=ack("W1"))).status == 401
    assert (await noted(hearing.server.app[QUEUE]))[Noted.REFUSED_WEBHOOK] == 6
    await heard(hearing, ack("W1"))
    assert (await noted(hearing.server.app[QUEUE]))[Noted.REFUSED_WEBHOOK] == 6
    assert await receipt_of(store, message) == "delivered"


@pytest.mark.parametrize("device", ["sales-1", "sales-2", "unheard-of", None], ids=str)
async def test_a_receipt_is_shown(hearing: Client, start_gateway: StartGateway, device: str | None) -> None:
    """Of version 9 with its slot, of one that is not in the settings, and of version 7, which has none."""
    message = await sent_message(hearing, "W1")
    reader = await start_gateway()
    await heard(hearing, ack("W0", "W1", device=device))
    shown = await results(await reader.get(f"/api/messages/{message}"), shapes.Message)
    assert (shown["receipt"], shown["whatsapp_id"]) == ("delivered", "W1")
    await heard(hearing, ack("W1", receipt="read", device=device))
    await heard(hearing, ack("W1", receipt="delivered", device=device))
    await heard(hearing, ack("W1", receipt="read-self", device=device))
    shown = await results(await reader.get(f"/api/messages/{message}"), shapes.Message)
    assert shown["receipt"] == "read"


async def test_a_campaign_counts_its_receipts(hearing: Client, start_gateway: StartGateway) -> None:
    store = hearing.server.app[DATABASE]
    campaign = await accept_campaign(store, 4)
    for number, message in enumerate(campaign.messages):
        await heard(hearing, ack("W1", receipt="read"))
        await write(store, sent(await begin(store, message), f"W{number}"))
    await heard(hearing, ack("W0", "W1", "W2"))
    reader = await start_gateway()
    shown = await results(await reader.get(f"/api/campaigns/{campaign.token}"), shapes.Campaign)
    assert shown["receipts"] == {"delivered": 3, "read": 1}
    listed = await results(await reader.get("/api/campaigns"), shapes.CampaignList)
    assert listed["campaigns"][0]["receipts"] == {"delivered": 3, "read": 1}


@pytest.mark.parametrize(
    "event",
    [
        {"event": "call.offer", "payload": {"call_id": "C0FFEE01"}},
        {"event": "message.ack", "payload": {"ids": ["W1"], "receipt_type": "played"}},
        {"event": "message.ack"},
        {"event": None, "payload": [1]},
        {},
        b'{"event":"message.ack","payload":{"ids":["\\u0000"],"receipt_type":"read"}}',
    ],
)
async def test_what_means_nothing_is_answered_and_ignored(hearing: Client, event: object) -> None:
    await results(await post(hearing, event), shapes.Heard)
    assert await pending(hearing.server.app[DATABASE]) == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 5000]
)
async def test_a_body_that_is_no_event(hearing: Client, body: bytes) -> None:
    assert (await post(hearing, body)).status in (200, 400)


async def test_a_body_is_bounded(hearing: Client) -> None:
    assert (await post(hearing, b" " * (MAX_BODY + 1))).status == 413
    many = ack(*(f"{number:024d}" for number in range(20_000)))
    await heard(hearing, many)
    assert await pending(hearing.server.app[DATABASE]) == 20_000


@pytest.mark.parametrize("device", ["sales-1", None], ids=["by its slot", "by its number"])
async def test_a_receipt_proves_a_send_that_the_sender_gave_up(hearing: Client, device: str | None) -> None:
    """Brazil's two spellings of a number are one person."""
    store = hearing.server.app[DATABASE]
    [endpoint] = [one.id for one in hearing.server.app[ENDPOINTS].values() if one.device_id == "sales-1"]
    await note_answer(store, endpoint, ACCOUNT)
    message = await accept_message(store, phone="555191234567")
    await write(store, unknown(await begin(store, message, endpoint=endpoint)))
    event = ack("3EB0A1B2C3D4E5F6071829", device=device) | {"device_id": ACCOUNT}
    event["payload"] |= {"from": "5551991234567@s.whatsapp.net", "from_lid": "2048@lid"}
    await heard(hearing, event)
    assert (await status_of(store, message), await receipt_of(store, message)) == (Status.SENT, "delivered")


async def test_a_receipt_under_a_hidden_id_is_its_persons(hearing: Client) -> None:
    """An earlier event has named the number behind it; until then it is nobody's."""
    store = hearing.server.app[DATABASE]
    [endpoint] = [one.id for one in hearing.server.app[ENDPOINTS].values() if one.device_id == "sales-1"]
    message = await accept_message(store, phone="15550100001")
    await write(store, unknown(await begin(store, message, endpoint=endpoint)))
    event = ack("3EB0A1B2C3D4E5F6071829", device="sales-1")
    event["payload"] |= {"from": "2048@lid"}
    await heard(hearing, event)
    assert await status_of(store, message) is not Status.SENT
    await heard(hearing, text("hello", "15550100001@s.whatsapp.net", from_lid="2048@lid"))
    await heard(hearing, event)
    assert (await status_of(store, message), await receipt_of(store, message)) == (Status.SENT, "delivered")
