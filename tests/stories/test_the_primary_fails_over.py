"""The primary fails over: the Postgres that is written to turns read-only or dies, and another takes its place.

Every request is accepted or told to come again, what was accepted is sent once, and nothing that was learnt is lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from standalone.embedded_postgres import EmbeddedPostgres
from tests.integration.gateway.webhooks import signature
from tests.servers import ServiceProcess, database_of, migrate
from tests.standby import make_read_only, of_either, standby_of, stands
from tests.stories.conftest import Paceline, phones, statuses, until

SECRET = "a secret of ours"
RECIPIENTS = 150
MakePaceline = Callable[..., Awaitable[Paceline]]


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "primary", durable=False) as server:
        migrate(database_of(server, "postgres"))
        yield server


@pytest.fixture
def standby(primary: EmbeddedPostgres, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A synchronous one, so that nothing which was acknowledged can be lost."""
    with standby_of(primary, tmp_path / "standby") as server:
        yield server


class Callers:
    """Clients that ask without a pause: texts with and without a key, and opt-outs. Each notes what it was answered."""

    def __init__(self, whole: Paceline) -> None:
        self._whole = whole
        self.answers: list[tuple[str, int]] = []
        self.accepted: list[str] = []
        """The ids of messages that were accepted."""
        self.given_up: set[str] = set()
        """Numbers whose only request was answered 503, so that it is not known whether it counts."""
        self.opted_out: list[str] = []
        self._numbers = iter(phones(5000, 2000))

    async def ask(self, until_when: asyncio.Event) -> None:
        """Goes on until it is set, then finishes what it must repeat."""
        await asyncio.gather(
            *(self._again(until_when, call) for call in (self._keyed, self._keyed, self._unkeyed, self._opt_out))
        )

    async def _again(self, until_when: asyncio.Event, call: Callable[[str], Awaitable[None]]) -> None:
        while not until_when.is_set():
            await call(next(self._numbers))
            await asyncio.sleep(0.03)

    async def _keyed(self, phone: str) -> None:
        headers = {"Idempotency-Key": str(uuid4())}
        self.accepted.append(await until(lambda: self._send(phone, headers), "it is accepted at last"))

    async def _unkeyed(self, phone: str) -> None:
        if answer := await self._send(phone, {}):
            self.accepted.append(answer)
        else:
            self.given_up.add(phone)

    async def _send(self, phone: str, headers: dict[str, str]) -> str | None:
        body = {"phone": phone, "message": f"for {phone}"}
        answer = await self._request("POST", "/api/send/message", json=body, headers=headers)
        return str(answer["results"]["message_id"]) if answer else None

    async def _opt_out(self, phone: str) -> None:
        body = {"scope": "all"}
        await until(lambda: self._request("PUT", f"/api/optouts/{phone}", json=body), "it is noted at last")
        self.opted_out.append(phone)

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        """The answer; None: it was told to come again."""
        async with self._whole.session.request(method, self._whole.gateway.url + path, **options) as response:
            self.answers.append((method, response.status))
            body = orjson.loads(await response.read())
            assert response.status in (200, 202, 503), body
            if response.status != 503:
                return body
            assert int(response.headers["Retry-After"]) > 0
            assert "Idempotency-Key" in body["message"]
            return None

    async def come_through(self, count: int) -> None:
        """Waits until so many more requests were accepted than by now."""
        wanted = self._good() + count

        async def enough() -> bool:
            return self._good() >= wanted

        await until(enough, f"{count} requests are accepted")

    async def are_sent_away(self, count: int) -> None:
        async def enough() -> bool:
            return sum(status == 503 for _, status in self.answers) >= count

        await until(enough, f"{count} requests are told to come again")

    def _good(self) -> int:
        return sum(status < 300 for _, status in self.answers)


async def test_the_primary_fails_over(
    paceline: MakePaceline, service_environment: dict[str, str], primary: EmbeddedPostgres, standby: EmbeddedPostgres
) -> None:
    service_environment.update(of_either(database_of(primary, "postgres"), standby).environment)
    whole = await paceline(devices=3, dispatchers=2, WHATSAPP_WEBHOOK_SECRET=SECRET, TRANSACTIONAL_RESERVE="0")
    await whole.simulate("PUT", "webhook", json={"url": f"{whole.gateway.url}/api/webhooks/gowa", "secret": SECRET})
    campaign = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(RECIPIENTS), "message": "news"})
    await whole.message_of_campaign(campaign["campaign_token"], "sent")
    callers, enough = Callers(whole), asyncio.Event()
    asking = asyncio.create_task(callers.ask(enough))
    await callers.come_through(20)

    primary.kill()
    # The sender posts its event again when it is answered 503.
    await whole.simulate("POST", "devices/account-1/inbound", json={"phone": "15550107777", "body": "STOP"})
    await callers.are_sent_away(30)
    health = await whole.health()
    assert health["status"] == "down"
    assert any("read-only" in line["reason"] or "cannot be reached" in line["reason"] for line in health["reasons"]), (
        health
    )
    standby.execute("select pg_promote()")
    await callers.come_through(60)
    enough.set()
    await asking

    assert {status for _, status in callers.answers} <= {200, 202, 503}
    finished = await whole.campaign_in(campaign["campaign_token"], "finished")
    assert finished["counts"]["sent"] == RECIPIENTS, finished["counts"]
    singles = [await whole.message_in(message, "sent", "unknown", "failed") for message in callers.accepted]
    assert statuses(singles) == {"sent": len(singles)}
    taken = Counter(send["phone"].partition("@")[0] for send in await whole.sends() if send["taken"])
    assert max(taken.values()) == 1, "nothing was sent twice"
    wanted = {*phones(RECIPIENTS), *(one["phone"].partition("@")[0] for one in singles)}
    assert wanted <= taken.keys() <= wanted | callers.given_up, "what was accepted was sent, and nothing else"
    await has_all_opt_outs(whole, {*callers.opted_out, "15550107777"})
    await all_are_delivered(whole, campaign["campaign_token"])
    health = await whole.health()
    assert health["stopped_lanes"] == [], "nothing was lost, so nothing is stopped"
    nothing_unforeseen(whole)
    await whole.judge()


async def has_all_opt_outs(whole: Paceline, wanted: set[str]) -> None:
    async def listed() -> bool:
        found: set[str] = set()
        cursor = ""
        while True:
            page = await whole.call(
                "GET", "/api/optouts", params={"limit": "500"} | ({"cursor": cursor} if cursor else {})
            )
            found |= {one["phone"].partition("@")[0] for one in page["optouts"]}
            cursor = page["next_cursor"]
            if not cursor:
                return wanted <= found

    await until(listed, "every opt-out that was answered, and the word STOP, are known")


async def all_are_delivered(whole: Paceline, token: str) -> None:
    async def delivered() -> bool:
        return bool((await whole.campaign(token))["receipts"]["delivered"] == RECIPIENTS)

    await until(delivered, "no receipt was lost")


def nothing_unforeseen(whole: Paceline) -> None:
    """No service has met an error that it did not expect."""
    for service in (whole.gateway, whole.monitor, whole.scheduler, *whole.dispatchers):
        assert '"level": "error"' not in service.log_text().replace('"level":"error"', '"level": "error"'), service.name
        assert "Traceback" not in service.log_text(), service.name


async def test_a_standby_that_has_lost_something_sends_nothing(
    paceline: MakePaceline, service_environment: dict[str, str], primary: EmbeddedPostgres, tmp_path: Path
) -> None:
    with standby_of(primary, tmp_path / "standby", synchronous=False) as standby:
        service_environment.update(of_either(database_of(primary, "postgres"), standby).environment)
        whole = await paceline(devices=1)
        standby.execute("alter system set primary_conninfo = ''")
        standby.execute("select pg_reload_conf()")
        stands(primary, "select count(*) from pg_stat_replication", "0")
        text = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "once"})
        await whole.message_in(text["message_id"], "sent")
        # What is lost within half a second, between two beats, nobody can tell.
        left_behind = standby.execute("select last_value from beat_number")
        stands(primary, f"select last_value > {left_behind} + 2 from beat_number")  # noqa: S608 - a number
        primary.kill()
        standby.execute("select pg_promote()")

        async def is_noticed() -> bool:
            health = await whole.health()
            return any("went back in time" in line["reason"] for line in health["reasons"])

        await until(is_noticed, "it is told that Postgres went back")
        await whole.call("GET", f"/api/messages/{text['message_id']}", 404)
        later = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100002", "message": "later"})
        assert len(await whole.sends()) == 1, "accepted, but nothing is sent"
        await whole.call("POST", "/api/start", 200, json={})
        await whole.message_in(later["message_id"], "sent")
        await whole.judge()


async def test_a_verdict_waits_for_a_postgres_that_may_be_written_to(
    paceline: MakePaceline, service_environment: dict[str, str], primary: EmbeddedPostgres
) -> None:
    service_environment.update(database_of(primary, "postgres").environment)
    whole = await paceline(devices=1, latency="1s", WHATSAPP_WEBHOOK_SECRET=SECRET, UNKNOWN_CHECK_DELAY="30s")
    text = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550100001", "message": "your code"})

    async def is_on_its_way() -> bool:
        return (await whole.message(text["message_id"]))["status"] == "sending"

    await until(is_on_its_way, "the account is at it")
    make_read_only(primary)

    async def has_left() -> bool:
        return any(send["taken"] for send in await whole.sends())

    await until(has_left, "the account has answered")
    await is_told_to_come_again(whole)
    await says_why(whole)
    assert (await whole.message(text["message_id"]))["status"] == "sending", "reading goes on"

    # A stop is no reason to lose it either.
    (dispatcher,) = whole.dispatchers
    stopping = asyncio.create_task(dispatcher.stop())
    await until_logged(dispatcher, "stopping")
    make_read_only(primary, read_only=False)
    assert await stopping == 0
    message = await whole.message(text["message_id"])
    assert message["status"] == "sent"
    assert [(one["verdict"], one["http_status"]) for one in message["attempts"]] == [("sent", 200)]
    assert len(await whole.sends()) == 1
    await whole.call("PUT", "/api/optouts/15550100009", 200, json={"scope": "all"})
    nothing_unforeseen(whole)
    await whole.judge()


async def is_told_to_come_again(whole: Paceline) -> None:
    said = {
        "event": "message",
        "payload": {"id": "3A", "is_from_me": False, "from": "15550100008@s.whatsapp.net", "body": "STOP"},
    }
    url = whole.gateway.url
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/send/message", {"json": {"phone": "15550100002", "message": "hi"}}),
        ("POST", "/api/send/message", {"json": {"phone": phones(3, 50), "message": "hi"}}),
        ("PUT", "/api/optouts/15550100009", {"json": {"scope": "all"}}),
        ("POST", "/api/webhooks/gowa", signed(said)),
        (
            "POST",
            "/api/webhooks/gowa",
            signed({"event": "message.ack", "payload": {"ids": ["3B"], "receipt_type": "read"}}),
        ),
        ("POST", "/api/stop", {"json": {"reason": "to see"}}),
    ]
    for method, path, options in requests:
        async with whole.session.request(method, url + path, **options) as response:
            assert response.status == 503, (path, await response.text())
            assert "Retry-After" in response.headers


def signed(event: dict[str, Any]) -> dict[str, Any]:
    body = orjson.dumps(event)
    return {"data": body, "headers": {"X-Hub-Signature-256": signature(body, SECRET)}}


async def says_why(whole: Paceline) -> None:
    async with whole.session.get(whole.gateway.url + "/ready") as response:
        (problem,) = (await response.json())["problems"]
    assert "read-only" in problem
    assert "default_transaction_read_only" in problem

    async def told() -> bool:
        health = await whole.health()
        return health["status"] == "down" and any(
            "default_transaction_read_only" in one["reason"] for one in health["reasons"]
        )

    await until(told, "the monitor names cause and cure")


async def until_logged(service: ServiceProcess, word: str) -> None:
    async def logged() -> bool:
        return f'"{word}"' in service.log_text()

    await until(logged, f"{service.name} says {word}")
