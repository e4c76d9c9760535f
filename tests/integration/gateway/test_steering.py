"""Pause, resume, cancel, retry, stop, start and the pace: what is acknowledged holds, what cannot be says why."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.gateway import shapes
from services.gateway.app_keys import DATABASE, ENDPOINTS, QUEUE
from services.gateway.routes.rate_profile import copy_loop
from shared.database.connection import Database
from shared.queue.profile_copy import published_profile
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.accepting import accept_campaign, accept_message, status_of
from tests.integration.database.beginning import ask, begin, failed, request, write
from tests.integration.gateway.conftest import Client, refused_fields, results


async def move(client: Client, token: UUID, name: str) -> str:
    found = await results(await client.post(f"/api/campaigns/{token}/{name}"), shapes.CampaignMoved)
    assert found["campaign_token"] == str(token)
    return str(found["status"])


async def refused_code(client: Client, path: str, **options: Any) -> str:
    response = await client.post(path, **options)
    assert response.status == 409
    return str((await response.json())["code"])


async def test_after_pause_no_attempt_begins_and_resume_lets_the_rest_begin(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    await store.execute("update chunks set fed_at = clock_timestamp()")
    assert await move(client, campaign.token, "pause") == "paused"
    assert await move(client, campaign.token, "pause") == "paused", "asking twice is no error"
    assert await ask(store, request(campaign.messages[0])) == ["refused"]
    assert await move(client, campaign.token, "resume") == "running"
    assert await store.fetchval("select count(*) from chunks where fed_at is null") == 1
    assert await ask(store, request(campaign.messages[0])) == ["passed"]


async def test_after_cancel_no_attempt_begins_for_good(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    assert await move(client, campaign.token, "cancel") == "canceled"
    assert await ask(store, request(campaign.messages[0])) == ["refused"]
    for name in ("pause", "resume", "retry"):
        assert await refused_code(client, f"/api/campaigns/{campaign.token}/{name}") == "CAMPAIGN_CANCELED"


async def test_what_a_finished_or_running_campaign_does_not_allow(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 1)
    assert await move(client, campaign.token, "resume") == "running"
    await store.execute("update campaigns set status = 'finished', finished_at = clock_timestamp()")
    for name in ("pause", "resume", "cancel"):
        assert await refused_code(client, f"/api/campaigns/{campaign.token}/{name}") == "CAMPAIGN_FINISHED"


@pytest.mark.parametrize(
    ("wish", "again"),
    [
        (None, [0, 1, 2]),
        ({}, [0, 1, 2]),
        ({"reason": "not on WhatsApp"}, [0, 2]),
        ({"chunks": [1]}, [2]),
        ({"reason": "too large", "chunks": [1]}, []),
    ],
)
async def test_retry_of_all_failed_of_a_reason_or_of_chunks(
    client: Client, store: Database, wish: dict[str, Any] | None, again: list[int]
) -> None:
    campaign = await accept_campaign(store, 4, chunk_size=2)
    for message, reason in zip(campaign.messages, ["not on WhatsApp", "too large", "not on WhatsApp"], strict=False):
        await write(store, failed(await begin(store, message), reason))
    options = {} if wish is None else {"json": wish}
    found = await results(
        await client.post(f"/api/campaigns/{campaign.token}/retry", **options), shapes.CampaignRetried
    )
    assert found["retried"] == len(again)
    statuses = [await status_of(store, message) for message in campaign.messages[:3]]
    assert [index for index, status in enumerate(statuses) if status == "queued"] == again
    shown = await results(await client.get(f"/api/campaigns/{campaign.token}"), shapes.Campaign)
    assert (shown["counts"]["failed"], shown["counts"]["queued"]) == (3 - len(again), 1 + len(again))


async def test_retry_without_its_media_says_so(client: Client, store: Database) -> None:
    campaign = await accept_campaign(store, 1)
    await store.execute("update campaigns set media = gen_random_uuid()")
    assert await refused_code(client, f"/api/campaigns/{campaign.token}/retry") == "MEDIA_GONE"


@pytest.mark.parametrize(
    ("wish", "field"),
    [({"reason": 5}, "reason"), ({"chunks": "all"}, "chunks"), ({"chunk": [1]}, "chunk"), ([], "body")],
)
async def test_a_wrong_retry(client: Client, store: Database, wish: Any, field: str) -> None:
    campaign = await accept_campaign(store, 1)
    response = await client.post(f"/api/campaigns/{campaign.token}/retry", json=wish)
    assert await refused_fields(response, 400) == [field]


async def test_a_waiting_message_is_canceled_and_never_begins(client: Client, store: Database) -> None:
    message = await accept_message(store)
    for _ in range(2):
        found = await results(await client.post(f"/api/messages/{message}/cancel"), shapes.CanceledMessage)
        assert found == {"message_id": str(message), "status": "canceled"}
    assert await ask(store, request(message)) == ["refused"]
    assert await store.fetchval("select count(*) from due") == 0


async def test_a_message_under_way_is_not_canceled(client: Client, store: Database) -> None:
    message = await accept_message(store)
    await begin(store, message)
    assert await refused_code(client, f"/api/messages/{message}/cancel") == "NOT_WAITING"


async def stopped(client: Client, path: str, **wish: str) -> list[str]:
    shape = shapes.Started if path == "/api/start" else shapes.Stopped
    return list((await results(await client.post(path, json=wish), shape))["stopped_lanes"])


async def test_stop_of_everything_and_start(client: Client, store: Database) -> None:
    message = await accept_message(store)
    await store.execute("update due set enqueued_at = clock_timestamp()")
    assert await stopped(client, "/api/stop", reason="wrong text") == ["bulk", "transactional"]
    assert await store.fetchval("select stop_reason from control") == "wrong text"
    assert await ask(store, request(message)) == ["refused"]
    found = await results(await client.post("/api/start"), shapes.Started)
    assert found == {"stopped_lanes": [], "reason": None, "confirmed": None}
    assert await store.fetchval("select count(*) from due where enqueued_at is null") == 1
    assert await ask(store, request(message)) == ["passed"]


async def test_stop_of_a_lane_leaves_the_other(client: Client, store: Database) -> None:
    message = await accept_message(store)
    campaign = await accept_campaign(store, 1)
    await store.execute("update chunks set fed_at = clock_timestamp()")
    assert await stopped(client, "/api/stop", reason="night", lane="bulk") == ["bulk"]
    assert await ask(store, request(campaign.messages[0])) == ["refused"]
    assert await ask(store, request(message)) == ["passed"]
    assert await stopped(client, "/api/stop", reason="all", lane="transactional") == ["bulk", "transactional"]
    assert await stopped(client, "/api/start", lane="bulk") == ["transactional"]
    # What was refused meanwhile has lost its entry, so its chunk is fed again, although the other lane still stands.
    assert await store.fetchval("select count(*) from chunks where fed_at is null") == 1


async def test_two_stops_at_once_stop_both(client: Client) -> None:
    await asyncio.gather(*(stopped(client, "/api/stop", reason="x", lane=lane) for lane in ("bulk", "transactional")))
    assert await stopped(client, "/api/stop", reason="x") == ["bulk", "transactional"]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": "x", "lane": "fast"}, "lane"),
        ({"reason": "x", "a": 1}, "a"),
    ],
)
async def test_a_wrong_stop(gateway: Client, wish: dict[str, Any], field: str) -> None:
    assert await refused_fields(await gateway.post("/api/stop", json=wish), 400) == [field]
    assert await gateway.server.app[DATABASE].fetchval("select stopped_lanes from control") == []


async def profile(client: Client) -> dict[str, Any]:
    return await results(await client.get("/api/rate-profile"), shapes.RateProfileAnswer)


async def change(client: Client, **changes: Any) -> dict[str, Any]:
    return await results(await client.put("/api/rate-profile", json=changes), shapes.RateProfileAnswer)


async def test_the_pace_is_changed_and_taken_back(client: Client) -> None:
    before = await profile(client)
    assert (before["profile"]["name"], before["changes"]) == ("manual", {})
    changed = await change(client, name="bulk", mean=8000, jitter=4000)
    assert changed["changes"] == {"name": "bulk", "mean": 8000, "jitter": 4000}
    assert changed["warnings"] == ["the shortest pause between campaign messages is under 5 s"]
    assert await published_profile(client.server.app[QUEUE]) != ("0", "{}")
    assert (await change(client, jitter=None))["changes"] == {"name": "bulk", "mean": 8000}
    assert (await profile(client))["profile"]["jitter"] == before["profile"]["jitter"]
    # What equals the settings is no change: it follows them.
    assert (await change(client, name="manual", mean=before["profile"]["mean"]))["changes"] == {}
    assert await published_profile(client.server.app[QUEUE]) == ("0", "{}")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "fast"}, "name"),
        ({"mean": -1}, "mean"),
        ({"mean": "8000"}, "mean"),
        ({"mean": True}, "mean"),
        ({"delay_min": 9000}, "delay_min"),
        ({"jitter": 90000}, "jitter"),
        ({"typing_max": 60001}, "typing_max"),
        ({"speed": 1}, "speed"),
        ({"speed": None}, "speed"),
    ],
)
async def test_a_wrong_pace_changes_nothing(gateway: Client, changes: dict[str, Any], field: str) -> None:
    assert await refused_fields(await gateway.put("/api/rate-profile", json=changes), 400) == [field]
    assert (await profile(gateway))["changes"] == {}


@pytest.mark.parametrize("path", ["/api/rate-profile", "/api/endpoints/{endpoint}/rate-profile"])
async def test_quiet_hours_have_two_ends(client: Client, path: str) -> None:
    path = path.format(endpoint=next(iter(client.server.app[ENDPOINTS])))
    assert await refused_fields(await client.put(path, json={"quiet_from": 1260}), 400) == ["quiet_until"]
    assert await refused_fields(await client.put(path, json={"quiet_until": 480, "quiet_from": None}), 400) == [
        "quiet_from"
    ]
    assert (await client.put(path, json={"quiet_from": 1260, "quiet_until": 480})).status == 200
    assert (await client.put(path, json={"quiet_from": 1200})).status == 200, "the other end is there"


async def test_a_copy_that_could_not_be_written_follows(client: Client, redis_server: EmbeddedValkey) -> None:
    redis_server.kill()
    assert (await change(client, name="bulk"))["changes"] == {"name": "bulk"}
    redis_server.start()
    async with copy_loop(client.server.app).running() as loop, asyncio.timeout(20):
        while loop.last_success is None:  # noqa: ASYNC110 - a loop tells nobody
            await asyncio.sleep(0.01)
    version, text = await published_profile(client.server.app[QUEUE])
    assert (version != "0", text) == (True, '{"name":"bulk"}')


async def test_a_cancelled_message_never_begins_after_the_acknowledgement(client: Client, store: Database) -> None:
    """Cancel and gate change the same row under the same condition, so one of them comes first."""
    messages = [await accept_message(store) for _ in range(40)]

    async def cancel(message: UUID) -> bool:
        return (await client.post(f"/api/messages/{message}/cancel")).status == 200

    async def gate(number: int, message: UUID) -> bool:
        return await ask(store, request(message, slot=number)) == ["passed"]

    outcomes = await asyncio.gather(
        *(cancel(message) for message in messages), *(gate(number, message) for number, message in enumerate(messages))
    )
    canceled, begun = outcomes[:40], outcomes[40:]
    assert [one != other for one, other in zip(canceled, begun, strict=True)] == [True] * 40
    for message, one in zip(messages, canceled, strict=True):
        assert await status_of(store, message) == ("canceled" if one else "sending")
    again = [await gate(40 + number, message) for number, message in enumerate(messages)]
    assert not any(again)


async def test_a_start_says_that_it_confirms_a_postgres_that_went_back(client: Client, store: Database) -> None:
    message = await accept_message(store)
    await store.execute("select stop_after_going_back(7, 500, 'Postgres went back in time')")
    assert await ask(store, request(message)) == ["refused"]
    found = await results(await client.post("/api/start"), shapes.Started)
    assert found["confirmed"].startswith("Postgres went back in time, noticed at ")
    assert await store.fetchval("select epoch from control") == 7
    again = await results(await client.post("/api/start"), shapes.Started)
    assert again["confirmed"] is None
