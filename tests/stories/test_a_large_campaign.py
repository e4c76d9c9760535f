"""A large campaign: many recipients, refusals, several chunks and accounts; paused, resumed, finished, and retried."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.stories.conftest import Paceline, phones, until


async def test_a_large_campaign(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=4, dispatchers=2, BULK_CHUNK_SIZE="100", FEED_HIGH_WATER="120")
    wanted = phones(400)
    asked = [*wanted, wanted[0], "12", "not a number"]
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": asked, "message": "news for you"})
    token = accepted["campaign_token"]
    assert (accepted["accepted"], accepted["duplicates"]) == (400, 1)
    assert {refusal["phone"] for refusal in accepted["rejected"]} == {"12", "not a number"}

    await whole.message_of_campaign(token, "sent")
    paused = await whole.call("POST", f"/api/campaigns/{token}/pause")
    assert paused["status"] == "paused"
    # Attempts that had begun may still end; then nothing moves.
    await until(lambda: _nothing_in_flight(whole, token), "attempts under way end")
    at_pause = len(await whole.sends())
    text = await whole.call("POST", "/api/send/message", 202, json={"phone": "15550109999", "message": "not paused"})
    await whole.message_in(text["message_id"], "sent")
    assert len(await whole.sends()) == at_pause + 1, "only the text was sent while the campaign was paused"

    await whole.call("POST", f"/api/campaigns/{token}/resume")
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == 400
    assert sum(campaign["counts"][name] for name in ("queued", "sending", "retrying", "failed", "unknown")) == 0

    sends = [send for send in await whole.sends() if send["fields"]["message"] == "news for you"]
    assert Counter(send["phone"] for send in sends) == Counter(f"{phone}@s.whatsapp.net" for phone in wanted)
    assert len({send["device"] for send in sends}) == 4, "every account took part"
    await whole.judge()


async def test_failed_messages_are_retried(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=2, BULK_CHUNK_SIZE="10")
    absent = phones(3, first=5)
    await whole.simulate("PUT", "numbers", json={"not_on_whatsapp": absent})
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": phones(30), "message": "hi"})
    token = accepted["campaign_token"]
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"] | {"sent": 27, "failed": 3} == campaign["counts"]
    failed = await whole.messages_of(token, "failed")
    assert all("INVALID_JID" in message["reason"] for message in failed)

    await whole.simulate("PUT", "numbers", json={"not_on_whatsapp": []})
    await whole.call("POST", f"/api/campaigns/{token}/retry")
    await until(lambda: _all_sent(whole, token, 30), "the failed ones are sent")
    sent = Counter(send["phone"] for send in await whole.sends() if send["taken"])
    assert set(sent.values()) == {1}
    await whole.judge()


async def test_two_campaigns_go_side_by_side_and_one_is_cancelled(
    paceline: Callable[..., Awaitable[Paceline]],
) -> None:
    whole = await paceline(devices=3, dispatchers=2, BULK_CHUNK_SIZE="50", FEED_HIGH_WATER="60")
    large, small = await asyncio.gather(
        whole.call("POST", "/api/send/message", 202, json={"phone": phones(1500), "message": "large"}),
        whole.call("POST", "/api/send/message", 202, json={"phone": phones(60, 2000), "message": "small"}),
    )
    campaign = await whole.campaign_in(small["campaign_token"], "finished")
    assert campaign["counts"]["sent"] == 60
    assert (await whole.campaign(large["campaign_token"]))["status"] == "running", "the small one did not wait for it"
    await whole.call("POST", f"/api/campaigns/{large['campaign_token']}/cancel")
    acknowledged = len(await whole.sends())

    async def closed() -> bool:
        counts = (await whole.campaign(large["campaign_token"]))["counts"]
        return bool(counts["sent"] + counts["canceled"] == 1500)

    await until(closed, "the cancelled campaign has no open message")
    # An attempt that had begun may have arrived after the answer: one for each account at the most.
    assert len(await whole.sends()) <= acknowledged + 3
    await whole.judge()


async def test_a_stopped_lane_stands_still_and_goes_on(paceline: Callable[..., Awaitable[Paceline]]) -> None:
    whole = await paceline(devices=3, dispatchers=2, BULK_CHUNK_SIZE="50", FEED_HIGH_WATER="60")
    wanted = phones(300)
    accepted = await whole.call("POST", "/api/send/message", 202, json={"phone": wanted, "message": "news"})
    token = accepted["campaign_token"]
    await whole.message_of_campaign(token, "sent")
    stopped = await whole.call("POST", "/api/stop", json={"lane": "bulk", "reason": "a look at the text"})
    assert stopped["stopped_lanes"] == ["bulk"]
    await until(lambda: _nothing_in_flight(whole, token), "attempts under way end")
    at_stop = len(await whole.sends())
    assert at_stop < 300
    for number in range(10):
        code = {"phone": f"1555010990{number}", "message": "code"}
        await whole.message_in((await whole.call("POST", "/api/send/message", 202, json=code))["message_id"], "sent")
    assert len(await whole.sends()) == at_stop + 10, "the texts went out, and nothing of the campaign"
    assert (await whole.campaign(token))["status"] == "running"

    # And nothing at all.
    stopped = await whole.call("POST", "/api/stop", json={"reason": "an inspection"})
    assert sorted(stopped["stopped_lanes"]) == ["bulk", "transactional"]
    code = {"phone": "15550109910", "message": "code"}
    text = (await whole.call("POST", "/api/send/message", 202, json=code))["message_id"]
    started = await whole.call("POST", "/api/start", json={"lane": "bulk"})
    assert started["stopped_lanes"] == ["transactional"]
    campaign = await whole.campaign_in(token, "finished")
    assert campaign["counts"]["sent"] == 300
    waiting = await whole.message(text)
    assert (waiting["status"], waiting["attempts"]) == ("queued", [])
    await whole.call("POST", "/api/start")
    await whole.message_in(text, "sent")
    sends = Counter(send["phone"].partition("@")[0] for send in await whole.sends())
    assert sends == Counter([*wanted, *(f"155501099{number:02d}" for number in range(11))])
    await whole.judge()


async def _nothing_in_flight(whole: Paceline, token: str) -> bool:
    return bool((await whole.campaign(token))["counts"]["sending"] == 0)


async def _all_sent(whole: Paceline, token: str, count: int) -> bool:
    campaign = await whole.campaign(token)
    return bool(campaign["status"] == "finished" and campaign["counts"]["sent"] == count)
