"""Somebody writes back: to one account of three, which answers them with a quote, whatever else it is held for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.stories.conftest import Paceline, phones, until

SECRET = "a secret of ours"
HIDDEN = "204800000000077@lid"


async def begun(paceline: Callable[..., Awaitable[Paceline]], **settings: str) -> Paceline:
    whole = await paceline(devices=3, dispatchers=2, WHATSAPP_WEBHOOK_SECRET=SECRET, **settings)
    hook = {"url": f"{whole.gateway.url}/api/webhooks/gowa", "secret": SECRET}
    await whole.simulate("PUT", "webhook", json=hook)
    return whole


async def writes(whole: Paceline, device: str, **content: Any) -> str:
    """Somebody writes to the account; the id of what they wrote."""
    said = await whole.simulate("POST", f"devices/{device}/inbound", json=content)
    return str(said["id"])


async def taken_note_of(whole: Paceline, **labels: int) -> None:
    """Waits until the gateway has heard so many events of each kind."""

    async def heard() -> bool:
        async with whole.session.get(whole.gateway.url + "/metrics") as response:
            text = await response.text()
        return all(
            f'paceline_webhook_events_total{{event="{name}"}} {count}.0' in text for name, count in labels.items()
        )

    await until(heard, f"the webhook has heard {labels}")


async def text(whole: Paceline, phone: str, **fields: Any) -> str:
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phone, "message": "hello"} | fields)
    return str(accepted["message_id"])


async def sends_to(whole: Paceline, phone: str) -> list[dict[str, Any]]:
    return [line for line in await whole.sends() if line["phone"] == f"{phone}@s.whatsapp.net"]


async def test_an_answer_goes_through_the_account_that_was_written_to(
    paceline: Callable[..., Awaitable[Paceline]],
) -> None:
    whole = await begun(paceline)
    ana, ben, carl = phones(3)
    question = await writes(whole, "account-2", phone=ana, body="Is it still there?")
    picture = await writes(whole, "account-3", phone=ben, kind="image")
    await taken_note_of(whole, text=1, inbound=1)

    answers = [await text(whole, ana, message=f"yes {n}", reply_message_id=question) for n in range(4)]
    answers += [await text(whole, ben, message="nice", reply_message_id=picture)]
    # No quote, but their chat.
    answers += [await text(whole, ana, message=f"and {n}") for n in range(4)]
    for message in answers:
        await whole.message_in(message, "sent")
    to_ana, to_ben = await sends_to(whole, ana), await sends_to(whole, ben)
    assert {line["device"] for line in to_ana} == {"account-2"}
    assert {line["device"] for line in to_ben} == {"account-3"}
    assert [line["quote_found"] for line in to_ana if "reply_message_id" in line["fields"]] == [True] * 4
    assert [line["quote_found"] for line in to_ben] == [True]

    refused = await whole.session.post(
        f"{whole.gateway.url}/api/send/message",
        json={"phone": ana, "message": "x", "reply_message_id": question, "endpoint": whole.endpoint("account-1")},
    )
    assert refused.status == 400
    assert {error["field"] for error in (await refused.json())["results"]["errors"]} == {"reply_message_id", "endpoint"}

    # An answer to a message of ours by our own id, accepted before that is sent.
    first = await text(whole, carl, message="your order")
    second = await text(whole, carl, message="is on its way", reply_message_id=first)
    await whole.message_in(second, "sent")
    original, answer = await sends_to(whole, carl)
    assert answer["fields"]["reply_message_id"] == original["whatsapp_id"]
    assert (answer["device"], answer["quote_found"]) == (original["device"], True)
    await whole.judge()


async def test_a_hold_does_not_keep_back_answers(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await begun(paceline, COLD_CONTACT_LIMIT="2", WORKER_MAX_RETRIES="9")
    ana, ben, carl, dora, *strangers = phones(8)
    for device in whole.devices:
        await whole.simulate("PUT", f"devices/{device}/mood", json={"mood": "429-timelock"})
    refused = [await text(whole, phone) for phone in strangers]

    async def all_are_held() -> bool:
        listed = (await whole.call("GET", "/api/endpoints"))["endpoints"]
        return all(one["held_until"] for one in listed)

    await until(all_are_held, "every account is held")
    for device in whole.devices:
        await whole.simulate("PUT", f"devices/{device}/mood", json={"mood": "ok"})
    before, other = await text(whole, ana), await text(whole, dora)

    async def nothing_is_in_redis() -> bool:
        figures = await whole.call("GET", "/api/statistics")
        queue, waiting = figures["redis_queue"], figures["messages"]
        # A stranger's text that came to no attempt before all were held waits as it was accepted, the others as retries.
        in_postgres = waiting["single_sends_waiting"] + waiting["retrying"]
        return in_postgres == 2 + len(refused) and not queue["queue_length"] + queue["pending_count"]

    await until(nothing_is_in_redis, "all texts wait in Postgres alone")
    await writes(whole, "account-2", phone=ana, body="Hello?")
    await whole.message_in(before, "sent")
    await writes(whole, "account-3", phone=ben, kind="location")
    await writes(whole, "account-1", phone=carl, kind="reaction", body="👍", target_id="3EB0")
    await taken_note_of(whole, text=1, inbound=2)
    for phone in (ben, carl):
        await whole.message_in(await text(whole, phone), "sent")
    devices = {phone: [line["device"] for line in await sends_to(whole, phone)] for phone in (ana, ben, carl)}
    assert devices == {ana: ["account-2"], ben: ["account-3"], carl: ["account-1"]}
    assert (await whole.message(other))["status"] == "queued"

    body = {"reason": "WhatsApp lifted it"}
    item = await whole.call("POST", f"/api/endpoints/{whole.endpoint('account-3')}/release-hold", json=body)
    assert item["held_until"] is None
    for message in (other, *refused):
        assert (await whole.message_in(message, "sent"))["endpoint"] == whole.endpoint("account-3")
    await whole.judge()


async def test_a_stop_under_a_hidden_number_takes_effect_once_it_is_known(
    paceline: Callable[..., Awaitable[Paceline]],
) -> None:
    whole = await begun(paceline)
    ana, ben = phones(2)
    await writes(whole, "account-1", **{"from": HIDDEN}, body="STOP")
    await taken_note_of(whole, opt_out_unresolved=1)
    listed = await whole.call("GET", "/api/optouts")
    assert ([one["lid"] for one in listed["unresolved"]], listed["optouts"]) == ([HIDDEN], [])
    receipt = {
        "ids": ["3EB0NOBODYS"], "chat_id": HIDDEN, "from": f"{ana}@s.whatsapp.net", "from_lid": HIDDEN,
        "receipt_type": "delivered",
    }  # fmt: skip
    await whole.simulate("POST", "devices/account-2/event", json={"event": "message.ack", "payload": receipt})

    async def has_opted_out() -> bool:
        return bool((await whole.call("GET", "/api/optouts"))["optouts"])

    await until(has_opted_out, "the word takes effect")
    # And under a number that an event has named before.
    named = {"from": f"{ben}@s.whatsapp.net", "from_lid": "2048@lid"}
    await writes(whole, "account-1", **named, body="hi")
    await taken_note_of(whole, text=1)
    await writes(whole, "account-3", **{"from": "2048@lid"}, body="stop")
    await taken_note_of(whole, opt_out=1)
    listed = await whole.call("GET", "/api/optouts")
    assert {one["phone"] for one in listed["optouts"]} == {f"{ana}@s.whatsapp.net", f"{ben}@s.whatsapp.net"}
    assert listed["unresolved"] == []
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": [ana, ben], "message": "news"})
    campaign = await whole.campaign_in(accepted["campaign_token"], "finished")
    assert campaign["counts"]["suppressed"] == 2
    assert await whole.sends() == []
