"""What a campaign's counts say is what a count of its messages says, by whatever way their status changed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from shared.database.attempts import end_unsendable
from shared.database.connection import Database
from shared.messages import Status
from tests.integration.accepting import Campaign, accept_campaign, status_of
from tests.integration.database.beginning import begin, failed, sent, to_retry, unknown, write
from tests.servers import ROOT

COUNTED = """
select sum(n.sent) as sent, sum(n.failed) as failed, sum(n.unknown) as unknown, sum(n.canceled) as canceled,
    sum(n.expired) as expired, sum(n.suppressed) as suppressed, sum(n.delivered) as delivered, sum(n.read) as read,
    sum(n.possible_duplicates) as possible_duplicates
from campaign_counts n where n.campaign = $1
"""
LOCK_WAITERS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
STANDING = """
select count(*) filter (where m.status = 'sent') as sent, count(*) filter (where m.status = 'failed') as failed,
    count(*) filter (where m.status = 'unknown') as unknown, count(*) filter (where m.status = 'canceled') as canceled,
    count(*) filter (where m.status = 'expired') as expired, count(*) filter (where m.status = 'suppressed') as suppressed,
    count(*) filter (where m.receipt <> 'none') as delivered, count(*) filter (where m.receipt = 'read') as read,
    count(*) filter (where m.possible_duplicate) as possible_duplicates
from messages m where m.campaign = $1
"""


async def counted(store: Database, campaign: UUID) -> dict[str, int]:
    """As the counts say; every name is there."""
    row = await store.fetchrow(COUNTED, campaign)
    assert row is not None
    return {name: number or 0 for name, number in row.items()}


async def standing(store: Database, campaign: UUID) -> dict[str, int]:
    """As the messages say."""
    row = await store.fetchrow(STANDING, campaign)
    assert row is not None
    return dict(row)


@dataclass
class Walk:
    """A campaign whose outcomes are resent, and each of its messages the next time that one is wanted."""

    store: Database
    campaign: Campaign
    unused: AsyncIterator[UUID]

    async def sent(self, whatsapp_id: str) -> UUID:
        message = await anext(self.unused)
        await write(self.store, sent(await begin(self.store, message), whatsapp_id))
        return message

    async def looked_up(self) -> UUID:
        """Without an answer, to be decided."""
        message = await anext(self.unused)
        await write(self.store, unknown(await begin(self.store, message)))
        return message

    async def failed(self) -> UUID:
        message = await anext(self.unused)
        await write(self.store, failed(await begin(self.store, message)))
        return message

    async def held(self) -> UUID:
        """Of unknown outcome, for good."""
        message = await self.looked_up()
        await self.store.execute("update messages set on_unknown = 'hold' where id = $1", message)
        assert await self.decide(message) == "unknown"
        return message

    async def decide(self, message: UUID, whatsapp_id: str | None = None) -> str:
        return str(await self.store.fetchval("select decide_unknown($1, $2, 'test')", message, whatsapp_id))

    async def resolve(self, message: UUID, how: str) -> None:
        count = "select resolve_unknown($1, array[$2::uuid], $3)"
        assert await self.store.fetchval(count, self.campaign.token, message, how) == 1

    async def receipt(self, whatsapp_id: str, receipt: str) -> None:
        await self.store.execute("select record_receipts(0, array[$1], 'a', $2)", whatsapp_id, receipt)


async def gate(walk: Walk) -> None:
    await begin(walk.store, await anext(walk.unused))


async def settle(walk: Walk) -> None:
    begun = [await begin(walk.store, await anext(walk.unused), slot=slot) for slot in range(4)]
    await write(walk.store, sent(begun[0], "W0"), failed(begun[1]), to_retry(begun[2]), unknown(begun[3]))
    # Written again after its answer was lost; and the truth about what is being looked up comes late.
    await write(walk.store, sent(begun[0], "W0"), failed(begun[1]), sent(begun[3], "W1"))


async def settle_canceled(walk: Walk) -> None:
    begun = await begin(walk.store, await anext(walk.unused))
    await walk.store.execute("select cancel_campaign($1)", walk.campaign.token)
    await write(walk.store, to_retry(begun))
    assert await status_of(walk.store, begun.message) is Status.CANCELED


async def settle_after_it_was_decided(walk: Walk) -> None:
    message = await anext(walk.unused)
    begun = await begin(walk.store, message)
    await write(walk.store, unknown(begun))
    await walk.store.execute("update messages set on_unknown = 'hold' where id = $1", message)
    assert await walk.decide(message) == "unknown"
    await write(walk.store, sent(begun, "W2"))
    assert await status_of(walk.store, message) is Status.SENT


async def end(walk: Walk) -> None:
    for status in (Status.CANCELED, Status.EXPIRED, Status.SUPPRESSED, Status.FAILED):
        messages = [await anext(walk.unused), await anext(walk.unused)]
        assert await end_unsendable(walk.store, 0, messages, status, "test") == 2


async def decide_sent(walk: Walk) -> None:
    assert await walk.decide(await walk.looked_up(), "W3") == "sent"


async def decide_held(walk: Walk) -> None:
    await walk.held()


async def decide_resent(walk: Walk) -> None:
    """Twice: it is one message that may have been sent more than once."""
    message = await walk.looked_up()
    assert await walk.decide(message) == "retrying"
    await write(walk.store, unknown(await begin(walk.store, message)))
    assert await walk.decide(message) == "retrying"


async def resolve(walk: Walk) -> None:
    for how in ("sent", "failed", "resend"):
        await walk.resolve(await walk.held(), how)


async def retry(walk: Walk) -> None:
    await walk.failed()
    await walk.failed()
    assert await walk.store.fetchval("select retry_campaign($1)", walk.campaign.token) == 2


async def receipts(walk: Walk) -> None:
    await walk.sent("W4")
    await walk.sent("W5")
    await walk.sent("W6")
    for whatsapp_id, receipt in (
        ("W4", "delivered"),
        ("W5", "read"),
        ("W6", "delivered"),
        ("W6", "read"),
        ("W6", "delivered"),
    ):
        await walk.receipt(whatsapp_id, receipt)


async def receipt_of_a_failure(walk: Walk) -> None:
    await walk.store.execute("insert into whatsapp_ids values ('W7', 'a', $1, 1)", await walk.failed())
    await walk.receipt("W7", "read")


async def receipt_of_what_is_held(walk: Walk) -> None:
    await walk.store.execute("insert into whatsapp_ids values ('W8', 'a', $1, 1)", await walk.held())
    await walk.receipt("W8", "delivered")


PATHS: dict[str, list[Callable[[Walk], Awaitable[None]]]] = {
    "gate": [gate],
    "settle": [settle, settle_canceled, settle_after_it_was_decided],
    "end_unsendable": [end],
    "decide_unknown": [decide_sent, decide_held, decide_resent],
    "resolve_unknown": [resolve],
    "retry_campaign": [retry],
    "join_receipts": [receipts, receipt_of_a_failure, receipt_of_what_is_held],
}
"""By the function that sets the status."""


@pytest.fixture
async def walk(store: Database) -> Walk:
    campaign = await accept_campaign(store, 20, on_unknown="resend")

    async def unused() -> AsyncIterator[UUID]:
        for message in campaign.messages:
            yield message

    return Walk(store, campaign, unused())


@pytest.mark.parametrize("path", [path for paths in PATHS.values() for path in paths], ids=lambda path: path.__name__)
async def test_every_way_is_counted(walk: Walk, path: Callable[[Walk], Awaitable[None]]) -> None:
    before = await standing(walk.store, walk.campaign.token)
    assert set(before.values()) == {0}
    await path(walk)
    after = await standing(walk.store, walk.campaign.token)
    assert await counted(walk.store, walk.campaign.token) == after
    assert after != before or path is gate or path is retry


def test_no_other_function_sets_a_status() -> None:
    setting = re.compile(r"\bupdate messages\b(?:(?!\bwhere\b|\bfrom\b).)*?\bstatus = ", re.DOTALL)
    files = [
        file
        for folder in ("migrations/functions", "shared/database/sql")
        for file in (ROOT / folder).glob("*.sql")
        if setting.search(re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8")))
    ]
    assert {file.stem for file in files} == set(PATHS)


async def test_a_statement_that_knows_nothing_of_counts_is_counted(store: Database) -> None:
    campaigns = [await accept_campaign(store, 4, first_phone=15550200000 + 10 * number) for number in range(3)]
    for change in (
        "status = 'sent', receipt = 'read'",
        "status = 'failed', receipt = 'none', possible_duplicate = true where phone_key like '%2'",
        "status = 'unknown', changed_at = clock_timestamp() where status = 'failed'",
        "status = 'queued', possible_duplicate = false",
    ):
        await store.execute(f"update messages set {change}")  # noqa: S608
        for campaign in campaigns:
            assert await counted(store, campaign.token) == await standing(store, campaign.token)
    assert await store.fetchval("select count(*) from campaign_counts") > 0


async def test_what_changes_nothing_that_counts_writes_no_counts(store: Database) -> None:
    campaign = await accept_campaign(store, 3)
    await begin(store, campaign.messages[0])
    await store.execute("update messages set chosen_endpoint = 'a'")
    assert await store.fetchval("select count(*) from campaign_counts") == 0
    await store.execute("update messages set status = 'sent'")
    version = "select max(xmin::text::bigint) from campaign_counts"
    before = await store.fetchval(version)
    await store.execute("update messages set chosen_endpoint = 'b'")
    assert await store.fetchval(version) == before


async def test_many_at_once_count_the_same_campaigns(store: Database) -> None:
    """All begin at the same moment, in one shard as if the numbers of their sessions met, and none waits in a ring."""
    text = (ROOT / "migrations/functions/count_changes.sql").read_text(encoding="utf-8")
    await store.execute(text.replace("pg_backend_pid() % 16", "0"))
    # They wait for each other, however long the machine takes; a ring is found all the same.
    await store.execute("alter function end_unsendable(uuid[], text, text, integer) set lock_timeout = 0")
    campaigns = [await accept_campaign(store, 9, first_phone=15550200000 + 100 * number) for number in range(6)]
    batches = [[campaign.messages[place] for campaign in campaigns] for place in range(9)]
    await end_unsendable(store, 0, batches[0], Status.EXPIRED, "test")
    async with store.transaction() as connection:
        await connection.execute("select from campaign_counts for update")
        ending = [asyncio.create_task(end_unsendable(store, 0, batch, Status.EXPIRED, "test")) for batch in batches[1:]]
        async with asyncio.timeout(60):
            while await store.fetchval(LOCK_WAITERS) < len(ending):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert await asyncio.gather(*ending) == [6] * 8
    for campaign in campaigns:
        assert (await counted(store, campaign.token))["expired"] == 9
