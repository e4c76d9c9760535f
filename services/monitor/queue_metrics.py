"""Prometheus metrics of queue, campaigns and endpoints, made from what was last seen; a scrape asks no store.

Endpoints appear by id: an address says more than a metric should.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.monitor.alert_rules import Alert
from services.monitor.checks.finding import Health
from services.monitor.checks.sending import alive, lag_seconds
from services.monitor.health import HealthOfTheWhole
from services.monitor.observation import Observation
from shared.database.figures import DatabaseFigures, HistoryFigures
from shared.database.receipts import DeliveryFigures
from shared.endpoints.breaker_state import BreakerState
from shared.endpoints.feedback import FeedbackState
from shared.endpoints.gowa import AccountState
from shared.endpoints.identity import Endpoint
from shared.messages import CampaignStatus, Lane, Verdict
from shared.queue.figures import QueueFigures


class QueueMetrics(Collector):
    def __init__(
        self,
        seen: Observation,
        endpoints: Mapping[str, Endpoint],
        health: HealthOfTheWhole,
        alerts: Sequence[Alert] = (),
    ) -> None:
        """``alerts``: those that are on, kept up to date by whoever gives them."""
        self._seen = seen
        self._endpoints = endpoints
        self._health = health
        self._alerts = alerts

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask for figures that are not there yet."""
        return []

    def collect(self) -> Iterable[Metric]:
        seen = self._seen
        status = self._health.report(detailed=False)["status"]
        health = GaugeMetricFamily("paceline_health", "1 for the present health of the whole", labels=["status"])
        for name in Health:
            health.add_metric([name.value], float(name.value == status))
        yield health
        yield _gauge("paceline_redis_up", "Whether Redis answers", seen.queue.now is not None)
        yield _gauge("paceline_postgres_up", "Whether Postgres answers", seen.database.now is not None)
        # Where a store does not answer its series end: an old number would look like the present one.
        if seen.queue.now is not None:
            yield from _of_queue(seen.queue.now)
        if seen.database.now is not None:
            yield from _of_database(seen.database.now, self._endpoints)
        if seen.history.now is not None:
            yield from _of_history(seen.history.now)
        usable = GaugeMetricFamily(
            "paceline_account_usable", "Whether the account last said that it can send", labels=["endpoint"]
        )
        for identity, account in seen.accounts.items():
            usable.add_metric([identity], float(account is AccountState.USABLE))
        yield usable
        yield from _of_deliveries(seen.deliveries.figures or {})
        firing = GaugeMetricFamily("paceline_alert", "1 while the alert is on", labels=["name", "severity", "endpoint"])
        for alert in self._alerts:
            firing.add_metric([alert.name, alert.severity.value, alert.endpoint], 1.0)
        yield firing


def _gauge(name: str, sentence: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, sentence, value=float(value))


def _of_queue(queue: QueueFigures) -> Iterable[Metric]:
    entries = GaugeMetricFamily("paceline_queue_entries", "Entries in the streams of a lane", labels=["lane"])
    pending = GaugeMetricFamily(
        "paceline_queue_pending_entries", "Entries of a lane in a dispatcher's hand", labels=["lane"]
    )
    oldest = GaugeMetricFamily(
        "paceline_queue_oldest_entry_seconds", "Age of the oldest entry that nobody has taken", labels=["lane"]
    )
    for lane in Lane:
        figures = queue.lane(lane)
        entries.add_metric([lane.value], figures.length)
        pending.add_metric([lane.value], figures.pending)
        oldest.add_metric([lane.value], lag_seconds(queue, figures))
    yield from (entries, pending, oldest)
    yield _gauge("paceline_queue_parked_entries", "Retries and later sends in the schedule", queue.parked)
    yield _gauge("paceline_dispatchers_alive", "Dispatchers that beat lately", len(alive(queue)))
    yield from _of_endpoints(queue)


def _of_endpoints(queue: QueueFigures) -> Iterable[Metric]:
    breaker = GaugeMetricFamily(
        "paceline_endpoint_breaker_state", "1 for the breaker's present state", labels=["endpoint", "state"]
    )
    used = GaugeMetricFamily("paceline_endpoint_slots_used", "Slots with a send in flight", labels=["endpoint"])
    messages = CounterMetricFamily(
        "paceline_endpoint_messages", "Attempts since Redis was last rebuilt", labels=["endpoint", "verdict"]
    )
    answer = CounterMetricFamily(
        "paceline_endpoint_answer_seconds", "Time that attempts took, summed", labels=["endpoint"]
    )
    for identity, figures in queue.endpoints.items():
        for state in BreakerState:
            breaker.add_metric([identity, state], float(figures.breaker == state))
        used.add_metric([identity], figures.slots_used)
        for verdict in Verdict:
            messages.add_metric([identity, verdict.value], figures.count(verdict))
        answer.add_metric([identity], figures.count("answer_ms") / 1000)
    yield from (breaker, used, messages, answer)


def _of_database(database: DatabaseFigures, endpoints: Mapping[str, Endpoint]) -> Iterable[Metric]:
    yield _gauge("paceline_postgres_latency_seconds", "Time of one small statement", database.latency_ms / 1000)
    yield _gauge(
        "paceline_postgres_went_back",
        "Whether Postgres went back in time and nobody has confirmed it; nothing is sent meanwhile",
        database.went_back_at is not None,
    )
    yield _gauge(
        "paceline_optouts_unresolved",
        "People who opted out under a hidden number that is not known yet, 20000 at most",
        database.unresolved_optouts,
    )
    held = GaugeMetricFamily(
        "paceline_endpoint_held", "Whether it gets no new contacts, since WhatsApp refused it some", labels=["endpoint"]
    )
    for identity in endpoints:
        held.add_metric([identity], float(identity in database.held))
    yield held
    yield _gauge("paceline_attempts_under_way", "Attempts without a verdict", database.under_way)
    yield _gauge("paceline_attempts_overdue", "Attempts past their deadline", database.overdue)
    waiting = GaugeMetricFamily(
        "paceline_messages_waiting", "Messages that wait outside a chunk, 20000 at most", labels=["why"]
    )
    for why, count in (("send", database.sends), ("retry", database.retries), ("check", database.checks)):
        waiting.add_metric([why], count)
    yield waiting
    campaigns = GaugeMetricFamily("paceline_campaigns_open", "Campaigns that are not over", labels=["status"])
    for status in CampaignStatus:
        if status is not CampaignStatus.FINISHED:
            campaigns.add_metric([status.value], database.open_campaigns.get(status.value, 0))
    yield campaigns
    stopped = GaugeMetricFamily("paceline_lane_stopped", "Whether a lane is stopped", labels=["lane"])
    for lane in Lane:
        stopped.add_metric([lane.value], float(lane.value in database.stopped_lanes))
    yield stopped
    suspended = GaugeMetricFamily(
        "paceline_endpoint_suspended", "Whether an operator or feedback suspended it", labels=["endpoint"]
    )
    for identity in endpoints:
        suspended.add_metric([identity], float(identity in database.suspended))
    yield suspended
    feedback = GaugeMetricFamily(
        "paceline_endpoint_feedback_state", "1 for where feedback has the account", labels=["endpoint", "state"]
    )
    for identity in endpoints:
        standing = database.feedback.get(identity)
        present = standing.state if standing else FeedbackState.NORMAL
        for state in FeedbackState:
            feedback.add_metric([identity, state.value], float(state is present))
    yield feedback


def _of_deliveries(deliveries: Mapping[str, DeliveryFigures]) -> Iterable[Metric]:
    sent = GaugeMetricFamily(
        "paceline_endpoint_receipts_expected",
        "Messages sent longer than SILENT_DROP_AFTER ago, the newest 500 of a day; 0 while no receipts come",
        labels=["endpoint"],
    )
    undelivered = GaugeMetricFamily(
        "paceline_endpoint_undelivered", "Of those, the ones without a receipt", labels=["endpoint"]
    )
    for identity, figures in deliveries.items():
        sent.add_metric([identity], figures.sent)
        undelivered.add_metric([identity], figures.undelivered)
    yield from (sent, undelivered)


def _of_history(history: HistoryFigures) -> Iterable[Metric]:
    yield _gauge("paceline_database_bytes", "Size of the database", history.database_bytes)
    yield _gauge("paceline_media_bytes", "Size of the media kept", history.media_bytes)
    last_hour = GaugeMetricFamily(
        "paceline_messages_last_hour", "Messages of the last hour by outcome", labels=["outcome"]
    )
    figures = list(history.short.values())
    last_hour.add_metric(["sent"], sum(line.sent for line in figures))
    last_hour.add_metric(["failed"], sum(line.failed for line in figures))
    last_hour.add_metric(["unknown"], sum(line.unknown for line in figures))
    yield last_hour
