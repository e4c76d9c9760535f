"""What becomes of an account by what its sends came to: pure rules, with the time passed in.

An account that is bad over a window is slowed; bad still over a further window, it is suspended; the suspension ends by a
trial, after which it is as the others again, or suspended for longer. Two things make it bad: the share of attempts that fail,
and the share of messages that WhatsApp took and never delivered. What it was slowed for is not held against it twice, since
only what it sent afterwards counts.

A share is judged only over enough of a sample, and good again only at two thirds of what is bad, so that chance does not move
an account to and fro. Undelivered messages suspend only where receipts do come; a webhook that is missing or broken must never
stop anybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.database.account_feedback import Attempts, Deliveries, Standing
from shared.endpoints.feedback import Cause, FeedbackState, drops_silently
from shared.settings import FeedbackSettings

_GOOD = 2 / 3
"""Of the bad share, from which on an account is good again."""
_LONGEST_SUSPENSION = timedelta(days=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_RECEIPTS_LATELY = timedelta(minutes=10)
"""At least: the time of an account's last receipt is kept to the minute."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """``attempts`` and ``deliveries`` since the account is judged; ``on_trial``: messages sent since its trial began, however
    young. ``receipts_proven``: those of the account would reach us; ``receipts_elsewhere``: some account's do."""

    attempts: Attempts
    deliveries: Deliveries
    on_trial: Deliveries
    receipts_proven: bool
    receipts_elsewhere: bool


@dataclass(frozen=True, slots=True)
class Change:
    """The next state. ``badness`` orders those that are to be suspended: 0 to 1."""

    after: FeedbackState
    cause: Cause | None
    reason: str
    slow_factor: int
    suspended_seconds: float = 0.0
    suspensions: int = 0
    badness: float = 0.0


@dataclass(frozen=True, slots=True)
class AnotherWindow:
    """Neither good nor bad enough: it stays, and another window begins."""


def attempts_begin(standing: Standing, window: timedelta) -> datetime:
    """From when on an account's attempts are judged. A window that began with a state lasts until there is a sample."""
    begun = standing.judged_from or _EVER
    if standing.cause is Cause.ERRORS:
        return begun
    return max(begun, standing.now - window)


def deliveries_begin(standing: Standing) -> datetime:
    """The same for its messages. They are judged hours later, so windows of attempts do not interrupt them."""
    begun = standing.since if standing.cause is Cause.ERRORS else standing.judged_from
    return begun or _EVER


def receipts(
    endpoint: str, last: Mapping[str, datetime | None], hosts: Mapping[str, str], now: datetime, after: timedelta
) -> tuple[bool, bool]:
    """(those of the account would reach us, some account's do), judged by when each account's last one came. Accounts of one
    GOWA (``hosts``: its address by endpoint) share a webhook."""
    lately = {one for one, at in last.items() if at is not None and now - at < max(after, _RECEIPTS_LATELY)}
    return any(hosts[one] == hosts[endpoint] for one in lately), bool(lately)


def judge(standing: Standing, outcomes: Outcomes, settings: FeedbackSettings) -> Change | AnotherWindow | None:
    """What follows; None: nothing."""
    if standing.state is not FeedbackState.NORMAL and not settings.feedback_enabled:
        return _normal("feedback was switched off")
    if not settings.feedback_enabled:
        return None
    if standing.cause is not None and not _is_judged(standing.cause, settings):
        return _normal(f"{standing.cause.value} are not judged any more")
    if standing.state is FeedbackState.SUSPENDED:
        return _of_suspended(standing)
    if standing.suspended_by is not None:
        return None
    if standing.state is FeedbackState.NORMAL:
        return _of_normal(outcomes, settings)
    if standing.state is FeedbackState.SLOWED:
        return _of_slowed(standing, outcomes, settings)
    return _of_trial(standing, outcomes, settings)


def may_suspend(standings: Mapping[str, Standing]) -> int:
    """How many more accounts feedback may suspend: half of all, one at least. When most turn bad together it is rather what
    they share, and nothing is won by sending through none."""
    held = sum(
        standing.state is FeedbackState.SUSPENDED and standing.suspended_by == "feedback"
        for standing in standings.values()
    )
    return max(1, len(standings) // 2) - held


def span(seconds: float) -> str:
    """A time in words, to two digits or so."""
    if seconds < 120:
        return f"{round(seconds)} s" if seconds >= 1 or seconds == 0 else f"{round(seconds * 1000)} ms"
    return f"{round(seconds / 60)} min" if seconds < 7200 else f"{round(seconds / 3600)} h"


def _is_judged(cause: Cause, settings: FeedbackSettings) -> bool:
    if cause is Cause.ERRORS:
        return settings.feedback_error_share > 0
    return settings.feedback_delivered_share > 0 and settings.silent_drop_after > timedelta(0)


def _of_suspended(standing: Standing) -> Change | None:
    if standing.suspended_by == "operator":
        return None
    if standing.suspended_by is None:
        reason = "an operator resumed it"
    elif standing.until is not None and standing.now >= standing.until:
        reason = "its suspension is over"
    else:
        return None
    return Change(FeedbackState.TRIAL, standing.cause, reason, standing.slow_factor, suspensions=standing.suspensions)


def _of_normal(outcomes: Outcomes, settings: FeedbackSettings) -> Change | None:
    slower = settings.feedback_slow_factor
    if _errors_are_bad(outcomes, settings):
        window = span(settings.feedback_window.total_seconds())
        reason = f"{_failed(outcomes)} within {window}"
        return Change(FeedbackState.SLOWED, Cause.ERRORS, reason, slower)
    if _deliveries_are_bad(outcomes, settings) and (outcomes.receipts_proven or outcomes.receipts_elsewhere):
        return Change(FeedbackState.SLOWED, Cause.DELIVERIES, _delivered(outcomes, settings), slower)
    return None


def _of_slowed(standing: Standing, outcomes: Outcomes, settings: FeedbackSettings) -> Change | AnotherWindow | None:
    if standing.judged_from is None or standing.now - standing.judged_from < settings.feedback_window:
        return None
    if _errors_are_bad(outcomes, settings):
        return _suspended(standing, Cause.ERRORS, f"{_failed(outcomes)} although it was slowed", outcomes, settings)
    if _deliveries_are_bad(outcomes, settings) and outcomes.receipts_proven:
        reason = f"{_delivered(outcomes, settings)} although it was slowed"
        return _suspended(standing, Cause.DELIVERIES, reason, outcomes, settings)
    if standing.cause is Cause.ERRORS:
        sample, is_good = outcomes.attempts.attempts, _errors_are_good(outcomes, settings)
        reason = f"only {_failed(outcomes)} since"
    else:
        sample, is_good = outcomes.deliveries.sent, _are_delivered(outcomes.deliveries, settings)
        reason = _delivered(outcomes, settings)
    if sample < settings.feedback_min_sample:
        return None
    return _normal(reason) if is_good else AnotherWindow()


def _of_trial(standing: Standing, outcomes: Outcomes, settings: FeedbackSettings) -> Change | None:
    attempts, size = outcomes.attempts, settings.feedback_trial_size
    # The number of failures with which it could not pass any more.
    most = max(1, math.ceil(settings.feedback_error_share * size)) if settings.feedback_error_share else math.inf
    if attempts.failed >= most and attempts.failed >= settings.feedback_error_share * attempts.attempts:
        return _suspended(standing, Cause.ERRORS, f"{_failed(outcomes)} on trial", outcomes, settings)
    if standing.cause is Cause.ERRORS:
        went_well = attempts.attempts - attempts.failed
        return _normal(f"{went_well} of {attempts.attempts} attempts went well on trial") if went_well >= size else None
    if _deliveries_are_bad(outcomes, settings) and outcomes.receipts_proven:
        reason = f"{_delivered(outcomes, settings)} on trial"
        return _suspended(standing, Cause.DELIVERIES, reason, outcomes, settings)
    trial = outcomes.on_trial
    if trial.delivered >= size and _are_delivered(trial, settings):
        return _normal(f"{trial.delivered} of {trial.sent} messages were delivered on trial")
    return None


def _normal(reason: str) -> Change:
    return Change(FeedbackState.NORMAL, None, reason, 1)


def _suspended(standing: Standing, cause: Cause, reason: str, outcomes: Outcomes, settings: FeedbackSettings) -> Change:
    usual = settings.feedback_suspension
    longest = max(usual, _LONGEST_SUSPENSION)
    # Ten doublings of a second are less than a day; beyond 20 the number would only overflow.
    length = min(usual * 2 ** min(standing.suspensions, 20), longest)
    if cause is Cause.ERRORS:
        badness = outcomes.attempts.failed / max(1, outcomes.attempts.attempts)
    else:
        badness = 1 - outcomes.deliveries.delivered / max(1, outcomes.deliveries.sent)
    return Change(
        FeedbackState.SUSPENDED,
        cause,
        reason,
        settings.feedback_slow_factor,
        length.total_seconds(),
        standing.suspensions + 1,
        badness,
    )


def _errors_are_bad(outcomes: Outcomes, settings: FeedbackSettings) -> bool:
    attempts, bad = outcomes.attempts, settings.feedback_error_share
    return bad > 0 and attempts.attempts >= settings.feedback_min_sample and attempts.failed >= bad * attempts.attempts


def _errors_are_good(outcomes: Outcomes, settings: FeedbackSettings) -> bool:
    return outcomes.attempts.failed <= _GOOD * settings.feedback_error_share * outcomes.attempts.attempts


def _deliveries_are_bad(outcomes: Outcomes, settings: FeedbackSettings) -> bool:
    found = outcomes.deliveries
    return _is_judged(Cause.DELIVERIES, settings) and drops_silently(
        found.sent, found.sent - found.delivered, settings.feedback_delivered_share, settings.feedback_min_sample
    )


def _are_delivered(found: Deliveries, settings: FeedbackSettings) -> bool:
    return found.sent - found.delivered <= _GOOD * (1 - settings.feedback_delivered_share) * found.sent


def _failed(outcomes: Outcomes) -> str:
    return f"{outcomes.attempts.failed} of {outcomes.attempts.attempts} attempts failed"


def _delivered(outcomes: Outcomes, settings: FeedbackSettings) -> str:
    found, age = outcomes.deliveries, span(settings.silent_drop_after.total_seconds())
    words = f"{found.delivered} of {found.sent} messages sent more than {age} ago were delivered"
    return words if outcomes.receipts_proven else f"{words}, or its receipts do not reach us"
