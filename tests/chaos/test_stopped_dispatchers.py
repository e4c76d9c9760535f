"""A dispatcher that is frozen (SIGSTOP, a throttled container, a moved machine) and wakes up in another world."""

from __future__ import annotations

import pytest

from standalone.embedded_valkey import EmbeddedValkey
from tests.chaos.conftest import DEAD_AFTER, MakePaceline, Truth, send_arrived, text, typing_shown, verdicts, warmed_up
from tests.chaos.fault_proxy import Direction, FaultProxy
from tests.servers import redis_client
from tests.stories.conftest import phones, until

LEASE_OVER = 150.0
"""Seconds in which a slot's lease (95 s with the shortest timeouts) and the time of a stuck message have ended for certain."""
TYPING = {
    "TYPING_DELAY_MIN": "1s",
    "TYPING_DELAY_MAX": "1s",
    "BULK_TYPING_DELAY_MIN": "1s",
    "BULK_TYPING_DELAY_MAX": "1s",
}


async def test_stopped_between_gate_and_send_it_sends_nothing(
    paceline: MakePaceline, postgres_proxy: FaultProxy, truth: Truth
) -> None:
    whole = await paceline(devices=1, dispatchers=0)
    dispatcher = await whole.add_dispatcher(DATABASE_PORT=str(postgres_proxy.port), **TYPING)
    await warmed_up(whole)
    message = await text(whole)
    await typing_shown(whole)
    postgres_proxy.hold(Direction.REPLY)
    await truth.attempt_is_open()
    dispatcher.pause()
    postgres_proxy.heal()
    await truth.start_limit_is_over()
    dispatcher.resume()
    assert verdicts(await whole.message_in(message, "sent")) == ["not_sent", "sent"]
    assert len(await whole.sends()) == 1
    await whole.judge()


async def test_stopped_between_gate_and_send_of_a_campaign_that_is_then_canceled(
    paceline: MakePaceline, postgres_proxy: FaultProxy, truth: Truth
) -> None:
    whole = await paceline(devices=1, dispatchers=0)
    dispatcher = await whole.add_dispatcher(DATABASE_PORT=str(postgres_proxy.port), **TYPING)
    await warmed_up(whole)
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(3), "message": "hello"})
    token = accepted["campaign_token"]
    await typing_shown(whole)
    postgres_proxy.hold(Direction.REPLY)
    await truth.attempt_is_open()
    dispatcher.pause()
    postgres_proxy.heal()
    await whole.call("POST", f"/api/campaigns/{token}/cancel")
    await truth.start_limit_is_over()
    dispatcher.resume()

    async def all_canceled() -> bool:
        return bool((await whole.campaign(token))["counts"]["canceled"] == 3)

    await until(all_canceled, "all are canceled")
    assert await whole.sends() == []


@pytest.mark.parametrize("stopped_while", ["typing", "sending"])
async def test_stopped_until_it_is_dead_it_disturbs_nobody_when_it_wakes(
    paceline: MakePaceline, redis_server: EmbeddedValkey, queue_name: str, truth: Truth, stopped_while: str
) -> None:
    """Its slot is another's by then, and its message has moved on."""
    whole = await paceline(devices=1, dispatchers=0, DISPATCHER_DEAD_AFTER=DEAD_AFTER, latency="700ms")
    stopped = await whole.add_dispatcher(**TYPING)
    first = await text(whole)
    await (typing_shown(whole) if stopped_while == "typing" else send_arrived(whole))
    stopped.pause()
    await whole.add_dispatcher()
    second = await text(whole, "15550100002")
    # The second one can only be sent once the first one's slot was taken from the stopped dispatcher.
    await whole.message_in(first, "sent")
    await whole.message_in(second, "sent")
    stopped.resume()

    further = iter(phones(1000, first=3))

    async def works_again() -> bool:
        third = await whole.message_in(await text(whole, next(further)), "sent")
        dispatcher = await truth.value("select dispatcher from attempts where message = $1", third["message_id"])
        other = await truth.value("select dispatcher from attempts where message = $1", second)
        return bool(dispatcher != other)

    await until(works_again, "the one that was stopped sends again")
    sent_to_first = [send for send in await whole.sends() if "15550100001" in send["phone"]]
    assert len(sent_to_first) == 1
    with redis_client(redis_server) as client:
        slots = [client.zcard(f"{{{queue_name}}}:{name}") for name in ("rota", "busy")]
    assert sum(slots) == 1, "an account has one slot, wherever it is"
    await whole.judge()


async def test_stopped_for_longer_than_every_lease_it_sends_nothing_when_it_wakes(
    paceline: MakePaceline, redis_server: EmbeddedValkey, queue_name: str, truth: Truth
) -> None:
    """Nobody takes it for dead: the lease of its slot ends by itself, and its entry is taken back as stuck."""
    shortest = {"WHATSAPP_MEDIA_TIMEOUT": "5s", "STUCK_MESSAGE_TIMEOUT": "95s"}
    whole = await paceline(devices=1, dispatchers=0, DISPATCHER_DEAD_AFTER="1h", **shortest)
    stopped = await whole.add_dispatcher(**TYPING)
    first = await text(whole)
    await typing_shown(whole)
    stopped.pause()
    await whole.add_dispatcher()

    async def sent() -> bool:
        return bool((await whole.message(first))["status"] == "sent")

    await until(sent, "the stopped one's message is sent by the other", LEASE_OVER)
    stopped.resume()
    await whole.message_in(await text(whole, "15550100002"), "sent")

    async def gave_up() -> bool:
        with redis_client(redis_server) as client:
            keys = f"{{{queue_name}}}"
            return bool(client.zcard(f"{keys}:rota") == 1 and not client.zcard(f"{keys}:busy"))

    await until(gave_up, "the account's slot is in the rota once")
    assert len([send for send in await whole.sends() if "15550100001" in send["phone"]]) == 1
    assert await truth.value("select count(*) from attempts where message = $1", first) == 1
    await whole.judge()
