"""A sender that is stopped (SIGSTOP, a paused container, a cut network) and goes on with what waited in it."""

from __future__ import annotations

import pytest

from tests.chaos.conftest import MakePaceline, Truth, text, verdicts, warmed_up
from tests.stories.conftest import until

# Typing would wait for the sender as well, and a send takes so long that a look finds nothing right after the thaw.
SETTINGS = {
    "TYPING_PRESENCE": "false",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "10",
    "UNKNOWN_REACHABLE_TIME": "3s",
    "latency": "700ms",
}


async def being_looked_up(truth: Truth) -> None:
    """Waits until a look into the chat storage has begun, which hangs as the send does."""

    async def look() -> bool:
        return bool(await truth.value("select exists (select from due where why = 'check' and checks > 0)"))

    await until(look, "the outcome is being looked up")


@pytest.mark.parametrize("schedulers", [1, 2])
async def test_what_waited_in_a_stopped_sender_is_delivered_once(
    paceline: MakePaceline, truth: Truth, schedulers: int
) -> None:
    """The frozen send goes out right after the thaw, and right after a look that found nothing."""
    whole = await paceline(devices=1, **SETTINGS)
    for _ in range(schedulers - 1):
        await whole.start("services.scheduler")
    await warmed_up(whole)
    whole.simulator.pause()
    message = await text(whole, on_unknown="resend")
    await being_looked_up(truth)
    whole.simulator.resume()
    found = await whole.message_in(message, "sent")
    assert verdicts(found) == ["sent"]
    (send,) = await whole.sends()
    assert found["whatsapp_id"] == send["whatsapp_id"]
    await whole.judge()


async def test_a_stopped_sender_that_is_killed_sends_nothing_and_the_message_goes_out_once(
    paceline: MakePaceline, truth: Truth
) -> None:
    """Nobody can tell it from one that was thawed, so what follows is the same: looked up, and then sent again."""
    whole = await paceline(devices=1, **SETTINGS)
    await warmed_up(whole)
    whole.simulator.pause()
    message = await text(whole, on_unknown="resend")
    await being_looked_up(truth)
    whole.simulator.kill()
    await whole.simulator.start()
    found = await whole.message_in(message, "sent")
    assert verdicts(found) == ["unknown", "sent"]
    assert len(await whole.sends()) == 1
    await whole.judge()
