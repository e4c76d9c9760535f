"""What follows an attempt: the next status, the history, the `due` row and the counts; repeating changes nothing."""

from uuid import UUID

import pytest

from shared.database.attempts import AttemptResult, end_unsendable
from shared.database.connection import Database
from shared.messages import Status, Verdict
from tests.integration.accepting import accept_campaign, accept_message, counts_of, message_row, status_of
from tests.integration.database.beginning import (
    ask,
    begin,
    due_why,
    failed,
    history,
    open_attempts,
    request,
    result,
    sent,
    to_retry,
    unknown,
    write,
)

CHECK_AT_ONCE = {"message": 0, "image": 0, "file": 0}


async def deadlines_pass(store: Database) -> int:
    """All open attempts are past their deadline; answers how many were found to be unanswered."""
    await store.execute("update open_attempts set deadline = '-infinity'")
    return int(await store.fetchval("select find_unanswered($1)", CHECK_AT_ONCE))


async def decide(store: Database, message: UUID, whatsapp_id: str | None = None) -> str | None:
    status: str | None = await store.fetchval("select decide_unknown($1, $2, 'checked')", message, whatsapp_id)
    return status


async def counted_rows(store: Database, campaign: UUID) -> dict[str, int]:
    rows = await store.fetch(
        "select status, count(*)::int as number from messages where campaign = $1"
        " and status not in ('queued', 'retrying', 'sending') group by status",
        campaign,
    )
    return {row["status"]: row["number"] for row in rows}


async def test_each_verdict_leads_where_it_should(store: Database) -> None:
    campaign = await accept_campaign(store, 4)
    begun = [await begin(store, message, slot=slot) for slot, message in enumerate(campaign.messages)]
    changed = await write(store, sent(begun[0], "W0"), failed(begun[1]), to_retry(begun[2]), unknown(begun[3]))
    assert [changed[message] for message in campaign.messages] == [
        Status.SENT,
        Status.FAILED,
        Status.RETRYING,
        Status.SENDING,
    ]
    assert [await due_why(store, message) for message in campaign.messages] == [None, None, "retry", "check"]
    assert await open_attempts(store) == 0
    assert await counts_of(store, campaign.token) == {"sent": 1, "failed": 1}
    assert await store.fetchval("select message from whatsapp_ids where whatsapp_id = 'W0'") == campaign.messages[0]
    assert await history(store, campaign.messages[1]) == [(1, "refused")]


@pytest.mark.parametrize("verdict", [sent, failed, to_retry, unknown])
async def test_repeating_a_settlement_changes_nothing(store: Database, verdict: object) -> None:
    campaign = await accept_campaign(store, 1)
    [message] = campaign.messages
    outcome: AttemptResult = verdict(await begin(store, message))  # type: ignore[operator]
    await write(store, outcome)
    before = (await message_row(store, message), await counts_of(store, campaign.token))
    due_at = await store.fetchval("select due_at from due where message = $1", message)
    for _ in range(2):
        assert await write(store, outcome) == {}
    assert (await message_row(store, message), await counts_of(store, campaign.token)) == before
    assert await store.fetchval("select due_at from due where message = $1", message) == due_at
    assert before[0]["tries_used"] == 1
    assert len(await history(store, message)) == 1


@pytest.mark.parametrize(
    "state", ["retrying", "retried", "unknown", "failed", "put back after failing", "canceled", "checked"]
)
async def test_sent_wins_whatever_happened_since(store: Database, state: str) -> None:
    campaign = await accept_campaign(store, 1)
    [message] = campaign.messages
    first = await begin(store, message)
    if state in ("unknown", "checked"):
        await write(store, unknown(first))
        if state == "unknown":
            assert await decide(store, message) == "unknown"
    elif state.endswith(("failed", "failing")):
        await write(store, failed(first))
        if state != "failed":
            assert await store.fetchval("select retry_campaign($1)", campaign.token) == 1
    else:
        await write(store, to_retry(first))
        if state == "retried":
            await begin(store, message)
        if state == "canceled":
            await end_unsendable(store, 0, [message], Status.CANCELED, "test")
    assert await write(store, sent(first)) == {message: Status.SENT}
    assert await counts_of(store, campaign.token) == await counted_rows(store, campaign.token) == {"sent": 1}
    assert await due_why(store, message) is None
    assert await ask(store, first) == ["refused"]


async def test_a_late_verdict_of_an_earlier_attempt_only_completes_the_history(store: Database) -> None:
    message = await accept_message(store)
    first = await begin(store, message)
    assert await deadlines_pass(store) == 1
    assert await decide(store, message) == "retrying"
    second = await begin(store, message)
    assert await write(store, failed(first)) == {}
    row = await message_row(store, message)
    assert (row["status"], row["attempt"], row["token"].hex) == ("sending", 2, second.token)
    assert await history(store, message) == [(1, "refused")]


async def test_what_never_began_leaves_no_trace_in_the_history(store: Database) -> None:
    message = await accept_message(store)
    assert await write(store, to_retry(request(message))) == {}
    assert await history(store, message) == []
    begun = await begin(store, message)
    await write(store, to_retry(request(message, endpoint="b")), failed(begun))
    assert await history(store, message) == [(1, "refused")]


async def test_two_results_of_one_message_in_one_batch_both_count(store: Database) -> None:
    message = await accept_message(store)
    first = await begin(store, message)
    await deadlines_pass(store)
    assert await decide(store, message) == "retrying"
    second = await begin(store, message)
    await write(store, sent(first, "W1"), to_retry(second), to_retry(second))
    assert await status_of(store, message) is Status.SENT
    assert await history(store, message) == [(1, "sent"), (2, "transient")]
    assert await open_attempts(store) == 0


async def test_a_cancelled_campaign_lets_an_attempt_end_and_begins_no_other(store: Database) -> None:
    campaign = await accept_campaign(store, 4)
    begun = [await begin(store, message, slot=slot) for slot, message in enumerate(campaign.messages)]
    assert await store.fetchval("select cancel_campaign($1)", campaign.token) == "canceled"
    changed = await write(store, sent(begun[0]), failed(begun[1]), to_retry(begun[2]), unknown(begun[3]))
    assert list(changed.values()) == [Status.SENT, Status.FAILED, Status.CANCELED, Status.SENDING]
    assert await decide(store, campaign.messages[3]) == "unknown"
    assert await counts_of(store, campaign.token) == {"sent": 1, "failed": 1, "canceled": 1, "unknown": 1}
    assert await store.fetchval("select count(*) from due") == 0
    assert await store.fetchval("select finish_campaign($1)", campaign.token)


async def test_one_bad_value_fails_its_own_message_alone(store: Database) -> None:
    messages = [await accept_message(store) for _ in range(8)]
    begun = [await begin(store, message, slot=slot) for slot, message in enumerate(messages)]
    bad = result(begun[3], Verdict.TRANSIENT, Status.RETRYING, reason="nul \x00 inside")
    lone = result(begun[5], Verdict.TRANSIENT, Status.RETRYING, reason="surrogate \ud800")
    good = [to_retry(one) for index, one in enumerate(begun) if index not in (3, 5)]
    changed = await write(store, bad, lone, *good)
    assert [changed[message] for message in messages] == [
        Status.FAILED if index in (3, 5) else Status.RETRYING for index in range(8)
    ]
    assert (await message_row(store, messages[3]))["reason"].startswith("internal")


async def test_a_sent_message_stays_sent_though_its_answer_cannot_be_stored(store: Database) -> None:
    message = await accept_message(store)
    assert await write(store, sent(await begin(store, message), "id \x00")) == {message: Status.SENT}


class TestUnknown:
    """Attempts without an answer, and what a check makes of them."""

    async def test_only_attempts_past_their_deadline_are_found(self, store: Database) -> None:
        message = await accept_message(store)
        begun = await begin(store, message)
        assert await store.fetchval("select find_unanswered($1)", CHECK_AT_ONCE) == 0
        assert await deadlines_pass(store) == 1
        assert await deadlines_pass(store) == 0
        assert await status_of(store, message) is Status.SENDING
        assert await due_why(store, message) == "check"
        assert await history(store, message) == [(1, "unknown")]
        # The slot is free again, and the late answer still counts.
        await begin(store, await accept_message(store))
        assert await write(store, sent(begun)) == {message: Status.SENT}
        assert await history(store, message) == [(1, "sent")]
        assert await due_why(store, message) is None

    async def test_a_match_in_the_accounts_storage_makes_it_sent(self, store: Database) -> None:
        campaign = await accept_campaign(store, 1)
        [message] = campaign.messages
        await write(store, unknown(await begin(store, message)))
        assert await decide(store, message, "W1") == "sent"
        assert await decide(store, message, "W1") is None
        assert await history(store, message) == [(1, "sent")]
        assert await counts_of(store, campaign.token) == {"sent": 1}

    async def test_an_id_proves_one_message_only(self, store: Database) -> None:
        first, second = await accept_message(store, on_unknown="hold"), await accept_message(store, on_unknown="hold")
        await write(store, unknown(await begin(store, first)))
        await write(store, unknown(await begin(store, second)))
        assert await decide(store, first, "W1") == "sent"
        assert await decide(store, second, "W1") is None
        assert await due_why(store, second) == "check"
        assert await decide(store, second) == "unknown"

    async def test_an_id_that_the_message_has_already_proves_it_too(self, store: Database) -> None:
        message = await accept_message(store)
        begun = await begin(store, message)
        await write(store, unknown(begun))
        await store.execute("insert into whatsapp_ids values ('W1', 'a', $1, 1)", message)
        assert await decide(store, message, "W1") == "sent"

    @pytest.mark.parametrize("on_unknown", ["hold", "resend"])
    @pytest.mark.parametrize("status", ["running", "paused"])
    async def test_without_a_match_the_messages_own_rule_decides(
        self, store: Database, on_unknown: str, status: str
    ) -> None:
        campaign = await accept_campaign(store, 1, on_unknown=on_unknown)
        [message] = campaign.messages
        await write(store, unknown(await begin(store, message)))
        if status == "paused":
            await store.execute("select pause_campaign($1)", campaign.token)
        expected = {"hold": "unknown", "resend": "retrying"}[on_unknown]
        assert await decide(store, message) == expected
        row = await message_row(store, message)
        assert row["possible_duplicate"] is (on_unknown == "resend")
        assert await due_why(store, message) == {"hold": None, "resend": "retry"}[on_unknown]
        duplicates = await store.fetchval("select sum(possible_duplicates) from campaign_counts")
        assert duplicates == (on_unknown == "resend")
        if status == "paused" and on_unknown == "resend":
            await store.execute("update due set enqueued_at = clock_timestamp()")
            await store.execute("select resume_campaign($1)", campaign.token)
            assert await store.fetchval("select enqueued_at from due where message = $1", message) is None
            await begin(store, message)

    async def test_a_check_that_an_answer_overtook_is_cleared_away(self, store: Database) -> None:
        """find_unanswered and settle at the same moment leave a check behind; nobody may look at it for ever."""
        message = await accept_message(store)
        await write(store, sent(await begin(store, message)))
        await store.execute(
            "insert into due (message, due_at, why, lane) values ($1, clock_timestamp(), 'check', 'transactional')",
            message,
        )
        assert await decide(store, message) is None
        assert await due_why(store, message) is None
        assert await status_of(store, message) is Status.SENT

    async def test_a_check_of_a_message_that_goes_on_is_left_alone(self, store: Database) -> None:
        message = await accept_message(store)
        await write(store, to_retry(await begin(store, message)))
        assert await decide(store, message) is None
        assert await due_why(store, message) == "retry"
        assert await status_of(store, message) is Status.RETRYING


@pytest.mark.parametrize("status", [Status.CANCELED, Status.EXPIRED, Status.SUPPRESSED, Status.FAILED])
async def test_waiting_messages_end_without_an_attempt(store: Database, status: Status) -> None:
    campaign = await accept_campaign(store, 3)
    begun = await begin(store, campaign.messages[0])
    retrying = await begin(store, campaign.messages[1], slot=1)
    await write(store, to_retry(retrying))
    assert await end_unsendable(store, 3, campaign.messages, status, "test") == 2
    assert await end_unsendable(store, 4, campaign.messages, status, "test") == 0
    assert await counts_of(store, campaign.token) == {status.value: 2}
    assert await due_why(store, campaign.messages[1]) is None
    assert await write(store, sent(begun)) == {campaign.messages[0]: Status.SENT}
