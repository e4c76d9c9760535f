"""What somebody should be told of: pure rules from what was last seen to alerts.

A rule answers conditions; a condition becomes an alert once it has lasted as long as it must, and the alert ends once no rule
has answered it for a while, so that a store which blinks does not ring. A rule uses the last figures there are: while a store
cannot be seen, what it said before stands. Texts are our own words, without numbers of people and without what a sender wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.monitor.checks.sending import alive, lag_seconds
from services.monitor.observation import Observation
from services.monitor.settings_of_alerts import AlertSettings
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.feedback import FeedbackState, drops_silently
from shared.endpoints.gowa import AccountState
from shared.endpoints.identity import Endpoint
from shared.messages import Lane, Verdict
from shared.queue.figures import QueueFigures
from shared.queue.noting import Noted

_BLINK = timedelta(seconds=30)
"""A store, a dispatcher or a scheduler may be away for so long without anybody being told: a restart takes less."""
_REBUILD = timedelta(minutes=1)
_OFFLINE = timedelta(minutes=5)
"""An account that reconnects by itself does so within a minute or two."""
_LOOKED_TWICE = timedelta(seconds=30)
_REFUSED_WEBHOOKS = 3
"""Within some minutes: the sender posts each event five times, and a stray request is nobody's secret gone wrong."""
_LATE_MS = 60_000
"""What a scheduler does every second and has not done for so long: nobody does it."""


class Severity(StrEnum):
    CRITICAL = "critical"
    """Nothing is sent, or an account is lost to sending."""
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Condition:
    """``endpoint`` '': it is about the whole. ``lasting``: for how long until it is an alert. ``since`` where the figures say
    it, otherwise it counts from when it was first seen."""

    name: str
    severity: Severity
    text: str
    endpoint: str = ""
    lasting: timedelta = timedelta(0)
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    severity: Severity
    endpoint: str
    text: str
    since: datetime

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.endpoint


def conditions(
    seen: Observation, endpoints: Mapping[str, Endpoint], settings: AlertSettings, queue_lag: timedelta
) -> list[Condition]:
    """All that is wrong now. ``queue_lag``: single sends that wait longer are an alert, 0: never."""
    found: list[Condition] = []
    found += _stores(seen)
    found += _services(seen)
    found += _work(seen, settings, queue_lag)
    found += _sender(seen)
    found += _accounts(seen, endpoints, settings)
    return found


def _stores(seen: Observation) -> Iterator[Condition]:
    refusal = seen.probe.figures.refusal if seen.probe.figures else ""
    for problem, reason in (
        (seen.queue.problem, seen.queue.reason),
        (seen.probe.problem, seen.probe.reason),
        (refusal, refusal),
    ):
        if problem:
            yield Condition("redis_away", Severity.CRITICAL, reason or "Redis cannot be reached", lasting=_BLINK)
            break
    postgres, _ = seen.postgres_problem
    if postgres:
        yield Condition("postgres_away", Severity.CRITICAL, postgres, lasting=_BLINK)
    if seen.policy_problem:
        yield Condition("redis_may_evict", Severity.CRITICAL, "Redis may evict keys: maxmemory-policy is wrong")
    if seen.durability_problem:
        yield Condition("postgres_may_forget", Severity.WARNING, "Postgres may forget what was accepted")
    queue, database = seen.queue.figures, seen.database.figures
    if database is not None and database.went_back_at is not None:
        text = "Postgres went back in time; nothing is sent until an operator confirms it by POST /api/start"
        yield Condition("postgres_went_back", Severity.CRITICAL, text, since=database.went_back_at)
    if queue is None or database is None:
        return
    if queue.epoch != database.epoch or not queue.same_server or database.rebuilding:
        text = "sending waits until a scheduler has rebuilt Redis"
        yield Condition("rebuild_waits", Severity.CRITICAL, text, lasting=_REBUILD)


def _services(seen: Observation) -> Iterator[Condition]:
    queue, database = seen.queue.figures, seen.database.figures
    if queue is not None and not alive(queue):
        yield Condition("no_dispatcher", Severity.CRITICAL, "no dispatcher is alive", lasting=_BLINK)
    unpromoted = (
        queue is not None
        and queue.first_parked_due_ms is not None
        and queue.now_ms - queue.first_parked_due_ms > _LATE_MS
    )
    if unpromoted or (database is not None and database.overdue_seconds * 1000 > _LATE_MS):
        yield Condition("no_scheduler", Severity.CRITICAL, "no scheduler does its work", lasting=_BLINK)


def _work(seen: Observation, settings: AlertSettings, queue_lag: timedelta) -> Iterator[Condition]:
    queue, database, history = seen.queue.figures, seen.database.figures, seen.history.figures
    stopped = sorted(database.stopped_lanes) if database else []
    if stopped and settings.alert_lane_stopped_after and not (database and database.went_back_at):
        lasting = settings.alert_lane_stopped_after
        yield Condition("lane_stopped", Severity.WARNING, f"stopped: {', '.join(stopped)}", lasting=lasting)
    if queue is not None:
        lag = lag_seconds(queue, queue.lane(Lane.TRANSACTIONAL))
        if queue_lag and Lane.TRANSACTIONAL.value not in stopped and lag > queue_lag.total_seconds():
            text = f"single sends wait for more than {round(queue_lag.total_seconds())} s"
            yield Condition("single_sends_wait", Severity.WARNING, text)
        if settings.alert_nothing_sent_after and _stands_still(queue, stopped, settings.alert_nothing_sent_after):
            minutes = round(settings.alert_nothing_sent_after.total_seconds() / 60)
            text = f"nothing was sent for {minutes} min, though messages wait and an account is ready"
            yield Condition("nothing_sent", Severity.CRITICAL, text)
    if database is not None and database.unresolved_optouts:
        people = database.unresolved_optouts
        text = f"{people} {'person' if people == 1 else 'people'} opted out under a hidden number and may still get campaigns"
        yield Condition("optouts_unresolved", Severity.WARNING, text, since=database.unresolved_since)
    if history is not None:
        unknown = sum(figures.unknown for figures in history.long.values())
        if unknown:
            text = f"{unknown} messages of the last day have an unknown outcome and wait for a decision"
            yield Condition("unknown_outcomes", Severity.WARNING, text)


def _stands_still(queue: QueueFigures, stopped: list[str], after: timedelta) -> bool:
    """Whether entries of a lane that runs, and an account's slot, have waited for ``after`` while nothing was tried."""
    limit_ms = after.total_seconds() * 1000
    minutes = max(1, round(limit_ms / 60_000))
    # The last one is not over yet, so one more is looked at.
    if any(sum(queue.series[verdict][-minutes - 1 :]) for verdict in Verdict):
        return False
    for stream in queue.streams:
        waits = stream.oldest_waiting_ms is not None and queue.now_ms - stream.oldest_waiting_ms > limit_ms
        if not waits or stream.lane.value in stopped or stream.endpoint:
            # What is bound waits for its own account, which may be held or capped for long.
            continue
        for figures in queue.endpoints.values():
            ready = figures.bulk_ready_at_ms if stream.lane is Lane.BULK else figures.ready_at_ms
            if ready is not None and queue.now_ms - ready > limit_ms:
                return True
    return False


def _sender(seen: Observation) -> Iterator[Condition]:
    """What the sender says that we do not understand, or says and cannot prove."""
    found = seen.noted.figures or {}
    if found.get(Noted.UNLISTED_ANSWER):
        text = "the sender answered sends with something unknown: a new release of it? A dispatcher's log has the words"
        yield Condition("unlisted_answers", Severity.WARNING, text)
    if found.get(Noted.REFUSED_WEBHOOK, 0) >= _REFUSED_WEBHOOKS:
        text = "webhooks are refused, so receipts and opt-outs may be lost: WHATSAPP_WEBHOOK_SECRET is not the sender's"
        yield Condition("webhooks_refused", Severity.WARNING, text)


def _accounts(seen: Observation, endpoints: Mapping[str, Endpoint], settings: AlertSettings) -> Iterator[Condition]:
    queue, database = seen.queue.figures, seen.database.figures
    suspended = database.suspended.keys() if database else set()
    out = set(suspended & endpoints.keys())
    for identity in endpoints:
        account = seen.accounts.get(identity)
        if account is AccountState.LOGGED_OUT:
            text = "it is logged out: pair it again"
            yield Condition("account_logged_out", Severity.CRITICAL, text, identity, _LOOKED_TWICE)
        elif account is AccountState.MISCONFIGURED:
            text = "it refuses our login or device id, or its base URL is wrong"
            yield Condition("account_misconfigured", Severity.CRITICAL, text, identity, _LOOKED_TWICE)
        elif account is AccountState.NO_DEVICE:
            text = "the sender has no such device: check its id, or pair it again (versions 8.1 to 8.9 delete it at a logout)"
            yield Condition("account_misconfigured", Severity.CRITICAL, text, identity, _LOOKED_TWICE)
        elif account is AccountState.OFFLINE:
            text = "it is paired but not connected"
            yield Condition("account_offline", Severity.WARNING, text, identity, _OFFLINE)
        figures = queue.endpoints.get(identity) if queue else None
        if figures is not None and figures.breaker is not BreakerState.CLOSED:
            if figures.breaker is BreakerState.OPEN:
                out.add(identity)
            after = settings.alert_breaker_open_after
            if after and identity not in suspended:
                # On trial too: one that opens and half-opens by turns sends hardly anything.
                text = "its breaker does not close"
                yield Condition("breaker_open", Severity.WARNING, text, identity, after)
        yield from _feedback(seen, identity)
        yield from _silent_drops(seen, identity, settings)
    if endpoints and len(out) == len(endpoints):
        yield Condition("no_account", Severity.CRITICAL, "no account may send", lasting=timedelta(minutes=2))


def _feedback(seen: Observation, identity: str) -> Iterator[Condition]:
    standing = seen.database.figures.feedback.get(identity) if seen.database.figures else None
    if standing is None:
        return
    if standing.state is FeedbackState.SUSPENDED:
        text = f"suspended: {standing.reason}"
        yield Condition("account_suspended", Severity.CRITICAL, text, identity, since=standing.since)
    elif standing.state is FeedbackState.SLOWED:
        text = f"slowed {standing.slow_factor} times: {standing.reason}"
        yield Condition("account_slowed", Severity.WARNING, text, identity, since=standing.since)


def _silent_drops(seen: Observation, identity: str, settings: AlertSettings) -> Iterator[Condition]:
    found = (seen.deliveries.figures or {}).get(identity)
    if found and drops_silently(
        found.sent, found.undelivered, settings.feedback_delivered_share, settings.feedback_min_sample
    ):
        text = f"{found.undelivered} of {found.sent} messages that WhatsApp took were never acknowledged"
        yield Condition("silent_drops", Severity.WARNING, text, identity)


@dataclass(slots=True)
class _Held:
    condition: Condition
    first: datetime
    last: datetime


class AlertBook:
    """Remembers since when a condition lasts. ``ends_after``: how long nobody has answered a condition that is over."""

    def __init__(self, ends_after: timedelta = timedelta(seconds=15)) -> None:
        self._ends_after = ends_after
        self._held: dict[tuple[str, str], _Held] = {}
        self._on: set[tuple[str, str]] = set()

    def update(self, found: Iterable[Condition], now: datetime) -> list[Alert]:
        """The alerts that are on, the worst first. ``now``: of this monitor's clock."""
        for condition in found:
            key = condition.name, condition.endpoint
            held = self._held.get(key)
            first = condition.since or (held.first if held else now)
            self._held[key] = _Held(condition, first, now)
        for key in [key for key, held in self._held.items() if now - held.last > self._ends_after]:
            del self._held[key]
        self._on &= self._held.keys()
        for key, held in self._held.items():
            # Its last answer decides, so what has just ended does not begin to ring.
            if held.last == now and now - held.first >= held.condition.lasting:
                self._on.add(key)
        alerts = [self._alert(key) for key in self._on]
        return sorted(alerts, key=lambda alert: (alert.severity is not Severity.CRITICAL, alert.since, alert.key))

    def present(self) -> set[tuple[str, str]]:
        """Name and endpoint of all conditions that are there, or were a moment ago, whether they are alerts yet or not."""
        return set(self._held)

    def _alert(self, key: tuple[str, str]) -> Alert:
        held = self._held[key]
        condition = held.condition
        return Alert(condition.name, condition.severity, condition.endpoint, condition.text, held.first.astimezone(UTC))
