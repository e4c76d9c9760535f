"""What becomes of an account: slowed, suspended, on trial and back, and that neither chance nor a missing webhook does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.account_feedback_rules import (
    AnotherWindow,
    Change,
    Outcomes,
    attempts_begin,
    deliveries_begin,
    judge,
    may_suspend,
    receipts,
    span,
)
from shared.database.account_feedback import Attempts, Deliveries, Standing
from shared.endpoints.feedback import Cause, FeedbackState
from shared.settings import FeedbackSettings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AGO = NOW - timedelta(hours=3)
SETTINGS = FeedbackSettings()
NORMAL = Standing(NOW)
SLOWED = Standing(NOW, FeedbackState.SLOWED, AGO, AGO, cause=Cause.ERRORS, reason="bad", slow_factor=3)
DROPPING = replace(SLOWED, cause=Cause.DELIVERIES)
SUSPENDED = Standing(
    NOW, FeedbackState.SUSPENDED, AGO, AGO, NOW, Cause.ERRORS, "worse", 3, suspensions=1, suspended_by="feedback"
)
TRIAL = replace(SLOWED, state=FeedbackState.TRIAL, suspensions=1)


def outcomes(attempts: int = 0, failed: int = 0, sent: int = 0, delivered: int = 0, **changes: Any) -> Outcomes:
    found = Outcomes(Attempts(attempts, failed), Deliveries(sent, delivered), Deliveries(), True, True)
    return replace(found, **changes)


def settings(**changes: Any) -> FeedbackSettings:
    return SETTINGS.model_copy(update=changes)


def after(decision: object) -> FeedbackState:
    assert isinstance(decision, Change), decision
    return decision.after


def test_an_account_that_fails_much_is_slowed_with_the_reason() -> None:
    decision = judge(NORMAL, outcomes(60, 38), SETTINGS)
    assert decision == Change(FeedbackState.SLOWED, Cause.ERRORS, "38 of 60 attempts failed within 30 min", 3)


@pytest.mark.parametrize(
    "figures",
    [outcomes(), outcomes(14, 14), outcomes(100, 29), outcomes(sent=14, delivered=0), outcomes(sent=100, delivered=50)],
    ids=["nothing", "few attempts", "few failures", "few messages", "half delivered"],
)
def test_too_little_or_good_enough_changes_nothing(figures: Outcomes) -> None:
    assert judge(NORMAL, figures, SETTINGS) is None


def test_the_share_is_reached_not_passed() -> None:
    assert after(judge(NORMAL, outcomes(100, 30), SETTINGS)) is FeedbackState.SLOWED
    assert after(judge(NORMAL, outcomes(sent=100, delivered=49), SETTINGS)) is FeedbackState.SLOWED


def test_an_account_that_is_slowed_is_judged_again_after_a_further_window_only() -> None:
    young = replace(SLOWED, judged_from=NOW - SETTINGS.feedback_window + timedelta(seconds=1))
    assert judge(young, outcomes(60, 60), SETTINGS) is None
    decision = judge(SLOWED, outcomes(60, 30), SETTINGS)
    assert isinstance(decision, Change)
    assert (decision.after, decision.reason) == (
        FeedbackState.SUSPENDED,
        "30 of 60 attempts failed although it was slowed",
    )
    assert (decision.suspended_seconds, decision.suspensions, decision.badness) == (6 * 3600, 1, 0.5)


@pytest.mark.parametrize(
    ("failed", "then"), [(0, FeedbackState.NORMAL), (20, FeedbackState.NORMAL), (21, None), (29, None)]
)
def test_it_is_good_again_well_below_what_is_bad(failed: int, then: FeedbackState | None) -> None:
    decision = judge(SLOWED, outcomes(100, failed), SETTINGS)
    if then is None:
        assert decision == AnotherWindow()
    else:
        assert after(decision) is then


def test_few_attempts_neither_free_nor_suspend() -> None:
    assert judge(SLOWED, outcomes(14, 14), SETTINGS) is None
    assert judge(SLOWED, outcomes(14, 0), SETTINGS) is None


def test_a_suspension_by_feedback_ends_by_a_trial() -> None:
    early = replace(SUSPENDED, until=NOW + timedelta(seconds=1))
    assert judge(early, outcomes(60, 60), SETTINGS) is None
    decision = judge(SUSPENDED, outcomes(60, 60), SETTINGS)
    assert isinstance(decision, Change)
    assert (decision.after, decision.reason, decision.slow_factor) == (FeedbackState.TRIAL, "its suspension is over", 3)
    assert decision.suspensions == 1, "a trial that fails makes the next one longer"


def test_an_operators_word_goes_before() -> None:
    assert judge(replace(SUSPENDED, suspended_by="operator"), outcomes(), SETTINGS) is None
    resumed = judge(replace(SUSPENDED, until=NOW + timedelta(hours=1), suspended_by=None), outcomes(), SETTINGS)
    assert after(resumed) is FeedbackState.TRIAL
    for standing in (NORMAL, SLOWED, TRIAL):
        assert judge(replace(standing, suspended_by="operator"), outcomes(60, 60), SETTINGS) is None


@pytest.mark.parametrize(
    ("attempts", "failed", "then"),
    [
        (9, 0, None),
        (10, 0, FeedbackState.NORMAL),
        (12, 2, FeedbackState.NORMAL),
        (2, 2, None),
        (3, 3, FeedbackState.SUSPENDED),
        (10, 3, FeedbackState.SUSPENDED),
        (11, 3, None),
    ],
)
def test_a_trial(attempts: int, failed: int, then: FeedbackState | None) -> None:
    decision = judge(TRIAL, outcomes(attempts, failed), SETTINGS)
    assert (decision if then is None else after(decision)) is then


def test_each_suspension_is_twice_as_long_up_to_a_day() -> None:
    lengths = []
    standing = TRIAL
    for _ in range(40):
        decision = judge(standing, outcomes(10, 10), SETTINGS)
        assert isinstance(decision, Change)
        lengths.append(decision.suspended_seconds / 3600)
        standing = replace(standing, suspensions=decision.suspensions)
    assert lengths[:3] == [12, 24, 24]
    assert lengths[-1] == 24
    assert judge(TRIAL, outcomes(10, 0), SETTINGS) == Change(
        FeedbackState.NORMAL, None, "10 of 10 attempts went well on trial", 1
    )


def test_undelivered_messages_slow_and_suspend() -> None:
    figures = outcomes(sent=80, delivered=12)
    decision = judge(NORMAL, figures, SETTINGS)
    reason = "12 of 80 messages sent more than 6 h ago were delivered"
    assert decision == Change(FeedbackState.SLOWED, Cause.DELIVERIES, reason, 3)
    decision = judge(DROPPING, figures, SETTINGS)
    assert isinstance(decision, Change)
    assert (decision.after, decision.cause) == (FeedbackState.SUSPENDED, Cause.DELIVERIES)
    assert decision.badness == pytest.approx(68 / 80)
    assert after(judge(DROPPING, outcomes(sent=80, delivered=60), SETTINGS)) is FeedbackState.NORMAL
    assert judge(DROPPING, outcomes(sent=80, delivered=50), SETTINGS) == AnotherWindow()


def test_a_trial_for_undelivered_messages_wants_deliveries() -> None:
    trial = replace(TRIAL, cause=Cause.DELIVERIES)
    assert judge(trial, outcomes(50, 0), SETTINGS) is None, "that WhatsApp takes them proves nothing"
    assert after(judge(trial, outcomes(12, 0, on_trial=Deliveries(12, 10)), SETTINGS)) is FeedbackState.NORMAL
    assert judge(trial, outcomes(50, 0, on_trial=Deliveries(50, 10)), SETTINGS) is None
    assert after(judge(trial, outcomes(sent=50, delivered=10), SETTINGS)) is FeedbackState.SUSPENDED
    assert after(judge(trial, outcomes(3, 3), SETTINGS)) is FeedbackState.SUSPENDED


@given(
    st.sampled_from([NORMAL, SLOWED, DROPPING, TRIAL, replace(TRIAL, cause=Cause.DELIVERIES)]),
    st.integers(0, 500),
    st.integers(0, 500),
    st.booleans(),
)
def test_without_receipts_nobody_is_suspended_for_deliveries(
    standing: Standing, sent: int, delivered: int, elsewhere: bool
) -> None:
    figures = outcomes(
        sent=max(sent, delivered), delivered=delivered, receipts_proven=False, receipts_elsewhere=elsewhere
    )
    decision = judge(standing, figures, SETTINGS)
    assert not isinstance(decision, Change) or decision.after is not FeedbackState.SUSPENDED
    if standing is NORMAL and not elsewhere:
        assert decision is None


@given(
    st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.floats(0, 1), st.floats(0, 1)
)
def test_no_account_is_bad_and_good_at_once(
    attempts: int, failed: int, sent: int, delivered: int, errors: float, share: float
) -> None:
    """What has just been freed is not slowed again by the very figures that freed it."""
    figures = outcomes(max(attempts, failed), failed, max(sent, delivered), delivered)
    chosen = settings(feedback_error_share=errors, feedback_delivered_share=share)
    for standing in (SLOWED, DROPPING):
        decision = judge(standing, figures, chosen)
        was_judged = errors if standing is SLOWED else share
        if was_judged and isinstance(decision, Change) and decision.after is FeedbackState.NORMAL:
            assert judge(NORMAL, figures, chosen) is None


@pytest.mark.parametrize("standing", [SLOWED, DROPPING, SUSPENDED, TRIAL])
def test_switched_off_it_frees_all(standing: Standing) -> None:
    off = settings(feedback_enabled=False)
    assert after(judge(standing, outcomes(60, 60), off)) is FeedbackState.NORMAL
    assert judge(NORMAL, outcomes(60, 60), off) is None


def test_a_threshold_of_0_switches_its_half_off() -> None:
    no_errors, no_deliveries = settings(feedback_error_share=0), settings(feedback_delivered_share=0)
    assert judge(NORMAL, outcomes(60, 60), no_errors) is None
    assert after(judge(NORMAL, outcomes(60, 60), no_deliveries)) is FeedbackState.SLOWED
    assert judge(NORMAL, outcomes(sent=60), no_deliveries) is None
    assert judge(NORMAL, outcomes(sent=60), settings(silent_drop_after=timedelta(0))) is None
    assert after(judge(SLOWED, outcomes(60, 60), no_errors)) is FeedbackState.NORMAL
    assert after(judge(DROPPING, outcomes(), no_deliveries)) is FeedbackState.NORMAL


def test_what_is_held_against_an_account() -> None:
    window = timedelta(minutes=30)
    assert attempts_begin(NORMAL, window) == NOW - window
    just_freed = replace(NORMAL, since=NOW - timedelta(minutes=1), judged_from=NOW - timedelta(minutes=1))
    assert attempts_begin(just_freed, window) == NOW - timedelta(minutes=1)
    assert attempts_begin(SLOWED, window) == AGO, "its window lasts until there is a sample"
    again = replace(SLOWED, judged_from=NOW - timedelta(minutes=2))
    assert attempts_begin(again, window) == again.judged_from
    assert deliveries_begin(again) == AGO, "a further window of attempts does not interrupt that of messages"
    assert deliveries_begin(replace(again, cause=Cause.DELIVERIES)) == again.judged_from
    assert attempts_begin(DROPPING, window) == NOW - window


def test_receipts_are_proven_by_the_account_or_its_neighbours() -> None:
    hosts = {"a": "http://one", "b": "http://one", "c": "http://two"}
    after_six = timedelta(hours=6)
    lately, long_ago = NOW - timedelta(hours=5), NOW - timedelta(hours=7)

    def of(endpoint: str, **last: datetime | None) -> tuple[bool, bool]:
        return receipts(endpoint, {"a": None, "b": None, "c": None} | last, hosts, NOW, after_six)

    assert of("a") == (False, False)
    assert of("a", a=lately) == (True, True)
    assert of("a", b=lately) == (True, True), "one GOWA, one webhook"
    assert of("a", c=lately) == (False, True)
    assert of("a", a=long_ago, c=long_ago) == (False, False)


def test_at_most_half_of_the_accounts_are_suspended_by_feedback() -> None:
    others = {str(number): NORMAL for number in range(5)}
    assert may_suspend({"one": NORMAL}) == 1
    assert may_suspend(others) == 2
    assert may_suspend(others | {"x": SUSPENDED}) == 2
    assert may_suspend(others | {"x": replace(SUSPENDED, suspended_by="operator")}) == 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.5, "500 ms"), (90, "90 s"), (1800, "30 min"), (21_600, "6 h")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
