"""Accounts as an operator steers them: what is acknowledged holds at the gate, and everybody sees why."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway import shapes
from services.gateway.app_keys import ENDPOINTS, QUEUE
from shared.database.connection import Database
from shared.database.postponing import wait_for_contact
from shared.endpoints.caps import Caps
from shared.queue.connection import QueueConnection
from shared.queue.profile_copy import published_profile
from shared.queue.rebuild import RebuiltState, rebuild
from shared.queue.rota import set_caps
from tests.integration.accepting import accept_message
from tests.integration.database.beginning import ask, request
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results


@pytest.fixture
async def two(start_gateway: StartGateway) -> Client:
    """A gateway of two accounts, and a Redis that was built."""
    client = await start_gateway(
        whatsapp_endpoints="http://127.0.0.1:9,http://127.0.0.1:10", whatsapp_auths="user:password,user:password"
    )
    slots = {f"{endpoint}/0": (0, 0) for endpoint in known(client)}
    assert await rebuild(queue_of(client), 1, RebuiltState(slots, {}, {}))
    return client


def queue_of(client: Client) -> QueueConnection:
    return client.server.app[QUEUE]


def known(client: Client) -> list[str]:
    return list(client.server.app[ENDPOINTS])


async def shown(client: Client) -> dict[str, Any]:
    found = await results(await client.get("/api/endpoints"), shapes.EndpointList)
    return {item["id"]: item for item in found["endpoints"]}


async def steer(client: Client, endpoint: str, what: str, **options: Any) -> dict[str, Any]:
    return await results(await client.post(f"/api/endpoints/{endpoint}/{what}", **options), shapes.EndpointItem)


async def test_all_accounts_are_listed_without_their_logins(two: Client) -> None:
    found = await shown(two)
    assert list(found) == known(two)
    first = found[known(two)[0]]
    assert (first["label"], first["suspended"], first["breaker"]["state"]) == ("127.0.0.1:9", False, "closed")
    assert "password" not in str(found)


async def test_what_feedback_did_is_shown_and_an_operator_may_end_it(two: Client, store: Database) -> None:
    endpoint, other = known(two)
    await store.execute("insert into endpoints (id) values ($1), ($2)", endpoint, other)
    await store.execute(
        "select change_account_feedback($1, 'normal', null, 'suspended', 'errors', '9 of 10 attempts failed', 3, 60, 1)",
        endpoint,
    )
    found = await shown(two)
    assert found[other]["feedback"] == {"state": "normal", "since": None, "until": None, "reason": None}
    item = found[endpoint]
    assert (item["suspended"], item["suspended_by"]) == (True, "feedback")
    assert item["suspend_reason"] == item["feedback"]["reason"] == "9 of 10 attempts failed"
    assert item["feedback"]["until"] > item["feedback"]["since"]
    message = await accept_message(store)
    assert await ask(store, request(message, endpoint=endpoint)) == ["put_back"]
    item = await steer(two, endpoint, "resume")
    assert (item["suspended"], item["suspended_by"], item["feedback"]["state"]) == (False, None, "trial")
    assert (item["profile"]["slow_factor"], item["changes"]) == (3, {}), "on trial it is slowed, by no operator"
    assert (await steer(two, endpoint, "suspend", json={"reason": "mine now"}))["suspended_by"] == "operator"


async def test_after_suspend_no_attempt_begins_and_after_resume_it_may_come_back(two: Client, store: Database) -> None:
    endpoint, other = known(two)
    item = await steer(two, endpoint, "suspend", json={"reason": "the phone is lost"})
    assert (item["suspended"], item["suspend_reason"]) == (True, "the phone is lost")
    assert item["breaker"]["reason"] == "suspended: the phone is lost"
    message = await accept_message(store)
    assert await ask(store, request(message, endpoint=endpoint)) == ["put_back"]
    assert await queue_of(two).ask("ZRANGE", queue_of(two).keys.rota, 0, -1) == [f"{other}/0"]
    refused = await two.post(f"/api/endpoints/{endpoint}/reset-breaker")
    assert (refused.status, (await refused.json())["code"]) == (409, "ENDPOINT_SUSPENDED")
    item = await steer(two, endpoint, "resume")
    assert (item["suspended"], item["suspend_reason"], item["suspended_at"]) == (False, None, None)
    assert await ask(store, request(message, endpoint=endpoint)) == ["passed"]
    # Not before its account was asked, which is the scheduler's.
    assert (await shown(two))[endpoint]["breaker"]["state"] == "open"
    item = await steer(two, endpoint, "reset-breaker")
    assert item["breaker"] == {"state": "closed", "reason": None, "since": item["breaker"]["since"]}
    assert len(await queue_of(two).ask("ZRANGE", queue_of(two).keys.rota, 0, -1)) == 2


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": 1}, {"reason": "x", "other": 1}])
async def test_a_suspension_without_a_reason_is_refused(two: Client, body: dict[str, Any]) -> None:
    response = await two.post(f"/api/endpoints/{known(two)[0]}/suspend", json=body)
    assert await refused_fields(response, 400)
    assert not any(item["suspended"] for item in (await shown(two)).values())


async def test_what_is_not_there_is_not_found(two: Client) -> None:
    for what in ("suspend", "resume", "reset-breaker"):
        assert (await two.post(f"/api/endpoints/nobody/{what}", json={"reason": "x"})).status == 404
    assert (await two.put("/api/endpoints/nobody/rate-profile", json={})).status == 404


async def test_caps_and_holds_are_shown(two: Client, store: Database) -> None:
    endpoint, other = known(two)
    assert await set_caps(queue_of(two), endpoint, Caps(5, 50, 4, 45))
    await queue_of(two).ask("HSET", queue_of(two).keys.state(endpoint), "capped_until", "4102444800000")
    await store.execute(
        "insert into endpoints (id, cold_held_until) values ($1, clock_timestamp() + interval '1 hour')", endpoint
    )
    found = await shown(two)
    assert found[endpoint]["caps"] == {"cap_hour": 5, "cap_day": 50, "bulk_cap_hour": 4, "bulk_cap_day": 45}
    assert found[endpoint]["capped_until"] == "2100-01-01T00:00:00Z"
    assert found[endpoint]["held_until"] > "2020"
    assert (found[other]["held_until"], found[other]["capped_until"]) == (None, None)
    await store.execute("update endpoints set cold_held_until = clock_timestamp()")
    assert (await shown(two))[endpoint]["held_until"] is None


async def test_a_hold_for_new_contacts_is_released_with_a_reason(
    two: Client, store: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint, other = known(two)
    for one in (endpoint, other):
        await store.execute(
            "insert into endpoints (id, cold_held_until) values ($1, clock_timestamp() + interval '1 day')", one
        )
    message = await accept_message(store)
    looked_at = await store.fetchval("select clock_timestamp()")
    await wait_for_contact(store, message, 86_400, looked_at)
    for body, fields in (({}, ["reason"]), ({"reason": " "}, ["reason"]), ({"reason": "x", "lane": "bulk"}, ["lane"])):
        response = await two.post(f"/api/endpoints/{endpoint}/release-hold", json=body)
        assert await refused_fields(response, 400) == fields
    response = await two.post("/api/endpoints/nobody/release-hold", json={"reason": "x"})
    assert response.status == 404
    assert (await shown(two))[endpoint]["held_until"] is not None

    path = f"/api/endpoints/{endpoint}/release-hold"
    answer = await two.post(path, json={"reason": "WhatsApp lifted it"})
    assert "may write to new contacts again" in (await answer.json())["message"]
    found = await shown(two)
    assert found[endpoint]["held_until"] is None
    assert found[other]["held_until"] is not None
    assert await store.fetchval("select due_at <= clock_timestamp() and enqueued_at is null from due") is True
    assert "WhatsApp lifted it" in capsys.readouterr().out
    answer = await two.post(path, json={"reason": "again"})
    assert (await answer.json())["message"] == "It was not held"


async def put_profile(client: Client, endpoint: str, **changes: Any) -> Any:
    return await client.put(f"/api/endpoints/{endpoint}/rate-profile", json=changes)


async def test_an_account_may_have_a_pace_of_its_own(two: Client) -> None:
    endpoint, other = known(two)
    item = await results(await put_profile(two, endpoint, daily_cap=30, delay_max=90_000), shapes.EndpointItem)
    assert item["changes"] == {"daily_cap": 30, "delay_max": 90_000}
    await results(
        await two.put("/api/rate-profile", json={"daily_cap": 500, "hourly_cap": 60}), shapes.RateProfileAnswer
    )
    found = await shown(two)
    paces = {
        one: (found[one]["profile"]["daily_cap"], found[one]["profile"]["hourly_cap"]) for one in (endpoint, other)
    }
    assert paces == {endpoint: (30, 60), other: (500, 60)}
    _, text = await published_profile(queue_of(two))
    assert endpoint in text
    item = await results(await put_profile(two, endpoint, daily_cap=None), shapes.EndpointItem)
    assert item["changes"] == {"delay_max": 90_000}
    assert item["profile"]["daily_cap"] == 500


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"delay_min": 50_000}, "delay_min"), ({"nonsense": 1}, "nonsense"), ({"nonsense": None}, "nonsense"),
     ({"daily_cap": -1}, "daily_cap"), ({"name": "quick"}, "name")],
)  # fmt: skip
async def test_a_pace_that_makes_no_sense_is_refused(two: Client, changes: dict[str, Any], field: str) -> None:
    endpoint = known(two)[0]
    assert await refused_fields(await put_profile(two, endpoint, **changes), 400) == [field]
    assert (await shown(two))[endpoint]["changes"] == {}


async def test_the_common_pace_must_go_with_those_of_single_accounts(two: Client) -> None:
    endpoint = known(two)[0]
    await results(await put_profile(two, endpoint, delay_min=4000), shapes.EndpointItem)
    response = await two.put("/api/rate-profile", json={"delay_min": 1000, "delay_max": 3000})
    assert await refused_fields(response, 400) == ["delay_min"]
    await results(await put_profile(two, endpoint, delay_min=None), shapes.EndpointItem)
    response = await two.put("/api/rate-profile", json={"delay_min": 1000, "delay_max": 3000})
    await results(response, shapes.RateProfileAnswer)


async def test_a_pace_goes_with_one_message_at_a_time_alone(start_gateway: StartGateway) -> None:
    client = await start_gateway(
        endpoint_concurrency=2, rate_profile="manual", rate_limit_delay_min="0s", rate_limit_delay_max="0s"
    )
    [endpoint] = known(client)
    for changes in ({"delay_max": 1000}, {"name": "bulk"}):
        response = await client.put("/api/rate-profile", json=changes)
        assert await refused_fields(response, 400) == ["ENDPOINT_CONCURRENCY"]
        assert await refused_fields(await put_profile(client, endpoint, **changes), 400) == ["ENDPOINT_CONCURRENCY"]
    await results(await client.put("/api/rate-profile", json={"daily_cap": 5}), shapes.RateProfileAnswer)
    await results(await put_profile(client, endpoint, name="bulk", jitter=0, mean=0), shapes.EndpointItem)
    await results(await put_profile(client, endpoint, name="manual", mean=6000), shapes.EndpointItem)
    await results(await put_profile(client, endpoint, name=None), shapes.EndpointItem)
    # Not paced in common, but together with what the account has of its own.
    response = await client.put("/api/rate-profile", json={"name": "bulk", "mean": 0, "jitter": 0})
    assert await refused_fields(response, 400) == ["ENDPOINT_CONCURRENCY"]
