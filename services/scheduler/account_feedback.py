"""Slows, suspends and readmits accounts by what their sends came to.

The state is in Postgres and each change names the one that it expects, so two schedulers come to one change. A slowed
account's pace is published with the rate profile (``redis_rebuild``), a suspension is carried out as an operator's is
(``endpoint_recovery``), and both survive a loss of Redis with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter

from services.scheduler.account_feedback_rules import (
    AnotherWindow,
    Change,
    Outcomes,
    attempts_begin,
    deliveries_begin,
    judge,
    may_suspend,
    receipts,
)
from shared.database.account_feedback import (
    Attempts,
    Deliveries,
    Standing,
    attempts_since,
    change_standing,
    deliveries_since,
    judge_anew,
    standings,
)
from shared.database.connection import Database
from shared.endpoints.feedback import Cause, FeedbackState
from shared.endpoints.identity import Endpoint
from shared.settings import FeedbackSettings, seconds

log = structlog.get_logger()
_changes = Counter(
    "paceline_account_feedback_changes_total", "Accounts slowed, suspended, put on trial or freed", ["to"]
)
_DAY = timedelta(days=1)
_LOOKS_A_WINDOW = 60
_LONGEST_WAIT = 30.0  # seconds; a look costs some ms an account
_LEAST_WAIT = 0.5
_DELIVERIES_KEPT = 300.0
"""Seconds, at most, that what was delivered is not looked at again: it changes over hours, and costs 10 ms an account."""
_KEPT_SHARE = 1 / 60
"""Of SILENT_DROP_AFTER, where that is less."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was ``found`` at a moment, of what was sent since ``begin``."""

    begin: datetime
    at: float
    found: Deliveries


class AccountFeedback:
    name = "account_feedback"

    def __init__(
        self,
        database: Database,
        endpoints: Mapping[str, Endpoint],
        settings: FeedbackSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._hosts = {endpoint.id: endpoint.base_url for endpoint in endpoints.values()}
        self._settings = settings
        self._held_back: set[str] = set()
        self._clock = clock
        self._kept = min(_DELIVERIES_KEPT, seconds(settings.silent_drop_after) * _KEPT_SHARE)
        self._deliveries: dict[str, _Looked] = {}
        self.interval = min(_LONGEST_WAIT, max(_LEAST_WAIT, seconds(settings.feedback_window) / _LOOKS_A_WINDOW))

    async def step(self) -> None:
        if not self._hosts:
            return
        found = await standings(self._database, sorted(self._hosts))
        outcomes = await self._outcomes(found)
        changes: dict[str, Change] = {}
        for endpoint, standing in found.items():
            decision = judge(standing, outcomes[endpoint], self._settings)
            if isinstance(decision, Change):
                changes[endpoint] = decision
            elif isinstance(decision, AnotherWindow):
                await judge_anew(self._database, endpoint, standing)
        self._spare(changes, may_suspend(found))
        for endpoint, change in changes.items():
            await self._apply(endpoint, found[endpoint], change)

    async def _outcomes(self, found: Mapping[str, Standing]) -> dict[str, Outcomes]:
        settings = self._settings
        if not settings.feedback_enabled:
            return {endpoint: Outcomes(Attempts(), Deliveries(), Deliveries(), False, False) for endpoint in found}
        begins = {endpoint: attempts_begin(standing, settings.feedback_window) for endpoint, standing in found.items()}
        attempts = await attempts_since(self._database, begins)
        after = settings.silent_drop_after
        sent: dict[str, Deliveries] = {}
        on_trial: dict[str, Deliveries] = {}
        if after and settings.feedback_delivered_share:
            begins = {endpoint: deliveries_begin(standing) for endpoint, standing in found.items()}
            sent = await self._lately_delivered(begins, after)
            trials = {
                endpoint: begins[endpoint]
                for endpoint, standing in found.items()
                if standing.state is FeedbackState.TRIAL and standing.cause is Cause.DELIVERIES
            }
            on_trial = await deliveries_since(self._database, trials, timedelta(0), _DAY) if trials else {}
        last = {endpoint: one.last_receipt for endpoint, one in sent.items()}
        return {
            endpoint: Outcomes(
                attempts[endpoint],
                sent.get(endpoint, Deliveries()),
                on_trial.get(endpoint, Deliveries()),
                *receipts(endpoint, last, self._hosts, standing.now, after),
            )
            for endpoint, standing in found.items()
        }

    async def _lately_delivered(self, begins: Mapping[str, datetime], after: timedelta) -> dict[str, Deliveries]:
        """As looked at a while ago, unless since then the account is judged from another time on."""
        now = self._clock()
        old = {
            endpoint: begin
            for endpoint, begin in begins.items()
            if (known := self._deliveries.get(endpoint)) is None or known.begin != begin or now - known.at > self._kept
        }
        if old:
            for endpoint, found in (await deliveries_since(self._database, old, after, _DAY)).items():
                self._deliveries[endpoint] = _Looked(old[endpoint], now, found)
        return {endpoint: self._deliveries[endpoint].found for endpoint in begins}

    def _spare(self, changes: dict[str, Change], most: int) -> None:
        """Takes suspensions beyond ``most`` out of ``changes``, the least bad ones; those accounts stay slowed."""
        wanted = [endpoint for endpoint, change in changes.items() if change.after is FeedbackState.SUSPENDED]
        wanted.sort(key=lambda endpoint: (-changes[endpoint].badness, endpoint))
        spared = set(wanted[max(0, most) :])
        for endpoint in sorted(spared - self._held_back):
            log.warning("account not suspended, as others are", endpoint=endpoint, reason=changes[endpoint].reason)
        for endpoint in spared:
            del changes[endpoint]
        self._held_back = spared

    async def _apply(self, endpoint: str, before: Standing, change: Change) -> None:
        if not await change_standing(
            self._database,
            endpoint,
            before,
            change.after,
            change.cause,
            change.reason,
            change.slow_factor,
            change.suspended_seconds,
            change.suspensions,
        ):
            return
        _changes.labels(change.after.value).inc()
        tell = log.info if change.after is FeedbackState.NORMAL else log.warning
        tell(
            "account feedback",
            endpoint=endpoint,
            before=before.state.value,
            after=change.after.value,
            reason=change.reason,
            suspended_seconds=round(change.suspended_seconds),
        )
