"""The loop over receipts that found no message: round after round, page by page."""

from __future__ import annotations

import pytest

from services.scheduler import receipts
from services.scheduler.receipts import PendingReceipts
from shared.database.connection import Database
from shared.database.receipts import record_receipts
from shared.messages import Receipt
from tests.integration.accepting import accept_message, message_row
from tests.integration.database.beginning import begin, sent, write


async def test_each_round_looks_at_all_that_is_pending(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "_BATCH", 2)
    loop = PendingReceipts(store, 0)
    assert await loop.step() is None, "nothing is pending: the next round is in 30 s"
    names = [f"W{number}" for number in range(5)]
    await record_receipts(store, 0, names, "", Receipt.READ)
    for _ in range(2):
        waits = [await loop.step() for _ in range(4)]
        assert waits == [0.2, 0.2, 0.2, None], "more pages follow at once"
    # Their messages turn up as they do when webhook and settlement missed each other.
    message = await accept_message(store)
    await write(store, sent(await begin(store, message)))
    await store.execute("insert into whatsapp_ids values ('W4', 'a', $1, 1)", message)
    while await loop.step() is not None:
        pass
    assert (await message_row(store, message))["receipt"] == "read"
    await store.execute("update pending_receipts set received_at = received_at - interval '25 h'")
    while await loop.step() is not None:
        pass
    assert await store.fetchval("select count(*) from pending_receipts") == 0
