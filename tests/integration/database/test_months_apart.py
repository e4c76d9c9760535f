"""The path of a message touches its own month alone: other months cost it nothing, and nobody there can hold it up."""

from shared.database.connection import Database
from shared.messages import Status, Verdict
from tests.integration.accepting import accept_campaign, accept_message, message_row
from tests.integration.database.beginning import ask, begin, request, result, sent, to_retry, unknown, write


async def test_a_month_that_is_locked_holds_up_no_message_of_another(store: Database) -> None:
    months = [
        row["name"]
        for row in await store.fetch(
            "select i.inhrelid::regclass::text as name from pg_inherits i"
            " where i.inhparent in ('messages'::regclass, 'attempts'::regclass)"
            " and i.inhrelid::regclass::text not like '%' || to_char(now() at time zone 'UTC', 'YYYY_MM')"
        )
    ]
    assert len(months) == 6, "two months ahead and the rest, twice"
    single, campaign = await accept_message(store), await accept_campaign(store, 3)
    async with store.transaction() as other:
        for month in months:
            await other.execute(f"lock table {month} in access exclusive mode")
        assert await ask(store, request(single, 2)) == ["refused"]
        first = await begin(store, single, slot=1)
        others = [request(message, endpoint="b", slot=slot, gap=60.0) for slot, message in enumerate(campaign.messages)]
        assert await ask(store, *others) == ["passed"] * 3
        endings = [sent(first, "3EB0"), to_retry(others[0]), unknown(others[1])]
        assert len(await write(store, *endings)) == 3
        late = result(others[1], Verdict.SENT, Status.SENT, http_status=200)
        assert await write(store, late) == {others[1].message: Status.SENT}
    assert (await message_row(store, single))["status"] == "sent"
