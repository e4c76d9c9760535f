"""Redis fails over to a copy that is seconds old, or is away for longer than a dispatcher may be silent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import pairwise

import aiohttp
import pytest

from standalone.embedded_valkey import EmbeddedValkey
from tests.chaos.conftest import DEAD_AFTER, MakePaceline, Truth, text
from tests.chaos.fault_proxy import Direction, FaultProxy
from tests.chaos.running_whole import OlderCopy, take_over_empty
from tests.servers import redis_client
from tests.stories.conftest import Paceline, phones, until

RECIPIENTS = 60
GAP = 0.1


async def sent(whole: Paceline, token: str, count: int) -> None:
    async def look() -> bool:
        return bool((await whole.campaign(token))["counts"]["sent"] >= count)

    await until(look, f"{count} are sent")


async def once_each(whole: Paceline, count: int) -> None:
    taken = Counter(send["phone"] for send in await whole.sends() if send["taken"])
    assert set(taken.values()) == {1}, "nothing was sent twice"
    assert len(taken) == count, "nothing was lost"
    await whole.judge()


@pytest.mark.parametrize("successor", ["older copy", "empty"])
async def test_another_server_takes_over(
    paceline: MakePaceline, lasting_valkey: EmbeddedValkey, truth: Truth, successor: str
) -> None:
    pace = {"RATE_DELAY_MEAN_MS": "100", "RATE_DELAY_JITTER_MS": "0"}
    pace |= {"RATE_LIMIT_DELAY_MIN": "100ms", "RATE_LIMIT_DELAY_MAX": "100ms"}
    whole = await paceline(
        devices=2,
        dispatchers=2,
        BULK_CHUNK_SIZE="10",
        RETRY_BASE_DELAY="6s",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD="20",
        **pace,
    )
    # Retries that are parked in Redis alone when it goes; the older copy does not know of them.
    await whole.simulate("PUT", "mood", json={"mood": "500", "rate": 0.3, "seed": 1})
    body = {"phone": phones(RECIPIENTS), "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    await sent(whole, token, 5)
    copy = OlderCopy(lasting_valkey) if successor == "older copy" else None
    await sent(whole, token, 15)
    assert await truth.value("select count(*) from due where why = 'retry'") > 0, "no retry is parked"
    epoch = await truth.value("select epoch from control")
    if copy is not None:
        copy.take_over()
    else:
        take_over_empty(lasting_valkey)
    await whole.simulate("PUT", "mood", json={"mood": "ok"})
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == RECIPIENTS
    assert await truth.value("select epoch from control") > epoch
    await once_each(whole, RECIPIENTS)
    for device in whole.devices:
        sends = [send for send in await whole.sends() if send["device"] == device]
        gaps = [after["arrived_at"] - before["finished_at"] for before, after in pairwise(sends)]
        assert min(gaps) >= GAP * 0.99, "no account sent sooner than its pace allows"


async def test_redis_is_away_for_longer_than_a_dispatcher_may_be_silent(
    paceline: MakePaceline, redis_server: EmbeddedValkey, queue_name: str, truth: Truth
) -> None:
    whole = await paceline(devices=3, dispatchers=2, DISPATCHER_DEAD_AFTER=DEAD_AFTER, latency="100ms")
    body = {"phone": phones(RECIPIENTS), "message": "hello", "on_unknown": "resend"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]
    await sent(whole, token, 5)
    redis_server.pause()
    # The passing of this time is what is tested.
    await asyncio.sleep(15)
    redis_server.resume()
    resumed_at = time.time() * 1000

    async def all_speak() -> bool:
        with redis_client(redis_server) as client:
            beats = client.hvals(f"{{{queue_name}}}:dispatchers")
        return len(beats) == 2 and all(float(beat) > resumed_at for beat in beats)

    await until(all_speak, "both dispatchers speak again")
    async with aiohttp.ClientSession() as session, session.get(f"{whole.scheduler.url}/metrics") as response:
        assert "paceline_dispatchers_dead_total 0.0" in await response.text()
    assert not await truth.value("select count(*) from attempts where verdict = 'unknown'")
    assert not await truth.value("select count(*) from messages where possible_duplicate or crashes > 0")
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == RECIPIENTS
    await once_each(whole, RECIPIENTS)


async def test_a_take_whose_answer_is_lost_is_taken_back_soon(
    paceline: MakePaceline, redis_server: EmbeddedValkey, redis_proxy: FaultProxy, queue_name: str
) -> None:
    whole = await paceline(devices=1, dispatchers=0)
    await whole.add_dispatcher(REDIS_PORT=str(redis_proxy.port), REDIS_READ_TIMEOUT="500ms")
    redis_proxy.hold(Direction.REPLY)
    message = await text(whole)

    async def taken() -> bool:
        with redis_client(redis_server) as client:
            return bool(client.zcard(f"{{{queue_name}}}:busy") == 1)

    await until(taken, "the message is taken")
    redis_proxy.cut()
    redis_proxy.heal()

    async def is_sent() -> bool:
        return bool((await whole.message(message))["status"] == "sent")

    # The lease of its slot lasts 100 s with these settings, 270 s with the default ones.
    await until(is_sent, "it is sent", deadline=20)
