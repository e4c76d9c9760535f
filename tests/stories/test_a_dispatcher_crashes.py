"""A dispatcher crashes: what it had in hand is sent by others, nothing is lost and nothing is sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from standalone.embedded_valkey import EmbeddedValkey
from tests.servers import redis_client
from tests.stories.conftest import Paceline, phones, until


async def test_a_dispatcher_crashes(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=3, dispatchers=2, latency="300ms", BULK_CHUNK_SIZE="20", RATE_DELAY_MEAN_MS="60")
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(60), "message": "hello"})
    token = accepted["campaign_token"]

    async def both_are_sending() -> bool:
        return bool((await whole.campaign(token))["counts"]["sending"] >= 2)

    await until(both_are_sending, "several attempts are under way")
    whole.dispatchers[0].kill()
    campaign = await whole.campaign_in(token, "finished")

    # What the dead one was sending is looked up in the chat; texts whose answer was lost are found there.
    assert campaign["counts"]["sent"] + campaign["counts"]["unknown"] == 60
    assert campaign["counts"]["failed"] == 0, "a crash is not a failure of the message"
    taken = Counter(send["phone"] for send in await whole.sends() if send["taken"])
    assert set(taken.values()) == {1}, "nothing was sent twice"
    # Killed between gate and send, a message has not left, and nobody can know: it is held, never dropped in silence.
    held = {message["phone"] for message in await whole.messages_of(token, "unknown")}
    assert len(held) <= 3, "at most the one that each account had in flight"
    assert {f"{phone}@s.whatsapp.net" for phone in phones(60)} - taken.keys() <= held, "nothing was lost"
    await whole.judge()


async def test_a_dispatcher_that_is_stopped_hands_back(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(
        devices=2, dispatchers=1, BULK_TYPING_DELAY_MIN="20s", BULK_TYPING_DELAY_MAX="20s", RATE_PROFILE="bulk"
    )
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(5), "message": "hello"})
    token = accepted["campaign_token"]

    async def typing() -> bool:
        return any(line["kind"] == "chat-presence" for line in (await whole.simulate("GET", "ledger"))["entries"])

    await until(typing, "the dispatcher types")
    assert await whole.dispatchers[0].stop() == 0
    assert await whole.sends() == [], "it had not sent yet"
    await whole.add_dispatcher(BULK_TYPING_DELAY_MIN="0", BULK_TYPING_DELAY_MAX="0")
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == 5
    await whole.judge()


async def test_redis_is_emptied(paceline: Callable[..., Awaitable[Paceline]], redis_server: EmbeddedValkey) -> None:
    whole = await paceline(devices=3, dispatchers=2, BULK_CHUNK_SIZE="20")
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(90), "message": "hello"})
    await whole.message_of_campaign(accepted["campaign_token"], "sent")
    with redis_client(redis_server) as client:
        client.flushall()
    campaign = await whole.campaign_in(accepted["campaign_token"], "finished")
    assert campaign["counts"]["sent"] == 90
    await whole.judge()
