"""Postgres stands still for a minute, with every connection open: nobody is told "accepted", and all goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp

from standalone.embedded_postgres import EmbeddedPostgres
from tests.chaos.conftest import MakePaceline
from tests.stories.conftest import Paceline, phones, until

RECIPIENTS = 60
CALLERS = 40
"""More at once than the gateway has connections."""
AWAY = 60.0
BOUND = 40.0
"""Seconds in which a caller is answered: the wait for a connection, a statement's limit, and some for a busy machine."""


async def send(whole: Paceline, phone: str) -> int:
    """The status of a text that is sent with a key, so that it may be repeated."""
    body = {"phone": phone, "message": "hello"}
    headers = {"Idempotency-Key": f"key-{phone}"}
    url = whole.gateway.url + "/api/send/message"
    async with whole.session.post(url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(BOUND)) as response:
        await response.read()
        return response.status


async def test_a_postgres_that_stands_still_for_a_minute(
    paceline: MakePaceline, lasting_postgres: EmbeddedPostgres
) -> None:
    whole = await paceline(devices=3, dispatchers=2)
    wanted = phones(RECIPIENTS)
    body = {"phone": wanted, "message": "hello"}
    token = (await whole.call("POST", "/api/send/message", 202, json=body))["campaign_token"]

    async def some_sent() -> bool:
        return len(await whole.sends()) >= 5

    await until(some_sent, "some are sent")
    processes = [whole.gateway, whole.monitor, whole.scheduler, *whole.dispatchers]
    lasting_postgres.pause()
    since = time.monotonic()
    callers = phones(CALLERS, first=1000)
    answers = asyncio.gather(*(send(whole, phone) for phone in callers))
    async with whole.session.get(whole.gateway.url + "/health") as response:
        assert response.status == 200, "the gateway itself lives"
    assert Counter(await answers) == {503: CALLERS}
    # The passing of this time is what is tested.
    await asyncio.sleep(max(0.0, AWAY - (time.monotonic() - since)))
    lasting_postgres.resume()

    accepted: set[str] = set()

    async def all_accepted() -> bool:
        for phone in callers:
            if phone not in accepted and await send(whole, phone) == 202:
                accepted.add(phone)
        return len(accepted) == CALLERS

    await until(all_accepted, "whoever repeats is accepted")
    campaign: dict[str, Any] = await whole.campaign_in(token, "finished")
    # What was under way when it stopped has an answer that was written down late, or is looked up.
    assert campaign["counts"]["sent"] + campaign["counts"]["unknown"] == RECIPIENTS

    async def all_sent() -> bool:
        sent = {str(line["phone"]).partition("@")[0] for line in await whole.sends()}
        return sent >= {*wanted, *callers}

    await until(all_sent, "all are sent")
    taken = Counter(str(line["phone"]).partition("@")[0] for line in await whole.sends() if line["taken"])
    assert taken == Counter([*wanted, *callers]), "each once, also what was repeated"
    assert all(one.process.running for one in processes), "nothing was restarted"
    await whole.judge()
