"""`send_at`: accepted now, committed, enqueued by nobody before its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.gateway import shapes
from services.gateway.intake import drafts
from services.scheduler.campaigns.starting import Starting
from shared.database.connection import Database
from shared.database.due import claim_unqueued
from shared.messages import Lane
from tests.integration.accepting import status_of
from tests.integration.database.beginning import ask, request
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results

Entries = Callable[..., Awaitable[list[dict[str, str]]]]
TEXT = {"phone": "15550100001", "message": "hi"}
SEVERAL = {"phone": "15550100001,15550100002", "message": "hi"}


def written(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


async def send(client: Client, body: dict[str, Any], shape: type[shapes.Answer], **ahead: float) -> dict[str, Any]:
    return await results(await client.post("/api/send/message", json=body | {"send_at": written(**ahead)}), shape, 202)


async def show(client: Client, path: str, shape: type[shapes.Answer]) -> dict[str, Any]:
    return await results(await client.get(f"/api/{path}"), shape)


async def claimed(store: Database) -> list[UUID]:
    """What a scheduler's sweep would enqueue."""
    return [item.entry.message for item in await claim_unqueued(store, Lane.TRANSACTIONAL, 10)]


async def test_a_text_for_later_is_enqueued_when_its_time_has_come(
    client: Client, store: Database, entries: Entries
) -> None:
    later = UUID((await send(client, TEXT, shapes.AcceptedMessage, minutes=5))["message_id"])
    now = await results(await client.post("/api/send/message", json=TEXT), shapes.AcceptedMessage, 202)
    assert [UUID(entry["m"]) for entry in await entries("transactional")] == [UUID(now["message_id"])]
    assert await claimed(store) == []
    shown = await show(client, f"messages/{later}", shapes.Message)
    assert shown["status"] == "queued"
    send_at, expires_at = (datetime.fromisoformat(shown[name]) for name in ("send_at", "expires_at"))
    assert expires_at - send_at == timedelta(days=1), "the time to expire runs from then"
    await store.execute("update due set due_at = clock_timestamp() where message = $1", later)
    assert await claimed(store) == [later]


async def test_what_was_marked_as_not_enqueued_waits_as_well(client: Client, store: Database) -> None:
    await send(client, TEXT, shapes.AcceptedMessage, hours=2)
    await store.execute("select begin_rebuild()")
    await store.execute("select end_rebuild(2)")
    await store.execute("select set_stopped_lanes('{transactional}', 'x')")
    await store.execute("select set_stopped_lanes('{}', null)")
    assert await claimed(store) == []


async def test_a_text_for_later_can_be_cancelled(client: Client, store: Database) -> None:
    message = UUID((await send(client, TEXT, shapes.AcceptedMessage, minutes=5))["message_id"])
    await results(await client.post(f"/api/messages/{message}/cancel"), shapes.CanceledMessage)
    assert await store.fetchval("select count(*) from due") == 0
    assert await ask(store, request(message)) == ["refused"]


async def test_a_campaign_is_scheduled_until_its_time(client: Client, store: Database) -> None:
    accepted = await send(client, SEVERAL, shapes.AcceptedCampaign, minutes=5)
    assert accepted["status"] == "scheduled"
    token = accepted["campaign_token"]
    shown = await show(client, f"campaigns/{token}", shapes.Campaign)
    assert (shown["status"], shown["waiting"]) == ("scheduled", f"it starts at {shown['send_at']}")
    message = await store.fetchval("select id from messages limit 1")
    assert await ask(store, request(message)) == ["refused"]
    await Starting(store).step()
    assert (await show(client, f"campaigns/{token}", shapes.Campaign))["status"] == "scheduled"
    await store.execute("update campaigns set send_at = clock_timestamp()")
    await asyncio.gather(Starting(store).step(), Starting(store).step())
    assert (await show(client, f"campaigns/{token}", shapes.Campaign))["status"] == "running"
    assert await ask(store, request(message)) == ["passed"]
    listed = await results(await client.get("/api/campaigns"), shapes.CampaignList)
    assert listed["campaigns"][0]["send_at"] is not None


async def test_paused_before_its_time_it_is_scheduled_again(client: Client, store: Database) -> None:
    token = (await send(client, SEVERAL, shapes.AcceptedCampaign, minutes=5))["campaign_token"]
    moves = []
    for name in ("pause", "resume", "pause"):
        moved = await results(await client.post(f"/api/campaigns/{token}/{name}"), shapes.CampaignMoved)
        moves.append(moved["status"])
    assert moves == ["paused", "scheduled", "paused"]
    await store.execute("update campaigns set send_at = clock_timestamp()")
    await Starting(store).step()
    assert await store.fetchval("select status from campaigns") == "paused", "only resume lets it run"
    moved = await results(await client.post(f"/api/campaigns/{token}/resume"), shapes.CampaignMoved)
    assert moved["status"] == "running"


async def test_cancelled_before_its_time_it_never_starts(client: Client, store: Database) -> None:
    token = (await send(client, SEVERAL, shapes.AcceptedCampaign, minutes=5))["campaign_token"]
    await results(await client.post(f"/api/campaigns/{token}/cancel"), shapes.CampaignMoved)
    await store.execute("update campaigns set send_at = clock_timestamp()")
    await Starting(store).step()
    assert await store.fetchval("select status from campaigns") == "canceled"


@pytest.mark.parametrize(
    ("times", "field"),
    [
        ({"send_at": {"seconds": -61}}, "send_at"),
        ({"send_at": {"days": 367}}, "send_at"),
        ({"send_at": {"hours": 2}, "expires_at": {"hours": 1}}, "expires_at"),
        ({"send_at": {"days": 365}, "expires_at": {"days": 365}}, "expires_at"),
    ],
)
@pytest.mark.usefixtures("nothing_is_queued")
async def test_times_that_cannot_be(gateway: Client, times: dict[str, dict[str, float]], field: str) -> None:
    now = datetime.now(UTC)
    given = {name: (now + timedelta(**ahead)).isoformat() for name, ahead in times.items()}
    for body in (TEXT, SEVERAL):
        assert await refused_fields(await gateway.post("/api/send/message", json=body | given), 400) == [field]


@pytest.mark.parametrize("text", ["tomorrow", "2031-05-17T09:30:00", "9999-12-31T23:59:59-23:00"])
@pytest.mark.usefixtures("nothing_is_queued")
async def test_what_is_no_time(gateway: Client, text: str) -> None:
    assert await refused_fields(await gateway.post("/api/send/message", json=TEXT | {"send_at": text}), 400) == [
        "send_at"
    ]


async def test_replayed_when_its_time_is_over(
    start_gateway: StartGateway, store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that repeats a request for later gets its answer also after the time that it names."""
    # A moment ago would be now for a minute.
    monkeypatch.setattr(drafts, "_JUST_NOW", timedelta(0))
    client = await start_gateway()
    body = TEXT | {"send_at": written(seconds=0.4)}
    first = await client.post("/api/send/message", json=body, headers={"Idempotency-Key": "k"})
    assert first.status == 202
    while True:
        # Without the key it would be refused by now.
        if (await client.post("/api/send/message", json=body)).status == 400:
            break
    again = await client.post("/api/send/message", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status, await again.read()) == (202, await first.read())
    assert await status_of(store, UUID((await first.json())["results"]["message_id"])) == "queued"
