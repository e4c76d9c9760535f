"""Outcomes that nobody could find out are listed, and become what somebody decides."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.gateway import shapes
from shared.database.connection import Database
from shared.database.retention import drop_old_partitions, forget_dropped
from tests.integration.accepting import accept_campaign, accept_message, counts_of, message_row, status_of
from tests.integration.database.beginning import ask, begin, due_why, failed, request, sent, unknown, write
from tests.integration.gateway.conftest import Client, refused_fields, results


async def make_unknown(store: Database, message: UUID, reason: str = "no trace of it") -> Any:
    begun = await begin(store, message)
    await write(store, unknown(begun))
    assert await store.fetchval("select decide_unknown($1, null, $2)", message, reason) == "unknown"
    return begun


async def listed(client: Client, **query: Any) -> list[UUID]:
    response = await client.get("/api/messages", params={"status": "unknown"} | query)
    found = await results(response, shapes.MessageList)
    assert {message["status"] for message in found["messages"]} <= {"unknown"}
    return [UUID(message["message_id"]) for message in found["messages"]]


async def resolve(client: Client, path: str, resolution: str, **more: str) -> dict[str, Any]:
    shape = shapes.ResolvedMessage if "messages" in path else shapes.CampaignResolved
    return await results(await client.post(f"/api/{path}/resolve", json={"as": resolution} | more), shape)


async def refused(client: Client, path: str, resolution: str = "resend") -> str:
    response = await client.post(f"/api/{path}/resolve", json={"as": resolution})
    assert response.status == 409
    return str((await response.json())["code"])


async def test_the_list_holds_what_is_unknown_and_nothing_else(client: Client, store: Database) -> None:
    messages = [await accept_message(store, on_unknown="hold") for _ in range(4)]
    late = None
    for message in messages[:3]:
        late = await make_unknown(store, message)
    assert await listed(client) == messages[2::-1]
    first = await client.get("/api/messages?status=unknown&limit=2")
    cursor = (await results(first, shapes.MessageList))["next_cursor"]
    assert await listed(client, cursor=cursor, limit=2) == messages[:1]
    await write(store, sent(late))
    assert await listed(client) == messages[1::-1], "late evidence takes it off"


@pytest.mark.parametrize("resolution", ["sent", "failed"])
async def test_a_message_counts_as_what_is_decided(client: Client, store: Database, resolution: str) -> None:
    campaign = await accept_campaign(store, 2)
    for message in campaign.messages:
        await make_unknown(store, message)
    found = await resolve(client, f"messages/{campaign.messages[0]}", resolution)
    assert found == {"message_id": str(campaign.messages[0]), "status": resolution}
    assert await counts_of(store, campaign.token) == {resolution: 1, "unknown": 1}
    assert await listed(client) == campaign.messages[1:]
    assert await resolve(client, f"messages/{campaign.messages[0]}", resolution) == found, "twice is no error"
    assert await counts_of(store, campaign.token) == {resolution: 1, "unknown": 1}
    other = {"sent": "failed", "failed": "sent"}[resolution]
    assert await refused(client, f"messages/{campaign.messages[0]}", other) == "NOT_UNKNOWN"


async def test_a_single_send_goes_out_again(client: Client, store: Database) -> None:
    message = await accept_message(store, on_unknown="hold")
    await make_unknown(store, message)
    await store.execute("update messages set expires_at = clock_timestamp() - interval '1 hour'")
    assert (await resolve(client, f"messages/{message}", "resend"))["status"] == "queued"
    row = await message_row(store, message)
    assert (row["status"], row["attempt"], row["possible_duplicate"]) == ("queued", 1, True)
    assert await due_why(store, message) == "send"
    assert await store.fetchval("select enqueued_at from due") is None, "a scheduler enqueues it"
    assert await ask(store, request(message, 2)) == ["passed"]
    assert await refused(client, f"messages/{message}") == "NOT_UNKNOWN"


async def test_a_finished_campaign_runs_again_for_what_is_resent(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 3, chunk_size=1)
    for message, reason in zip(campaign.messages, ["a", "b", "a"], strict=True):
        await make_unknown(store, message, reason)
    assert await store.fetchval("select finish_campaign($1)", campaign.token)
    before = REGISTRY.get_sample_value("paceline_possible_duplicates_total") or 0
    found = await resolve(client, f"campaigns/{campaign.token}", "resend", reason="a")
    assert REGISTRY.get_sample_value("paceline_possible_duplicates_total") == before + 2
    assert found == {"campaign_token": str(campaign.token), "resolved": 2}
    shown = await results(await client.get(f"/api/campaigns/{campaign.token}"), shapes.Campaign)
    assert (shown["status"], shown["possible_duplicates"], shown["finished_at"]) == ("running", 2, None)
    assert (shown["counts"]["queued"], shown["counts"]["unknown"]) == (2, 1)
    assert [chunk["status"] for chunk in shown["chunks"]] == ["waiting", "closed", "waiting"]
    assert [await due_why(store, message) for message in campaign.messages] == [None] * 3
    assert await ask(store, request(campaign.messages[0], 2)) == ["passed"]


async def test_a_paused_campaign_stays_paused(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    await make_unknown(store, campaign.messages[0])
    await store.execute("select pause_campaign($1)", campaign.token)
    assert (await resolve(client, f"campaigns/{campaign.token}", "resend"))["resolved"] == 1
    assert await store.fetchval("select status from campaigns") == "paused"
    assert await ask(store, request(campaign.messages[0], 2)) == ["refused"]


async def test_of_a_cancelled_campaign_nothing_is_resent(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    for message in campaign.messages:
        await make_unknown(store, message)
    await store.execute("select cancel_campaign($1)", campaign.token)
    assert await refused(client, f"campaigns/{campaign.token}") == "CAMPAIGN_CANCELED"
    assert await refused(client, f"messages/{campaign.messages[0]}") == "CAMPAIGN_CANCELED"
    assert (await resolve(client, f"campaigns/{campaign.token}", "sent"))["resolved"] == 2


@pytest.mark.parametrize("of", ["messages", "campaigns"])
async def test_without_its_media_nothing_is_resent(client: Client, store: Database, of: str) -> None:
    if of == "messages":
        message = token = await accept_message(store, on_unknown="hold", kind="image")
    else:
        campaign = await accept_campaign(store, 1)
        message, token = campaign.messages[0], campaign.token
    await make_unknown(store, message)
    media = uuid4()
    await store.execute(f"update {of} set media = $1", media)  # noqa: S608
    assert await refused(client, f"{of}/{token}") == "MEDIA_GONE"
    assert await status_of(store, message) == "unknown"
    await store.execute(
        "insert into media (id, owner, filename, content_type, size, sha256) values ($1, $2, 'a', 'b', 0, '')",
        media,
        token,
    )
    await resolve(client, f"{of}/{token}", "resend")
    assert await status_of(store, message) == "queued"


async def test_late_evidence_and_a_decision_at_once_count_once(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 20)
    begun = [await make_unknown(store, message) for message in campaign.messages]
    await asyncio.gather(
        write(store, *map(sent, begun)),
        resolve(client, f"campaigns/{campaign.token}", "failed"),
        *(resolve_any(client, message) for message in campaign.messages[::3]),
    )
    assert await counts_of(store, campaign.token) == {"sent": 20}, "sent wins"
    assert await listed(client) == []


async def resolve_any(client: Client, message: UUID) -> None:
    response = await client.post(f"/api/messages/{message}/resolve", json={"as": "failed"})
    assert response.status in (200, 409)


async def test_a_retry_of_what_was_resolved_as_failed(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    await make_unknown(store, campaign.messages[0])
    await write(store, failed(await begin(store, campaign.messages[1])))
    await resolve(client, f"campaigns/{campaign.token}", "failed")
    retried = await client.post(f"/api/campaigns/{campaign.token}/retry", json={"reason": "resolved as failed"})
    assert (await results(retried, shapes.CampaignRetried))["retried"] == 1
    assert await counts_of(store, campaign.token) == {"failed": 1}


async def test_what_was_dropped_with_its_month_is_off_the_list(store: Database) -> None:
    await store.execute(
        "create table messages_2024_01 partition of messages for values from (uuid_of_time('2024-01-01Z'))"
        " to (uuid_of_time('2024-02-01Z'))"
    )
    await store.execute(
        "create table attempts_2024_01 partition of attempts for values from (uuid_of_time('2024-01-01Z'))"
        " to (uuid_of_time('2024-02-01Z'))"
    )
    await store.execute(
        "insert into messages (id, lane, kind, phone, phone_key, on_unknown)"
        " values (uuid_of_time('2024-01-10Z'), 'bulk', 'message', 'x', 'x', 'hold')"
    )
    await store.execute("update messages set status = 'unknown', changed_at = now()")
    kept = await accept_message(store, on_unknown="hold")
    await make_unknown(store, kept)
    while await forget_dropped(store, 10):
        pass
    assert await store.fetchval("select count(*) from unknown_messages") == 2
    assert await drop_old_partitions(store, 0) == ["2024_01"]
    while await forget_dropped(store, 10):
        pass
    assert await store.fetchval("select message from unknown_messages") == kept


@pytest.mark.usefixtures("nothing_is_queued")
@pytest.mark.parametrize("of", ["messages", "campaigns"])
async def test_what_is_no_decision(gateway: Client, of: str) -> None:
    path = f"/api/{of}/{uuid4()}/resolve"
    assert (await gateway.post(path, json={"as": "sent"})).status == 404
    assert (await gateway.post(f"/api/{of}/x/resolve", json={"as": "sent"})).status == 404
    for body in ({}, {"as": "maybe"}, {"as": None}):
        assert await refused_fields(await gateway.post(path, json=body), 400) == ["as"]
    assert await refused_fields(await gateway.post(path, json={"as": "sent", "resolution": "sent"}), 400) == [
        "resolution"
    ]


@pytest.mark.parametrize("path", ["retry", "resolve"])
async def test_a_reason_that_nothing_can_have_fits_nothing(client: Client, store: Database, path: str) -> None:
    campaign = await accept_campaign(store, 1)
    await make_unknown(store, campaign.messages[0], "a")
    wish = {"reason": "a\0b"} | ({"as": "sent"} if path == "resolve" else {})
    response = await client.post(f"/api/campaigns/{campaign.token}/{path}", json=wish)
    assert response.status == 200, await response.text()
    assert await store.fetchval("select status from messages") == "unknown"
