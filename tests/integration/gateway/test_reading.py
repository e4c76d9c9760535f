"""Messages and campaigns are shown as they stand, page by page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from services.gateway import failure_reasons, shapes
from services.gateway.app_keys import QUEUE
from shared.database.connection import Database
from shared.database.messages import newest_messages
from shared.endpoints.identity import endpoint_id
from shared.messages import Status
from tests.integration.accepting import accept_campaign, accept_message
from tests.integration.database.beginning import begin, failed, sent, to_retry, unknown, write
from tests.integration.gateway.conftest import Client, results

ACCOUNT = endpoint_id("http://127.0.0.1:9", "")


async def show(client: Client, token: UUID) -> dict[str, Any]:
    return await results(await client.get(f"/api/campaigns/{token}"), shapes.Campaign)


async def pages(client: Client, path: str, **query: str) -> list[list[str]]:
    """The message ids of each page."""
    found = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(path, params=query | ({"cursor": cursor} if cursor else {}))
        page = await results(answer, shapes.MessageList)
        found.append([message["message_id"] for message in page["messages"]])
        cursor = page["next_cursor"]
    return found


async def test_a_message_is_shown_with_its_attempts(client: Client, store: Database) -> None:
    message = await accept_message(store)
    await write(store, to_retry(await begin(store, message, endpoint=ACCOUNT)))
    under_way = await begin(store, message, endpoint=ACCOUNT)
    shown = await results(await client.get(f"/api/messages/{message}"), shapes.Message)
    assert (shown["status"], shown["phone"], shown["attempt"]) == ("sending", "15550100001@s.whatsapp.net", 2)
    assert [(one["number"], one["verdict"], one["http_status"]) for one in shown["attempts"]] == [
        (1, "transient", 500),
        (2, None, None),
    ]
    assert shown["attempts"][1]["finished_at"] is None
    await write(store, sent(under_way, "3EB0A1"))
    shown = await results(await client.get(f"/api/messages/{message}"), shapes.Message)
    assert (shown["status"], shown["endpoint"], shown["whatsapp_id"]) == ("sent", ACCOUNT, "3EB0A1")
    assert [one["verdict"] for one in shown["attempts"]] == ["transient", "sent"]


async def test_counts_say_where_every_message_is(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 8, chunk_size=5)
    ids = campaign.messages
    await write(store, sent(await begin(store, ids[0], endpoint=ACCOUNT), "3EB0A1"))
    await write(store, failed(await begin(store, ids[1], endpoint=ACCOUNT), "not on WhatsApp"))
    await write(store, failed(await begin(store, ids[2], endpoint=ACCOUNT), "not on WhatsApp"))
    await write(store, to_retry(await begin(store, ids[3], endpoint=ACCOUNT)))
    await write(store, unknown(await begin(store, ids[4], endpoint=ACCOUNT)))
    await begin(store, ids[5], endpoint=ACCOUNT)
    shown = await show(client, campaign.token)
    assert shown["counts"] == {
        "queued": 2,
        "sending": 2,
        "retrying": 1,
        "sent": 1,
        "failed": 2,
        "unknown": 0,
        "canceled": 0,
        "expired": 0,
        "suppressed": 0,
    }
    assert (shown["total"], sum(shown["counts"].values())) == (8, 8)
    assert shown["reasons"] == [{"reason": "not on WhatsApp", "messages": 2}]
    assert shown["chunks"] == [
        {"number": 0, "size": 5, "status": "waiting"},
        {"number": 1, "size": 3, "status": "waiting"},
    ]
    assert shown["chunk_totals"] == {"total": 2, "waiting": 2, "fed": 0, "closed": 0}
    # One sent within the five minutes that are looked at.
    assert shown["rate"] == 0.2
    # Five are left, at 6.4 s each in the profile of the settings.
    assert shown["eta"] == 32
    assert shown["waiting"] is None
    [item] = (await results(await client.get("/api/campaigns"), shapes.CampaignList))["campaigns"]
    assert item["counts"] == shown["counts"]


async def reasons(client: Client, token: UUID) -> tuple[int, dict[str, int]]:
    """(failed, messages by reason) of a campaign, as one answer tells them."""
    shown = await show(client, token)
    return shown["counts"]["failed"], {one["reason"]: one["messages"] for one in shown["reasons"]}


async def test_reasons_agree_with_counts_while_they_are_quick_to_read(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 3)
    for number, message in enumerate(campaign.messages, 1):
        await write(store, failed(await begin(store, message), f"reason {number}"))
        failed_now, found = await reasons(client, campaign.token)
        assert (failed_now, sum(found.values())) == (number, number)


async def test_reasons_that_take_long_to_read_are_kept_until_the_campaign_is_over(
    client: Client, store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_reasons, "_QUICK", 0.0)
    monkeypatch.setattr(failure_reasons, "_SHARE", 1e9)
    campaign = await accept_campaign(store, 2)
    await write(store, failed(await begin(store, campaign.messages[0]), "first"))
    assert await reasons(client, campaign.token) == (1, {"first": 1})
    await write(store, failed(await begin(store, campaign.messages[1]), "second"))
    assert await reasons(client, campaign.token) == (2, {"first": 1})
    await store.execute("update campaigns set status = 'finished', finished_at = now()")
    assert await reasons(client, campaign.token) == (2, {"first": 1, "second": 1})


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("update campaigns set status = 'paused'", "it is paused"),
        ("select set_stopped_lanes('{bulk}', 'for the night')", "lane bulk is stopped: for the night"),
        (f"select suspend_endpoint('{ACCOUNT}', 'checked')", "all accounts that it may use are suspended"),
    ],
)
async def test_a_campaign_says_why_it_waits(client: Client, store: Database, statement: str, reason: str) -> None:
    campaign = await accept_campaign(store, 2)
    await store.execute(statement)
    shown = await show(client, campaign.token)
    assert (shown["waiting"], shown["eta"]) == (reason, None)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"bulk_capped_until": "4102444800000"}, "all accounts capped until 2100-01-01T00:00:00Z"),
        ({"breaker": "open"}, "all accounts that it may use are out of service"),
        ({"bulk_capped_until": "1000"}, None),
        ({"capped_until": "4102444800000"}, None),
    ],
)
async def test_a_campaign_says_that_its_accounts_wait(
    client: Client, store: Database, state: dict[str, str], reason: str | None
) -> None:
    campaign = await accept_campaign(store, 2)
    queue = client.server.app[QUEUE]
    await queue.redis.hset(queue.keys.state(ACCOUNT), mapping=state)
    shown = await show(client, campaign.token)
    assert shown["waiting"] == reason
    assert (shown["eta"] is None) == (reason is not None)


async def test_the_messages_of_a_campaign_come_in_pages(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 5)
    await accept_campaign(store, 3)
    ids = [str(message) for message in campaign.messages]
    path = f"/api/campaigns/{campaign.token}/messages"
    assert await pages(client, path, limit="2") == [ids[:2], ids[2:4], ids[4:]]
    await write(store, sent(await begin(store, campaign.messages[3])))
    assert await pages(client, path, status="sent") == [[ids[3]]]
    assert await pages(client, path, status="queued", limit="3") == [ids[:3], ids[4:]]


async def test_messages_come_newest_first(client: Client, store: Database) -> None:
    ids = [str(await accept_message(store)) for _ in range(3)]
    campaign = await accept_campaign(store, 2)
    newest = [str(message) for message in reversed(campaign.messages)] + ids[::-1]
    assert await pages(client, "/api/messages", limit="3") == [newest[:3], newest[3:]]
    await write(store, failed(await begin(store, UUID(ids[0]))))
    assert await pages(client, "/api/messages", status="failed") == [[ids[0]]]


async def test_a_page_looks_at_a_bounded_number_of_rows_and_says_how_far_it_came(store: Database) -> None:
    ids = [await accept_message(store) for _ in range(4)]
    await write(store, sent(await begin(store, ids[0])))
    first = await newest_messages(store, Status.SENT, None, limit=10, look_at=2)
    assert (first.rows, first.next_cursor) == ([], ids[2])
    second = await newest_messages(store, Status.SENT, first.next_cursor, limit=10, look_at=2)
    assert ([row["id"] for row in second.rows], second.next_cursor) == ([ids[0]], ids[0])
    assert await newest_messages(store, Status.SENT, second.next_cursor, limit=10, look_at=2) == type(second)([], None)


async def test_campaigns_come_newest_first(client: Client, store: Database) -> None:
    tokens = [str((await accept_campaign(store, 1)).token) for _ in range(3)]
    first = await results(await client.get("/api/campaigns?limit=2"), shapes.CampaignList)
    assert [one["campaign_token"] for one in first["campaigns"]] == tokens[:0:-1]
    query = {"limit": "2", "cursor": first["next_cursor"]}
    second = await results(await client.get("/api/campaigns", params=query), shapes.CampaignList)
    assert [one["campaign_token"] for one in second["campaigns"]] == tokens[:1]
    assert second["next_cursor"] is None
