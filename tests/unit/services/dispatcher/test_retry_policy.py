"""What follows a verdict."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.retry_policy import MOST_BACKOFF, RetryRules, backoff, next_after
from services.dispatcher.sending.verdict import Answer, too_late
from shared.messages import TRANSITIONS, Status, Verdict

RULES = RetryRules(
    max_retries=3,
    base_delay=5.0,
    cold_contact_delay=21_600.0,
    check_seconds={"message": 75.0, "image": 240.0, "file": 240.0},
)
chances = st.integers().map(random.Random)


@given(st.floats(0.001, 600), st.integers(1, 1000), chances)
def test_backoff_stays_within_its_bounds(base: float, failures: int, chance: random.Random) -> None:
    full = min(MOST_BACKOFF, base * 2.0 ** min(failures - 1, 20))
    assert full / 2 <= backoff(base, failures, chance) <= full <= 300


@given(st.floats(0.001, 1), st.integers(1, 8), st.integers())
def test_backoff_doubles(base: float, failures: int, seed: int) -> None:
    first = backoff(base, failures, random.Random(seed))
    assert backoff(base, failures + 1, random.Random(seed)) == pytest.approx(2 * first)


def test_backoff_is_spread() -> None:
    chance = random.Random(1)
    waits = [backoff(5, 1, chance) for _ in range(1000)]
    assert min(waits) < 2.6
    assert max(waits) > 4.9


@given(st.sampled_from(Verdict), st.integers(0, 10), st.integers(1, 30), st.sampled_from(list(RULES.check_seconds)))
def test_every_verdict_leads_somewhere(verdict: Verdict, tries_used: int, attempt: int, kind: str) -> None:
    following = next_after(Answer(verdict, "why"), kind, tries_used, attempt, RULES, random.Random(1))
    assert following.status is Status.SENDING or following.status in TRANSITIONS[Status.SENDING]
    assert (following.way == "end") == (following.status in (Status.SENT, Status.FAILED))
    assert (following.way == "check") == (following.status is Status.SENDING)
    assert (following.way in ("retry", "elsewhere")) == (following.status is Status.RETRYING)
    if following.way != "end":
        assert following.seconds > 0


def test_sent_and_refused_end() -> None:
    chance = random.Random(1)
    sent = next_after(Answer(Verdict.SENT, ""), "message", 0, 1, RULES, chance)
    assert (sent.way, sent.status, sent.reason) == ("end", Status.SENT, "")
    refused = next_after(Answer(Verdict.REFUSED, "no such number"), "message", 0, 1, RULES, chance)
    assert (refused.way, refused.status, refused.reason) == ("end", Status.FAILED, "no such number")


@given(st.integers(0, 3), st.sampled_from([Verdict.TRANSIENT, Verdict.UNFETCHED, Verdict.COLD_CONTACT_LOCKED]))
def test_retries_are_counted(tries_used: int, verdict: Verdict) -> None:
    following = next_after(Answer(verdict, "why"), "message", tries_used, 1, RULES, random.Random(1))
    assert following.uses_try
    assert (following.status is Status.FAILED) == (tries_used == RULES.max_retries)


def test_no_retries_at_all() -> None:
    rules = RetryRules(0, 5.0, 1.0, RULES.check_seconds)
    assert next_after(Answer(Verdict.TRANSIENT, ""), "message", 0, 1, rules, random.Random()).status is Status.FAILED


@given(
    st.sampled_from(
        [Verdict.LOGGED_OUT, Verdict.MISCONFIGURED, Verdict.NOT_SENT, Verdict.ELSEWHERE, Verdict.TRANSIENT]
    ),
    st.integers(0, 100),
    st.integers(1, 1000),
)
def test_what_is_the_endpoints_fault_costs_no_try(verdict: Verdict, tries_used: int, attempt: int) -> None:
    answer = Answer(verdict, "why", account_fault=verdict is Verdict.TRANSIENT)
    following = next_after(answer, "message", tries_used, attempt, RULES, random.Random(1))
    assert (following.way, following.status, following.uses_try) == ("elsewhere", Status.RETRYING, False)
    assert 2.5 <= following.seconds <= MOST_BACKOFF


def test_a_locked_contact_goes_elsewhere_or_waits_long() -> None:
    following = next_after(Answer(Verdict.COLD_CONTACT_LOCKED, ""), "message", 0, 1, RULES, random.Random(1))
    assert (following.way, following.seconds) == ("elsewhere", 21_600.0)


@pytest.mark.parametrize(("kind", "seconds"), RULES.check_seconds.items())
def test_unknown_is_checked_and_never_resent_by_itself(kind: str, seconds: float) -> None:
    following = next_after(Answer(Verdict.UNKNOWN, "504"), kind, 99, 99, RULES, random.Random(1))
    assert (following.way, following.status, following.seconds) == ("check", Status.SENDING, seconds)


def test_too_late_comes_back_without_a_try() -> None:
    following = next_after(too_late(), "message", 99, 1, RULES, random.Random(1))
    assert (following.way, following.status, following.uses_try) == ("retry", Status.RETRYING, False)
