"""Verdicts that cannot be written: they wait, and keep no other waiting."""

from __future__ import annotations

import asyncio
from typing import cast

from services.dispatcher.breakers import Breakers
from services.dispatcher.settlement import SettlementWriter
from shared.database.connection import Database
from shared.messages import Status
from shared.queue.taking import Taking
from tests.integration.accepting import accept_campaign, status_of
from tests.integration.database.beginning import begin, sent

COUNT = 9
DAMAGED = 4


async def test_one_row_that_postgres_cannot_write_keeps_no_other_verdict_waiting(store: Database) -> None:
    campaign = await accept_campaign(store, COUNT)
    begun = [await begin(store, message, slot=slot) for slot, message in enumerate(campaign.messages)]
    damaged = campaign.messages[DAMAGED]
    await store.execute(
        "create function damage() returns trigger language plpgsql as $$ begin"
        f" if new.id = '{damaged}' then raise data_corrupted using message = 'invalid page'; end if; return new; end $$"
    )
    await store.execute("create trigger damage before update on messages for each row execute function damage()")
    # Redis has no part in it.
    writer = SettlementWriter(store, cast(Taking, None), Breakers({}), "dispatcher-1", asyncio.Event())
    written = [asyncio.create_task(writer.record(sent(one))) for one in begun]
    others = [task for number, task in enumerate(written) if number != DAMAGED]
    async with asyncio.timeout(30):
        assert await asyncio.gather(*others) == [Status.SENT] * (COUNT - 1)
    assert not written[DAMAGED].done(), "it is written again and again"
    assert await status_of(store, damaged) is Status.SENDING
    await store.execute("drop trigger damage on messages")
    assert await written[DAMAGED] is Status.SENT
    assert await status_of(store, damaged) is Status.SENT
