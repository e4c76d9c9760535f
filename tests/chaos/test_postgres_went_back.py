"""An older backup of Postgres is put back while everything runs: what was sent since stands there as waiting."""

from __future__ import annotations

import shutil
from typing import Any
from uuid import UUID

import pytest

from shared.messages import Entry, Lane
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.chaos.conftest import MakePaceline, Truth, text
from tests.servers import database_of, redis_client
from tests.stories.conftest import Paceline, phones, until

RECIPIENTS = 12
AGAIN = "15550105001"
CANCELED = "15550105002"
NEW = "15550105003"


class Backup:
    """The data of a Postgres as they are when this is made; it stops for the while."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self._live = postgres.data_dir / "cluster"
        self._copy = postgres.data_dir / "backup"
        postgres.stop()
        shutil.copytree(self._live, self._copy, symlinks=True)
        postgres.start()

    def put_back(self) -> None:
        self._postgres.kill()
        shutil.rmtree(self._live)
        self._copy.rename(self._live)
        self._postgres.start()


@pytest.fixture
def truth(lasting_postgres: EmbeddedPostgres) -> Truth:
    return Truth(database_of(lasting_postgres, "own").dsn)


class Queue:
    """What Redis holds."""

    def __init__(self, server: EmbeddedValkey, name: str) -> None:
        self._server = server
        self._prefix = f"{{{name}}}"

    def beat(self) -> int:
        with redis_client(self._server) as client:
            return int(client.hget(f"{self._prefix}:epoch", "beat") or 0)

    def enqueue(self, message: str) -> None:
        """The entry of a first attempt, as a feeder that knows only Postgres would make it."""
        entry = Entry(UUID(message), attempt=1, lane=Lane.TRANSACTIONAL)
        with redis_client(self._server) as client:
            client.xadd(f"{self._prefix}:transactional", entry.fields())

    async def drained(self) -> None:
        """Waits until nothing is in the streams, in anybody's hand or parked."""

        async def look() -> bool:
            with redis_client(self._server) as client:
                left = [client.xlen(f"{self._prefix}:{lane.value}") for lane in Lane]
                return not any([*left, client.zcard(f"{self._prefix}:busy"), client.zcard(f"{self._prefix}:scheduled")])

        await until(look, "Redis holds no work")


@pytest.fixture
def queue(redis_server: EmbeddedValkey, queue_name: str) -> Queue:
    return Queue(redis_server, queue_name)


async def taken(whole: Paceline) -> list[str]:
    """The recipients of what was taken by the sender, in order."""
    return [str(send["phone"]).partition("@")[0] for send in await whole.sends() if send["taken"]]


async def everything_sent_since_a_backup(
    whole: Paceline, postgres: EmbeddedPostgres, queue: Queue
) -> tuple[Backup, str, list[str]]:
    """A campaign and two texts, sent after the backup in which they wait; with the campaign's token, the texts' ids."""
    body = {"phone": phones(RECIPIENTS), "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    texts = [await text(whole, phone) for phone in (AGAIN, CANCELED)]

    async def beaten() -> bool:
        return queue.beat() > 1

    await until(beaten, "a scheduler has written its number")
    backup = Backup(postgres)
    before = queue.beat()
    for _ in range(2):
        await whole.add_dispatcher()
    await whole.campaign_in(token, "finished")
    for message in texts:
        await whole.message_in(message, "sent")

    async def beaten_again() -> bool:
        return queue.beat() > before + 1

    await until(beaten_again, "a scheduler has gone on")
    await queue.drained()
    return backup, token, texts


async def stopped(whole: Paceline) -> str:
    """Waits until health says that Postgres went back; the reason of the stop."""

    async def look() -> str | None:
        for line in (await whole.health())["reasons"]:
            if line["part"] == "postgres" and "went back" in line["reason"]:
                return str(line["detail"])
        return None

    return str(await until(look, "health says that Postgres went back"))


async def answered(whole: Paceline, path: str) -> None:
    """Waits until the gateway answers again."""

    async def look() -> bool:
        async with whole.session.get(whole.gateway.url + path) as response:
            return response.status == 200

    await until(look, "the gateway answers")


async def test_nothing_is_sent_again_before_an_operator_has_confirmed_it(
    paceline: MakePaceline, lasting_postgres: EmbeddedPostgres, truth: Truth, queue: Queue
) -> None:
    whole = await paceline(devices=2, dispatchers=0)
    backup, token, texts = await everything_sent_since_a_backup(whole, lasting_postgres, queue)
    sent = await taken(whole)
    assert sorted(sent) == sorted([*phones(RECIPIENTS), AGAIN, CANCELED])

    backup.put_back()
    reason = await stopped(whole)
    assert reason.startswith("Postgres went back in time: it is at beat ")
    assert (await whole.health())["status"] == "down"
    figures: dict[str, Any] = await whole.call("GET", "/api/statistics")
    assert figures["messages"]["stopped_lanes"] == ["bulk", "transactional"]
    assert figures["messages"]["stop_reason"] == reason
    assert any("POST /api/start" in line["reason"] for line in figures["reasons"])
    # What is accepted now is looked at by the dispatchers, and waits like the rest.
    new = await text(whole, NEW)
    await queue.drained()
    assert [await whole.message_in(message, "queued") for message in (*texts, new)]
    assert await taken(whole) == sent

    await whole.call("POST", f"/api/campaigns/{token}/cancel")
    await whole.call("POST", f"/api/messages/{texts[1]}/cancel")
    confirmed = await whole.call("POST", "/api/start")
    assert confirmed["confirmed"].startswith("Postgres went back in time, noticed at ")
    for message in (new, texts[0]):
        await whole.message_in(message, "sent")
    assert sorted((await taken(whole))[len(sent) :]) == sorted([AGAIN, NEW]), "what the operator left, and what is new"

    async def beats_on() -> bool:
        return bool(queue.beat() > await truth.value("select last_value - 4 from beat_number") > 1000)

    await until(beats_on, "the number of Redis is that of Postgres")
    assert await truth.value("select went_back_at is null and stopped_lanes = '{}' from control")


async def test_dispatchers_that_are_back_before_any_scheduler_send_nothing(
    paceline: MakePaceline, lasting_postgres: EmbeddedPostgres, truth: Truth, queue: Queue
) -> None:
    whole = await paceline(devices=2, dispatchers=0)
    backup, _, texts = await everything_sent_since_a_backup(whole, lasting_postgres, queue)
    sent = await taken(whole)
    whole.scheduler.pause()
    backup.put_back()
    await answered(whole, f"/api/messages/{texts[0]}")
    for message in texts:
        queue.enqueue(message)
    new = await text(whole, NEW)
    await queue.drained()
    assert await truth.value("select stopped_lanes = '{}' from control"), "nobody has stopped anything yet"
    assert await truth.value("select count(*) from messages where id = any ($1::uuid[]) and status = 'queued'",
                             [*texts, new]) == 3  # fmt: skip
    assert await taken(whole) == sent

    whole.scheduler.resume()
    await stopped(whole)
    await whole.call("POST", "/api/start")
    await whole.message_in(new, "sent")
