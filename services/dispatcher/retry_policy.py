"""What follows a verdict: pure rules, with chance passed in."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from services.dispatcher.sending.verdict import Answer
from shared.messages import Status, Verdict

MOST_BACKOFF = 300.0
"""Seconds: the longest wait before a further try."""

Way = Literal["end", "retry", "elsewhere", "check"]


class Next(Struct, frozen=True):
    """``end``: the message has its final status. ``retry``: again after ``seconds``. ``elsewhere``: at once through an
    endpoint that this round has not tried, or after ``seconds`` where there is none. ``check``: the outcome is unknown and
    is looked up after ``seconds``."""

    way: Way
    status: Status
    reason: str
    seconds: float = 0.0
    uses_try: bool = True


@dataclass(frozen=True, slots=True)
class RetryRules:
    """``base_delay`` and ``cold_contact_delay`` in seconds; ``check_seconds`` by kind of message."""

    max_retries: int
    base_delay: float
    cold_contact_delay: float
    check_seconds: dict[str, float]


def backoff(base: float, failures: int, chance: random.Random) -> float:
    """Seconds before try ``failures`` + 1: doubles from ``base``, at most MOST_BACKOFF, the upper half of it by chance, so
    that messages that failed together do not come back together."""
    full = min(MOST_BACKOFF, base * 2.0 ** min(failures - 1, 20))
    return full / 2 + chance.uniform(0, full / 2)


def next_after(
    answer: Answer, kind: str, tries_used: int, attempt: int, rules: RetryRules, chance: random.Random
) -> Next:
    """What becomes of a message whose attempt number ``attempt`` came to ``answer``, after ``tries_used`` earlier tries."""
    tries = tries_used + 1
    if answer.too_late:
        return Next("retry", Status.RETRYING, answer.reason, uses_try=False)
    match answer.verdict:
        case Verdict.SENT:
            return Next("end", Status.SENT, answer.reason)
        case Verdict.REFUSED:
            return Next("end", Status.FAILED, answer.reason)
        case Verdict.UNKNOWN:
            return Next("check", Status.SENDING, answer.reason, rules.check_seconds[kind])
        case Verdict.LOGGED_OUT | Verdict.MISCONFIGURED | Verdict.NOT_SENT | Verdict.ELSEWHERE:
            return _elsewhere(answer, attempt, rules, chance)
        case Verdict.TRANSIENT if answer.account_fault:
            return _elsewhere(answer, attempt, rules, chance)
        case Verdict.COLD_CONTACT_LOCKED:
            if tries > rules.max_retries:
                return Next("end", Status.FAILED, answer.reason)
            return Next("elsewhere", Status.RETRYING, answer.reason, rules.cold_contact_delay)
        case Verdict.TRANSIENT | Verdict.UNFETCHED:
            if tries > rules.max_retries:
                return Next("end", Status.FAILED, answer.reason)
            return Next("retry", Status.RETRYING, answer.reason, backoff(rules.base_delay, tries, chance))


def _elsewhere(answer: Answer, attempt: int, rules: RetryRules, chance: random.Random) -> Next:
    """The endpoint's fault, or another's message: no try is used up, however long it lasts; the message's expiry bounds it."""
    wait = backoff(rules.base_delay, attempt, chance)
    return Next("elsewhere", Status.RETRYING, answer.reason, wait, uses_try=False)
