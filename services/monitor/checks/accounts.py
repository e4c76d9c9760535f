"""Which accounts cannot send: breakers that are not closed, suspensions, what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping

from services.monitor.checks.finding import Finding, Health
from services.monitor.observation import Observation
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.feedback import FeedbackState
from shared.endpoints.gowa import AccountState
from shared.endpoints.identity import Endpoint

_WORDS = {
    AccountState.LOGGED_OUT: "it is logged out: pair it again",
    AccountState.OFFLINE: "it is paired but not connected",
    AccountState.MISCONFIGURED: "it refuses our login or device id, or its base URL is wrong",
    AccountState.NO_DEVICE: "the sender has no such device: check its id, or pair it again",
}
"""Not that it cannot be reached: that is the monitor's way to it, and sends may go another."""

_FEEDBACK = {
    FeedbackState.SLOWED: "is slowed, since too many of its sends went wrong",
    FeedbackState.SUSPENDED: "is suspended by feedback, since too many of its sends went wrong",
}


def accounts(seen: Observation, endpoints: Mapping[str, Endpoint]) -> list[Finding]:
    queue, database = seen.queue.now, seen.database.now
    findings = []
    idle = set()
    if queue is not None:
        for identity, figures in queue.endpoints.items():
            if figures.breaker is not BreakerState.CLOSED:
                what = "does not send" if figures.breaker is BreakerState.OPEN else "is on trial"
                reason = f"endpoint {identity} {what}: its breaker is {figures.breaker.replace('_', '-')}"
                findings.append(Finding(Health.DEGRADED, "endpoints", reason, figures.state.get("reason", "")))
            if figures.breaker is BreakerState.OPEN:
                idle.add(identity)
    for identity, account in seen.accounts.items():
        if account in _WORDS:
            # Its breaker may be told of as well; this says what to do about it.
            reason = f"endpoint {identity} says that it cannot send"
            findings.append(Finding(Health.DEGRADED, "endpoints", reason, _WORDS[account]))
    if database is not None:
        for identity in sorted(database.feedback.keys() & endpoints.keys()):
            standing = database.feedback[identity]
            if standing.state in _FEEDBACK:
                reason = f"endpoint {identity} {_FEEDBACK[standing.state]}"
                findings.append(Finding(Health.DEGRADED, "endpoints", reason, standing.reason))
        # Somebody suspended it on purpose, which is no fault by itself.
        idle |= database.suspended.keys() & endpoints.keys()
    if len(idle) == len(endpoints):
        findings.append(Finding(Health.DEGRADED, "endpoints", "no account may send"))
    return findings
