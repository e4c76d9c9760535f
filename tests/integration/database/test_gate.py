"""The gate: what begins, what does not, and what a repeated call answers."""

from uuid import uuid4

import pytest

from shared.database.attempts import GateRequest, end_unsendable, peek
from shared.database.connection import Database
from shared.messages import Refusal, Status
from tests.integration.accepting import accept_campaign, accept_message, message_row, status_of
from tests.integration.database.beginning import (
    ask,
    begin,
    due_why,
    failed,
    open_attempts,
    request,
    sent,
    to_retry,
    write,
)

FORBIDDING = {
    "pause": (Refusal.CAMPAIGN_NOT_RUNNING, "select pause_campaign($1)"),
    "cancel": (Refusal.CAMPAIGN_NOT_RUNNING, "select cancel_campaign($1)"),
    "stop": (Refusal.STOPPED, "select set_stopped_lanes('{bulk}', 'test') from campaigns where token = $1"),
    "expiry": (Refusal.EXPIRED, "update campaigns set expires_at = clock_timestamp() where token = $1"),
    "opt-out": (
        Refusal.SUPPRESSED,
        "insert into optouts (phone_key) select phone_key from messages where campaign = $1",
    ),
    "opt-out of all": (
        Refusal.SUPPRESSED,
        "insert into optouts (phone_key, scope) select phone_key, 'all' from messages where campaign = $1",
    ),
}


async def test_a_pass_is_written_down_before_it_is_answered(store: Database) -> None:
    message = await accept_message(store)
    begun = await begin(store, message, endpoint="a", slot=3)
    row = await message_row(store, message)
    assert (row["status"], row["attempt"], row["token"].hex, row["endpoint"]) == ("sending", 1, begun.token, "a")
    opened = await store.fetchrow("select *, deadline - started_at as open_for from open_attempts")
    assert opened is not None
    assert (opened["message"], opened["number"], opened["slot"]) == (message, 1, 3)
    assert 89 < opened["open_for"].total_seconds() < 91
    assert await due_why(store, message) is None


@pytest.mark.parametrize("what", FORBIDDING)
async def test_what_is_forbidden_is_refused_by_peek_and_gate_alike(store: Database, what: str) -> None:
    campaign = await accept_campaign(store, 1)
    [message] = campaign.messages
    refusal, statement = FORBIDDING[what]
    await store.execute(statement, campaign.token)
    assert (await peek(store, [message]))[message].refusal is refusal
    assert await ask(store, request(message)) == ["refused"]
    assert await status_of(store, message) is Status.QUEUED
    assert await open_attempts(store) == 0


async def test_an_opt_out_of_campaigns_lets_a_single_send_pass(store: Database) -> None:
    message = await accept_message(store, phone="15550100009")
    await store.execute("insert into optouts (phone_key, scope) values ('15550100009', 'bulk')")
    assert await ask(store, request(message)) == ["passed"]


async def test_a_stopped_lane_leaves_the_other_alone(store: Database) -> None:
    campaign = await accept_campaign(store, 1)
    message = await accept_message(store)
    await store.execute("select set_stopped_lanes('{transactional}', 'test')")
    outcomes = await ask(store, request(message, slot=0), request(campaign.messages[0], slot=1))
    assert outcomes == ["refused", "passed"]


@pytest.mark.parametrize("number", [0, 2, 3])
async def test_only_the_next_attempt_may_begin(store: Database, number: int) -> None:
    message = await accept_message(store)
    assert await ask(store, request(message, number)) == ["refused"]
    assert await ask(store, request(uuid4())) == ["refused"]


async def test_an_older_epoch_is_void(store: Database) -> None:
    message = await accept_message(store)
    assert await store.fetchval("select begin_rebuild()") == 2
    assert await ask(store, request(message)) == ["void"]
    assert await status_of(store, message) is Status.QUEUED
    assert await ask(store, request(message), epoch=2) == ["passed"]


async def test_repeating_a_call_passes_again_for_the_same_tokens_and_for_nobody_else(store: Database) -> None:
    messages = [await accept_message(store) for _ in range(3)]
    requests = [request(message, slot=slot) for slot, message in enumerate(messages)]
    assert await ask(store, *requests) == ["passed"] * 3
    assert await ask(store, *requests) == ["passed"] * 3
    assert (
        await ask(store, *(request(message, slot=slot + 5) for slot, message in enumerate(messages))) == ["refused"] * 3
    )
    assert await open_attempts(store) == 3
    # Once it has a verdict, no repetition passes.
    await write(store, sent(requests[0]), to_retry(requests[1]))
    assert await ask(store, *requests) == ["refused", "refused", "passed"]


async def test_a_call_repeated_in_part_begins_the_rest(store: Database) -> None:
    first, second = await accept_message(store), await accept_message(store)
    early = request(first)
    await ask(store, early)
    assert await ask(store, early, request(second, slot=1)) == ["passed", "passed"]


async def test_a_slot_with_an_open_attempt_puts_the_next_message_back(store: Database) -> None:
    first, second = await accept_message(store), await accept_message(store)
    begun = await begin(store, first)
    assert await ask(store, request(second)) == ["put_back"]
    assert await status_of(store, second) is Status.QUEUED
    assert await ask(store, request(second, endpoint="b")) == ["passed"]
    await write(store, sent(begun))
    assert await ask(store, request(await accept_message(store))) == ["passed"]


async def test_a_suspended_endpoint_puts_the_message_back(store: Database) -> None:
    message = await accept_message(store)
    await store.execute("select suspend_endpoint('a', 'test')")
    assert await ask(store, request(message)) == ["put_back"]
    assert await ask(store, request(message, endpoint="b")) == ["passed"]


async def test_a_gap_holds_a_message_back_while_another_to_the_same_person_is_under_way_or_just_sent(
    store: Database,
) -> None:
    under_way = await begin(store, await accept_message(store), endpoint="a")
    message = await accept_message(store, lane="bulk")
    asked = request(message, endpoint="b", gap=60)
    assert await ask(store, asked) == ["later"]
    await write(store, sent(under_way))
    assert await ask(store, asked) == ["later"]
    assert await open_attempts(store) == 0
    assert await ask(store, request(message, endpoint="b", gap=0)) == ["passed"]


async def test_a_gap_lets_one_of_a_batch_pass_and_says_so_again(store: Database) -> None:
    first, second = [await accept_message(store, lane="bulk") for _ in range(2)]
    other = await accept_message(store, phone="15550100002", lane="bulk")
    batch = [
        request(first, endpoint="a", gap=60),
        request(second, endpoint="b", gap=60),
        request(other, endpoint="c", gap=60),
    ]
    assert await ask(store, *batch) == ["passed", "later", "passed"]
    assert await ask(store, *batch) == ["passed", "later", "passed"], "the reply was lost"


async def test_a_gap_that_is_over_lets_the_next_begin(store: Database) -> None:
    await write(store, sent(await begin(store, await accept_message(store))))
    await store.execute("update contacts set last_sent_at = last_sent_at - interval '61 s'")
    assert await ask(store, request(await accept_message(store, lane="bulk"), gap=60)) == ["passed"]


async def test_of_two_requests_for_one_message_one_passes(store: Database) -> None:
    message = await accept_message(store)
    assert await ask(store, request(message, slot=0), request(message, slot=1)) == ["passed", "refused"]
    assert await open_attempts(store) == 1


async def test_an_entry_of_the_past_does_not_push_out_the_one_that_counts(store: Database) -> None:
    campaign = await accept_campaign(store, 1)
    [message] = campaign.messages
    await write(store, failed(await begin(store, message)))
    assert await store.fetchval("select retry_campaign($1)", campaign.token) == 1
    assert await ask(store, request(message, 1), request(message, 2, slot=1)) == ["refused", "passed"]


async def test_an_ended_message_does_not_begin(store: Database) -> None:
    message = await accept_message(store)
    assert await end_unsendable(store, 0, [message], Status.CANCELED, "test") == 1
    assert (await peek(store, [message]))[message].refusal is Refusal.MOVED_ON
    assert await ask(store, request(message)) == ["refused"]
    assert await due_why(store, message) is None


async def test_peek_gives_what_is_needed_to_send(store: Database) -> None:
    campaign = await accept_campaign(store, 2)
    single = await accept_message(store)
    begun = await begin(store, campaign.messages[0])
    await write(store, to_retry(begun))
    seen = await peek(store, [single, *campaign.messages, single, uuid4()])
    assert set(seen) == {single, *campaign.messages}
    first = seen[campaign.messages[0]]
    assert (first.attempt, first.status, first.tries_used) == (1, Status.RETRYING, 1)
    assert first.content == {"message": "hello"}
    assert first.campaign == campaign.token
    assert first.media is None
    assert first.refusal is None


async def test_an_attempt_number_is_never_used_again(store: Database) -> None:
    message = await accept_message(store)
    first: GateRequest = await begin(store, message)
    await write(store, to_retry(first))
    second = await begin(store, message)
    assert second.number == 2
    for _ in range(2):
        assert await ask(store, first) == ["refused"]
        assert await ask(store, request(message, 1, slot=7)) == ["refused"]


async def test_peek_leaves_out_a_kind_of_a_newer_version_and_only_that(store: Database) -> None:
    newer, known = await accept_message(store), await accept_message(store)
    await store.execute("update messages set kind = 'sticker' where id = $1", newer)
    assert (await peek(store, [newer, known])).keys() == {known}
