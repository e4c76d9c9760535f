"""Receipts prove a send without an answer: of that account, from that person, and about nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.scheduler.receipts import PendingReceipts
from shared.database.attempts import GateRequest
from shared.database.connection import Database
from shared.database.receipts import ReceiptProof, join_leftovers, prove_by_receipt, record_receipts
from shared.messages import Receipt, Status
from tests.integration.accepting import accept_campaign, accept_message, message_row, status_of
from tests.integration.database.beginning import begin, due_why, failed, history, sent, unknown, write
from tests.integration.scheduler.lost_answers import checker, lose_answer
from tests.integration.scheduler.stage import PHONE, Stage

ANA = "15550100001"
IDS = [f"3EB0A1B2C3D4E5F60718{number:02X}" for number in range(20)]
TYPED = "3A5F00112233445566AA"
DAY = 86_400.0


async def lost(store: Database, *, endpoint: str = "a", phone: str = ANA, on_unknown: str = "hold") -> GateRequest:
    """An attempt that was answered 504; its check is due later."""
    begun = await begin(store, await accept_message(store, phone=phone, on_unknown=on_unknown), endpoint=endpoint)
    await write(store, unknown(begun))
    return begun


async def receipt(
    store: Database,
    whatsapp_id: str,
    said: Receipt = Receipt.DELIVERED,
    *,
    endpoint: str = "a",
    person: str | None = ANA,
    account: str | None = None,
) -> int:
    return await record_receipts(store, 0, [whatsapp_id], endpoint, said, person, account)


async def facts(store: Database, message: UUID) -> tuple[str, str, str | None]:
    """Status, receipt, WhatsApp id."""
    row = await message_row(store, message)
    found = await store.fetchval("select whatsapp_id from whatsapp_ids where message = $1", message)
    return row["status"], row["receipt"], found


async def test_both_receipts_of_a_send_that_was_answered_504(store: Database) -> None:
    begun = await lost(store)
    assert await receipt(store, IDS[0]) == 1
    assert await receipt(store, IDS[0], Receipt.READ) == 1
    assert await facts(store, begun.message) == ("sent", "read", IDS[0])
    assert await history(store, begun.message) == [(1, "sent")]
    assert await due_why(store, begun.message) is None
    assert await store.fetchval("select count(*) from pending_receipts") == 0
    assert await store.fetchval("select count(*) from unanswered_attempts") == 0


async def test_receipts_before_the_504(store: Database) -> None:
    """They come while the attempt is still open, and the answer 44 s later."""
    begun = await begin(store, await accept_message(store, on_unknown="resend"))
    assert await receipt(store, IDS[0]) == 0
    assert await receipt(store, IDS[0], Receipt.READ) == 0
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.NO, "nobody has asked yet"
    await write(store, unknown(begun))
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.PROVEN
    assert await facts(store, begun.message) == ("sent", "read", IDS[0])


@pytest.mark.parametrize(
    "stray",
    [
        {"endpoint": "b"},
        {"endpoint": ""},
        {"person": "15550100002"},
        {"person": None},
        {"whatsapp_id": TYPED},
        {"whatsapp_id": IDS[0].lower()},
        {"whatsapp_id": IDS[0] + "0"},
    ],
    ids=str,
)
async def test_a_receipt_about_something_else(store: Database, stray: dict[str, Any]) -> None:
    begun = await lost(store)
    options = {"whatsapp_id": IDS[0]} | stray
    assert await receipt(store, options.pop("whatsapp_id"), **options) == 0
    assert await status_of(store, begun.message) is Status.SENDING
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.NO


async def test_two_ids_or_two_messages_prove_nothing(store: Database) -> None:
    first = await lost(store)
    async with store.transaction() as connection:
        # Both are there before anybody looks.
        for identity in IDS[:2]:
            await connection.execute(
                "insert into pending_receipts (whatsapp_id, endpoint, receipt, phone_key) values ($1, 'a', 'read', $2)",
                identity,
                ANA,
            )
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.NO
    await store.execute("delete from pending_receipts where whatsapp_id = $1", IDS[0])
    second = await lost(store)
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.NO
    assert await status_of(store, first.message) is Status.SENDING
    # The second one turns out not to have been it.
    await write(store, sent(second, IDS[5]))
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.PROVEN
    assert await facts(store, first.message) == ("sent", "read", IDS[1])


async def test_an_early_receipt_of_another_message_under_way_is_left_to_it(store: Database) -> None:
    begun = await lost(store)
    other = await begin(store, await accept_message(store))
    assert await receipt(store, IDS[0]) == 0
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.BUSY
    await write(store, sent(other, IDS[0]))
    assert await facts(store, other.message) == ("sent", "delivered", IDS[0])
    assert await status_of(store, begun.message) is Status.SENDING
    assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.NO


async def test_what_was_kept_back_for_another_message_is_looked_at_again(store: Database) -> None:
    begun = await lost(store)
    other = await begin(store, await accept_message(store))
    await receipt(store, IDS[0])
    await write(store, failed(other))
    assert await status_of(store, begun.message) is Status.SENDING
    assert (await join_leftovers(store, 0, "", 100, DAY)).changed == 1
    assert await facts(store, begun.message) == ("sent", "delivered", IDS[0])


async def test_another_person_or_account_under_way_keeps_nothing_back(store: Database) -> None:
    begun = await lost(store)
    await begin(store, await accept_message(store, phone="15550100002"))
    await begin(store, await accept_message(store), endpoint="b")
    assert await receipt(store, IDS[0]) == 1
    assert await status_of(store, begun.message) is Status.SENT


@pytest.mark.parametrize("on_unknown", ["hold", "resend"])
async def test_a_receipt_after_the_verdict_is_late_evidence(store: Database, on_unknown: str) -> None:
    """Also in a campaign, whose counts follow, and where a resend waits."""
    campaign = await accept_campaign(store, 1, on_unknown=on_unknown, first_phone=int(ANA))
    [message] = campaign.messages
    begun = await begin(store, message)
    await write(store, unknown(begun))
    decided = await store.fetchval("select decide_unknown($1, null, 'not there')", message)
    assert decided == ("unknown" if on_unknown == "hold" else "retrying")
    assert await receipt(store, IDS[0]) == 1
    assert await facts(store, message) == ("sent", "delivered", IDS[0])
    assert await due_why(store, message) is None
    assert await store.fetchval("select count(*) from unknown_messages") == 0
    counts = await store.fetchrow("select sum(sent), sum(unknown), sum(delivered) from campaign_counts")
    assert counts is not None
    assert tuple(counts) == (1, 0, 1)


@pytest.mark.parametrize(
    ("began", "came", "decided", "proven"),
    [
        (100, 99, None, True),
        (100, 101, None, False),
        (4000, 10, None, True),
        (4000, 3999, 3900, True),
        (4000, 3905, 3900, True),
        (4000, 3841, 3900, True),
        (4000, 3839, 3900, False),
        (4000, 3001, 3000, True),
        (4000, 2999, 3000, False),
        (4000, 10, 3000, False),
    ],
)
async def test_the_time_in_which_a_receipt_is_believed(
    store: Database, began: int, came: int, decided: int | None, proven: bool
) -> None:
    """Seconds ago. The attempt lasted 70 s. While it is looked up, all since its beginning counts; once it is decided, what
    came until then, or within 90 s of its end. Later somebody may have written by hand in WhatsApp Web."""
    begun = await lost(store)
    if decided is not None:
        await store.execute("select decide_unknown($1, null, 'not there')", begun.message)
        await store.execute("update messages set changed_at = now() - $1::interval", timedelta(seconds=decided))
    for statement in (
        "update attempts set started_at = now() - $1::interval, finished_at = now() - $1::interval + interval '70 s'",
        "update unanswered_attempts set started_at = now() - $1::interval,"
        " finished_at = now() - $1::interval + interval '70 s'",
    ):
        await store.execute(statement, timedelta(seconds=began))
    await store.execute(
        "insert into pending_receipts values ($1, 'a', 'delivered', now() - $2::interval, $3)",
        IDS[0],
        timedelta(seconds=came),
        ANA,
    )
    assert await prove_by_receipt(store, 0, "a", ANA) is (ReceiptProof.PROVEN if proven else ReceiptProof.NO)


async def test_an_id_that_was_heard_of_before_the_attempt_is_not_its(store: Database) -> None:
    """Delivered before, read after it began."""
    await receipt(store, IDS[0])
    await store.execute("update pending_receipts set received_at = received_at - interval '10 s'")
    begun = await lost(store)
    assert await receipt(store, IDS[0], Receipt.READ) == 0
    assert await status_of(store, begun.message) is Status.SENDING


async def test_the_second_look_of_one_person_at_the_same_moment(store: Database) -> None:
    for number in range(10):
        begun = await lost(store)
        said = [Receipt.DELIVERED, Receipt.READ, Receipt.DELIVERED]
        await asyncio.gather(*(receipt(store, IDS[number], one) for one in said), join_leftovers(store, 0, "", 9, DAY))
        await join_leftovers(store, 0, "", 100, DAY)
        assert await facts(store, begun.message) == ("sent", "read", IDS[number])
        assert await store.fetchval("select count(*) from pending_receipts") == 0


async def test_the_number_of_the_account_tells_who_reports(store: Database) -> None:
    """A webhook says the account's number; the settings know slots."""
    account, twice = "15550109999@s.whatsapp.net", "15550108888@s.whatsapp.net"
    for endpoint, number in (("a", account), ("b", twice), ("c", twice)):
        await store.execute("select note_answer($1, $2, 15)", endpoint, number)
    first, second = await lost(store), await lost(store, endpoint="b")
    await receipt(store, IDS[1], endpoint="", account=twice)
    assert await status_of(store, second.message) is Status.SENDING, "two slots have that number"
    await receipt(store, IDS[0], endpoint="", account=account)
    assert await status_of(store, first.message) is Status.SENT


@pytest.mark.parametrize("first", ["the event", "the receipt"])
async def test_what_was_written_by_hand_in_whatsapp_web_proves_nothing(store: Database, first: str) -> None:
    """Its id has the shape of ours, but a webhook tells of it, before its receipts or after."""
    begun = await lost(store)
    other = await lost(store, phone="15550100002")
    typed = "select hear('a', '', '', '', $1, now())"
    if first == "the event":
        await store.execute(typed, IDS[0])
        assert await receipt(store, IDS[0]) == 0
    else:
        busy = await begin(store, await accept_message(store))
        await receipt(store, IDS[0])
        await store.execute(typed, IDS[0])
        await write(store, failed(busy))
        assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.NO
    assert await status_of(store, begun.message) is Status.SENDING
    assert await receipt(store, IDS[1]) == 1
    assert await facts(store, begun.message) == ("sent", "delivered", IDS[1])
    assert await status_of(store, other.message) is Status.SENDING


@pytest.mark.parametrize("known", ["before", "after"])
async def test_a_receipt_under_a_hidden_id_is_its_person_s(store: Database, known: str) -> None:
    begun = await lost(store)
    hidden, name = "204800000000001@lid", f"{ANA}@s.whatsapp.net"
    if known == "before":
        await store.execute("select note_number($1, $2, $3)", hidden, ANA, name)
        assert await receipt(store, IDS[0], person=hidden) == 1
    else:
        assert await receipt(store, IDS[0], person=hidden) == 0
        await store.execute("select note_number($1, $2, $3)", hidden, ANA, name)
        assert await prove_by_receipt(store, 0, "a", ANA) is ReceiptProof.PROVEN
    assert await facts(store, begun.message) == ("sent", "delivered", IDS[0])


async def test_what_nobody_answered_is_forgotten_with_its_receipts(store: Database) -> None:
    """Personal data of messages typed on the phone, and attempts to compare them with, are kept for a day."""
    begun = await lost(store)
    await receipt(store, TYPED)
    await store.execute("select decide_unknown($1, null, 'not there')", begun.message)
    checked = await lost(store, phone="15550100002")
    for statement in (
        "update pending_receipts set received_at = received_at - interval '25 h'",
        "update unanswered_attempts set finished_at = finished_at - interval '25 h'",
    ):
        await store.execute(statement)
    await PendingReceipts(store, 0).step()
    assert await store.fetchval("select count(*) from pending_receipts") == 0
    left = await store.fetch("select message from unanswered_attempts")
    assert [row["message"] for row in left] == [checked.message], "what is to be looked up stays"


async def test_the_check_looks_for_receipts_first(simulated_stage: Stage, session: Any) -> None:
    """The chat holds nothing, as after every 504; and what is under way to the person is waited for."""
    stage, person = simulated_stage, PHONE
    message = await stage.message(on_unknown="resend")
    await lose_answer(stage, message)
    (endpoint,) = stage.endpoints
    other = await stage.message()
    await stage.database.execute(
        "insert into open_attempts (endpoint, slot, message, number, token, dispatcher, phone_key, started_at, deadline)"
        " values ($1, 7, $2, 1, gen_random_uuid(), 'd', $3, now(), now() + interval '1 h')",
        endpoint, other, person,
    )  # fmt: skip
    await record_receipts(stage.database, 0, [IDS[0]], endpoint, Receipt.DELIVERED, person)
    looks = checker(stage, session)
    await looks.step()
    assert await stage.status(message) == "sending"
    assert await stage.database.fetchval(
        "select due_at - clock_timestamp() < interval '6 s' from due where why = 'check'"
    )
    await stage.database.execute("delete from open_attempts")
    await stage.database.execute("update due set due_at = clock_timestamp() where why = 'check'")
    await looks.step()
    assert await stage.status(message) == "sent"
