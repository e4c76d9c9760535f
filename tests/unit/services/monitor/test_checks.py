"""What makes the whole degraded or down, and that nothing secret is in what anybody may read."""

from datetime import UTC, datetime, timedelta

import pytest
from redis.exceptions import ResponseError

from services.monitor.checks.everything import findings_of
from services.monitor.checks.finding import Finding, Health, worst
from services.monitor.observation import Observation
from shared.database.figures import SuspendedEndpoint
from shared.messages import Lane
from shared.queue.connection import Probe
from shared.queue.figures import StreamFigures
from shared.queue.refusals import unavailable
from tests.unit.services.monitor.pictures import ENDPOINTS, NOW, database_picture, endpoint, queue_picture, seen

WARNING = timedelta(minutes=5)
SUSPENDED = SuspendedEndpoint(datetime.now(UTC), "a secret of the operator")


def findings(observation: Observation, warning: timedelta = WARNING) -> list[Finding]:
    return findings_of(observation, ENDPOINTS, warning)


def parts(observation: Observation) -> list[tuple[str, str]]:
    return [(finding.part, finding.health.value) for finding in findings(observation)]


def test_healthy_figures_have_no_findings() -> None:
    assert findings(seen()) == []
    assert worst([]) is Health.OK


def test_the_worst_finding_decides() -> None:
    bad, worse = Finding(Health.DEGRADED, "x", ""), Finding(Health.DOWN, "y", "")
    assert worst([bad]) is Health.DEGRADED
    assert worst([bad, worse, bad]) is Health.DOWN


def test_a_store_that_cannot_be_reached_is_down_and_its_address_is_for_callers_with_a_login() -> None:
    for name in ("queue", "database"):
        observation = seen()
        getattr(observation, name).problem = "cannot connect to 10.0.0.7"
        [finding] = [one for one in findings(observation) if one.health is Health.DOWN]
        assert "10.0.0.7" not in finding.reason
        assert "10.0.0.7" in finding.detail


def test_a_postgres_that_went_back_is_down() -> None:
    went_back = database_picture(
        stopped_lanes=["bulk", "transactional"], stop_reason="at beat 12", went_back_at=datetime.now(UTC)
    )
    assert parts(seen(database=went_back)) == [("postgres", "down"), ("lanes", "degraded")]
    [finding] = [one for one in findings(seen(database=went_back)) if one.health is Health.DOWN]
    assert "POST /api/start" in finding.reason
    assert finding.detail == "at beat 12"


def test_a_postgres_that_may_forget_commits_is_degraded() -> None:
    observation = seen()
    observation.durability.figures = "synchronous_commit of Postgres is off"
    assert parts(observation) == [("postgres", "degraded")]


def test_a_redis_that_evicts_is_down() -> None:
    observation = seen()
    observation.probe.figures = Probe(evicting="maxmemory-policy of Redis is allkeys-lru")
    assert parts(observation) == [("redis", "down")]


@pytest.mark.parametrize("look", ["queue", "probe"])
def test_why_redis_cannot_be_used_is_for_anybody_and_what_it_said_is_not(look: str) -> None:
    observation = seen()
    refused = unavailable(ResponseError("NOREPLICAS of 10.0.0.7"))
    getattr(observation, look).problem, getattr(observation, look).reason = str(refused), refused.reason
    [finding] = [one for one in findings(observation) if one.health is Health.DOWN]
    assert "min-replicas-to-write" in finding.reason
    assert "10.0.0.7" not in finding.reason
    assert "10.0.0.7" in finding.detail


def test_a_redis_that_takes_no_writes_is_down_and_a_right_that_is_spared_degraded() -> None:
    observation = seen()
    observation.probe.figures = Probe(refusal="Redis cannot be used: it is out of memory; raise its maxmemory")
    assert parts(observation) == [("redis", "down")]
    observation.probe.figures = Probe(remark="the user of Redis lacks &{q}:wake")
    assert parts(observation) == [("redis", "degraded")]


@pytest.mark.parametrize(
    "observation",
    [
        seen(queue_picture(epoch=None)),
        seen(queue_picture(epoch=2)),
        seen(queue_picture(same_server=False)),
        seen(database=database_picture(rebuilding=True)),
    ],
    ids=["no epoch", "another epoch", "another server", "rebuild under way"],
)
def test_a_redis_of_another_epoch_is_degraded(observation: Observation) -> None:
    assert parts(observation) == [("epoch", "degraded")]


@pytest.mark.parametrize(("age", "found"), [(15_000, []), (15_001, [("dispatchers", "down")])])
def test_without_a_dispatcher_that_beats_it_is_down(age: int, found: list[tuple[str, str]]) -> None:
    assert parts(seen(queue_picture(beats={"dead": NOW - age}))) == found


def lane(which: Lane, age_ms: int | None, endpoint_id: str = "") -> StreamFigures:
    return StreamFigures(which, endpoint_id, 1, 0, None if age_ms is None else NOW - age_ms)


@pytest.mark.parametrize(
    ("streams", "found"),
    [
        ([lane(Lane.TRANSACTIONAL, 300_000)], []),
        ([lane(Lane.TRANSACTIONAL, 300_001)], [("queue", "degraded")]),
        ([lane(Lane.TRANSACTIONAL, 0), lane(Lane.TRANSACTIONAL, 300_001, "a")], [("queue", "degraded")]),
        ([lane(Lane.BULK, 86_400_000)], []),
    ],
    ids=["as old as allowed", "older", "bound to an endpoint", "a campaign waits by design"],
)
def test_single_sends_that_wait_too_long_are_degraded(
    streams: list[StreamFigures], found: list[tuple[str, str]]
) -> None:
    assert parts(seen(queue_picture(streams=streams))) == found


def test_lag_is_not_told_twice_or_when_switched_off() -> None:
    old = queue_picture(streams=[lane(Lane.TRANSACTIONAL, 10**9)])
    assert findings(seen(old), timedelta(0)) == []
    stopped = seen(old, database_picture(stopped_lanes=["transactional"], stop_reason="a secret of the operator"))
    [finding] = findings(stopped)
    assert (finding.part, finding.reason) == ("lanes", "stopped: transactional")


def test_signs_that_no_scheduler_is_alive() -> None:
    assert parts(seen(queue_picture(first_parked_due_ms=NOW - 15_001))) == [("scheduler", "degraded")]
    assert parts(seen(database=database_picture(overdue=2, overdue_seconds=61.0))) == [("scheduler", "degraded")]
    assert parts(seen(queue_picture(first_parked_due_ms=NOW + 1), database_picture(overdue_seconds=5.0))) == []


def test_breakers_and_suspensions() -> None:
    half = endpoint("a", state={"breaker": "half_open", "reason": "HTTP 500"})
    opened = {name: endpoint(name, state={"breaker": "open", "reason": "logged out"}) for name in ENDPOINTS}
    [finding] = findings(seen(queue_picture(endpoints={"a": half, "b": endpoint("b")})))
    assert finding.reason == "endpoint a is on trial: its breaker is half-open"
    assert finding.detail == "HTTP 500"
    assert [one.reason for one in findings(seen(queue_picture(endpoints=opened)))][-1] == "no account may send"
    # Suspended on purpose is no fault, unless nobody is left.
    assert findings(seen(database=database_picture(suspended={"a": SUSPENDED}))) == []
    both = database_picture(suspended={"a": SUSPENDED, "b": SUSPENDED, "gone": SUSPENDED})
    assert [one.reason for one in findings(seen(database=both))] == ["no account may send"]
    assert "secret" not in str([one.reason for one in findings(seen(database=both))])


def test_a_postgres_that_answers_and_takes_nothing_is_down_and_says_what_mends_it() -> None:
    observation = seen()
    observation.usable.reason = "Postgres is read-only: let DATABASE_HOST lead to the primary"
    observation.usable.problem = f"{observation.usable.reason} (10.0.0.7:5432)"
    [finding] = findings(observation)
    assert (finding.part, finding.health) == ("postgres", Health.DOWN)
    assert finding.reason == observation.usable.reason
    assert "10.0.0.7" in finding.detail


def test_a_schema_that_is_too_old_is_down() -> None:
    observation = seen()
    observation.usable.figures = "the schema of Postgres is empty, run the migrations first"
    assert [(one.health, one.reason) for one in findings(observation)] == [(Health.DOWN, observation.usable.figures)]


def test_the_cause_is_told_where_postgres_cannot_be_reached() -> None:
    observation = seen()
    observation.database.problem = "the disk of Postgres is full: make room (10.0.0.7: DiskFullError)"
    observation.database.reason = "the disk of Postgres is full: make room"
    assert [one.reason for one in findings(observation)] == [observation.database.reason]
