"""What is told about figures: sums, rates and times."""

from datetime import UTC, datetime
from uuid import uuid4

import orjson

from services.monitor.endpoint_statistics import endpoint_statistics, moment
from services.monitor.settings import MonitorSettings
from services.monitor.statistics import statistics
from shared.database.figures import AttemptFigures, CampaignFigures, SuspendedEndpoint
from shared.database.receipts import DeliveryFigures
from shared.messages import Verdict
from tests.unit.services.monitor.pictures import (
    ENDPOINTS,
    NOW,
    database_picture,
    endpoint,
    history_picture,
    queue_picture,
    seen,
)

SETTINGS = MonitorSettings(database_host="-", whatsapp_base_url="http://a.example:3000")


def test_moments() -> None:
    assert moment(NOW) == "2027-01-15T08:00:00.000Z"
    assert moment("0") is None
    assert moment(None) is None


def test_an_endpoint_that_sent_failed_and_is_open() -> None:
    counters = {
        "sent": "6",
        "refused": "1",
        "transient": "1",
        "unknown": "2",
        "answers": "10",
        "answer_ms": "12345",
        "last_used": str(NOW),
        "last_error": "HTTP 500",
        "last_error_at": str(NOW - 1000),
    }
    state = {"breaker": "open", "failures": "3", "since": str(NOW), "reason": "HTTP 500", "not_before": str(NOW + 5000)}
    figures = {
        "a": endpoint("a", counters=counters, state=state, slots_used=1, slots_free=0, ready_at_ms=None),
        "b": endpoint("b", ready_at_ms=NOW + 1500, bulk_ready_at_ms=NOW - 1),
    }
    database = database_picture(
        suspended={"b": SuspendedEndpoint(datetime.now(UTC), "holidays")}, held={"b": datetime(2031, 5, 17, tzinfo=UTC)}
    )
    open_one, suspended = endpoint_statistics(seen(queue_picture(endpoints=figures), database), ENDPOINTS, SETTINGS)
    assert open_one["url"] == "http://a.example:3000"
    assert (open_one["messages_sent"], open_one["messages_failed"], open_one["messages_unknown"]) == (6, 2, 2)
    assert open_one["success_rate"] == 75.0
    assert open_one["avg_response_time"] == 1234.5
    assert open_one["last_error_time"] == "2027-01-15T07:59:59.000Z"
    assert (open_one["slots"], open_one["in_flight"], open_one["next_ready_in_ms"]) == (1, 1, None)
    assert open_one["circuit_breaker"] == {
        "state": "open",
        "failures": 3,
        "successes": 0,
        "since": "2027-01-15T08:00:00.000Z",
        "reason": "HTTP 500",
        "next_trial": "2027-01-15T08:00:05.000Z",
    }
    assert (open_one["held_until"], suspended["held_until"]) == (None, "2031-05-17T00:00:00Z")
    assert (suspended["suspended"], suspended["suspend_reason"]) == (True, "holidays")
    assert (suspended["next_ready_in_ms"], suspended["next_bulk_ready_in_ms"]) == (1500, 0)
    assert suspended["success_rate"] is None


def test_statistics_before_anything_was_seen_are_complete_json() -> None:
    observation = seen()
    observation.queue.figures, observation.queue.problem = None, "away"
    observation.database.figures, observation.database.problem = None, "away"
    told = orjson.loads(orjson.dumps(statistics(observation, ENDPOINTS, SETTINGS, 1.0)))
    assert told["status"] == "down"
    assert told["worker"]["messages_sent"] == 0
    assert [line["id"] for line in told["endpoints"]] == ["a", "b"]


def test_sums_of_a_busy_moment() -> None:
    series = {verdict: [0] * 60 for verdict in Verdict}
    series[Verdict.SENT][-2:] = [7, 1]
    series[Verdict.REFUSED][-1] = 2
    series[Verdict.TRANSIENT][-1] = 3
    totals = {"sent": "8", "refused": "2", "transient": "3", "unknown": "1", "last_processed": str(NOW)}
    counts = {"sent": 3, "failed": 1, "unknown": 0, "canceled": 0, "expired": 0, "suppressed": 1}
    campaign = CampaignFigures(
        uuid4(),
        "running",
        "image",
        "bulk",
        "spring",
        8,
        datetime.now(UTC),
        counts,
        delivered=2,
        read=1,
        possible_duplicates=0,
    )
    observation = seen(
        queue_picture(totals=totals, series=series), database_picture(campaigns=[campaign], under_way=2, retries=4)
    )
    observation.history.figures = history_picture(
        a=AttemptFigures(10, 7, 2, 1, 0, False), b=AttemptFigures(5, 1, 0, 0, 4, True)
    )
    told = statistics(observation, ENDPOINTS, SETTINGS, 61.4)
    assert told["status"] == "ok"
    assert told["worker"] | {"dispatchers": 0} == {
        "messages_processed": 14,
        "messages_sent": 8,
        "messages_failed": 2,
        "messages_unknown": 1,
        "retry_count": 3,
        "breakers_opened": 0,
        "uptime": 61,
        "last_processed_at": "2027-01-15T08:00:00.000Z",
        "dispatchers": 0,
    }
    assert told["throughput"]["sent"][-2:] == [7, 1]
    assert told["throughput"]["failed"][-1] == 5
    assert told["throughput"]["sent_per_minute"] == 7
    assert told["messages"]["in_campaigns"] == 3
    assert told["messages"]["last_hour"] == {
        "attempts": 15,
        "sent": 8,
        "failed": 2,
        "unknown": 1,
        "retried": 4,
        "bounded": True,
    }
    [line] = told["campaigns"]["open"]
    assert (line["progress"], line["waiting"], line["reference"]) == (62.5, 3, "spring")


def test_an_endpoint_whose_messages_get_no_receipts() -> None:
    observation = seen()
    observation.deliveries.figures = {"a": DeliveryFigures(3, 2, datetime(2026, 9, 1, 10, 15, 5, tzinfo=UTC))}
    dropping, unheard = endpoint_statistics(observation, ENDPOINTS, SETTINGS)
    assert (dropping["undelivered_share"], dropping["undelivered_of"]) == (0.667, 3)
    assert dropping["last_receipt"] == "2026-09-01T10:15:05Z"
    assert (unheard["undelivered_share"], unheard["undelivered_of"], unheard["last_receipt"]) == (None, 0, None)
