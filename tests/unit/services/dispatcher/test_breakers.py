"""The breakers as a dispatcher sees them: a snapshot of what Redis decided."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.dispatcher.breakers import Breakers
from services.dispatcher.sending.verdict import Answer
from shared.messages import Verdict
from shared.queue.taking import BreakerChange


class Calls:
    """Sends that end as told, counted."""

    def __init__(self, verdict: Verdict = Verdict.SENT) -> None:
        self.verdict = verdict
        self.count = 0

    async def __call__(self) -> Answer:
        self.count += 1
        return Answer(self.verdict, "why")


def noticed(endpoint: str, to: str) -> float:
    return REGISTRY.get_sample_value("paceline_breaker_changes_total", {"endpoint": endpoint, "to": to}) or 0


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_every_answer_comes_through_a_closed_breaker(verdict: Verdict) -> None:
    breakers, calls = Breakers(["a"]), Calls(verdict)
    for _ in range(10):
        # Ten failures: nothing is decided here, however often it fails.
        answer = await breakers.send("a", calls)
        assert (answer.verdict, answer.reason) == (verdict, "why")
    assert calls.count == 10


async def test_an_open_breaker_refuses_without_a_call() -> None:
    breakers, calls = Breakers(["a", "b"]), Calls()
    breakers.saw("a", "open", 1, 1)
    answer = await breakers.send("a", calls)
    assert answer.verdict is Verdict.NOT_SENT
    assert calls.count == 0
    assert (await breakers.send("b", calls)).verdict is Verdict.SENT


async def test_half_open_lets_a_trial_through() -> None:
    breakers, calls = Breakers(["a"]), Calls(Verdict.TRANSIENT)
    breakers.saw("a", "open", 1, 1)
    breakers.saw("a", "half_open", 1, 2)
    assert (await breakers.send("a", calls)).verdict is Verdict.TRANSIENT
    assert calls.count == 1


async def test_an_older_generation_changes_nothing() -> None:
    breakers, calls = Breakers(["a"]), Calls()
    breakers.saw("a", "open", 3, 7)
    breakers.saw("a", "closed", 3, 6)
    breakers.saw("a", "closed", 2, 99)
    assert (await breakers.send("a", calls)).verdict is Verdict.NOT_SENT
    breakers.saw("a", "closed", 3, 8)
    assert (await breakers.send("a", calls)).verdict is Verdict.SENT


async def test_a_rebuild_starts_the_generations_anew() -> None:
    breakers, calls = Breakers(["a"]), Calls()
    breakers.saw("a", "open", 1, 40)
    breakers.saw("a", "closed", 2, 0)
    assert (await breakers.send("a", calls)).verdict is Verdict.SENT


async def test_what_settling_changed_is_known_at_once() -> None:
    breakers, calls = Breakers(["a"]), Calls()
    breakers.saw("a", "closed", 1, 4)
    breakers.changed([BreakerChange("a", "closed", "open", "3 failures"), BreakerChange("gone", "closed", "open", "")])
    assert (await breakers.send("a", calls)).verdict is Verdict.NOT_SENT
    # The assignment that was taken before the change is older than it.
    breakers.saw("a", "closed", 1, 4)
    assert (await breakers.send("a", calls)).verdict is Verdict.NOT_SENT


async def test_a_change_is_noticed_once() -> None:
    breakers = Breakers(["listened"])
    before = noticed("listened", "open")
    for _ in range(3):
        breakers.saw("listened", "open", 1, 1)
        await breakers.send("listened", Calls())
    assert noticed("listened", "open") == before + 1


async def test_an_error_of_ours_is_not_swallowed() -> None:
    async def broken() -> Answer:
        raise OSError("no such file")

    breakers = Breakers(["a"])
    with pytest.raises(OSError, match="no such file"):
        await breakers.send("a", broken)
    assert (await breakers.send("a", Calls())).verdict is Verdict.SENT


def test_it_works_without_a_warning_far_from_utc() -> None:
    """aiobreaker mixes utcnow() and now(); none of the times it makes of them may be used."""
    script = """
import asyncio
from services.dispatcher.breakers import Breakers
from services.dispatcher.sending.verdict import Answer
from shared.messages import Verdict

async def main():
    breakers = Breakers(["a"])
    async def send():
        return Answer(Verdict.TRANSIENT, "")
    for generation, state in enumerate(["open", "half_open", "open", "closed"] * 2):
        breakers.saw("a", state, 1, generation)
        answer = await breakers.send("a", send)
        assert answer.verdict is (Verdict.NOT_SENT if state == "open" else Verdict.TRANSIENT)

asyncio.run(main())
"""
    for zone in ("Asia/Jakarta", "America/New_York"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=Path(__file__).parents[4],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
