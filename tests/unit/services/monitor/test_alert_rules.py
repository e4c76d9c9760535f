"""What somebody is told of, from when on and until when; and that no text holds what others wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.monitor.alert_rules import AlertBook, Condition, Severity, conditions
from services.monitor.observation import Observation
from services.monitor.settings_of_alerts import AlertSettings
from shared.database.figures import AccountStanding, AttemptFigures, SuspendedEndpoint
from shared.database.receipts import DeliveryFigures
from shared.endpoints.feedback import FeedbackState
from shared.endpoints.gowa import AccountState
from shared.messages import Lane, Verdict
from shared.queue.connection import Probe
from shared.queue.figures import StreamFigures
from shared.queue.noting import Noted
from tests.unit.services.monitor.pictures import (
    ENDPOINTS,
    NOW,
    database_picture,
    endpoint,
    history_picture,
    queue_picture,
    seen,
)

SETTINGS = AlertSettings()
LAG = timedelta(minutes=5)
START = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "what a sender wrote about 15550100001"


def found(observation: Observation, **changes: Any) -> list[Condition]:
    return conditions(observation, ENDPOINTS, SETTINGS.model_copy(update=changes), LAG)


def names(observation: Observation, **changes: Any) -> list[tuple[str, str]]:
    return [(condition.name, condition.endpoint) for condition in found(observation, **changes)]


def standing(state: FeedbackState) -> AccountStanding:
    return AccountStanding(state, START, "38 of 60 attempts failed within 30 min", 3)


def with_account(state: AccountState) -> Observation:
    observation = seen()
    observation.accounts["a"] = state
    return observation


def with_problem(look: str) -> Observation:
    observation = seen()
    getattr(observation, look).problem = SECRET
    return observation


def with_policy() -> Observation:
    observation = seen()
    observation.probe.figures = Probe(evicting="maxmemory-policy of Redis is allkeys-lru")
    return observation


def with_deliveries(sent: int, undelivered: int) -> Observation:
    observation = seen()
    observation.deliveries.figures = {"a": DeliveryFigures(sent, undelivered, START)}
    return observation


def with_unknown(count: int) -> Observation:
    observation = seen()
    observation.history.figures = history_picture(a=AttemptFigures(10, 7, 0, count, 0, False))
    return observation


def with_noted(**counts: int) -> Observation:
    observation = seen()
    observation.noted.figures = {Noted(what): count for what, count in counts.items()}
    return observation


def test_when_all_is_well_nobody_is_told() -> None:
    assert found(seen()) == []
    assert found(with_noted(unlisted_answer=0, refused_webhook=2)) == []
    assert found(with_deliveries(100, 50)) == []
    assert found(with_unknown(0)) == []


@pytest.mark.parametrize(
    ("observation", "names_found"),
    [
        (with_problem("queue"), [("redis_away", "")]),
        (with_problem("probe"), [("redis_away", "")]),
        (with_problem("database"), [("postgres_away", "")]),
        (with_policy(), [("redis_may_evict", "")]),
        (seen(queue_picture(epoch=2)), [("rebuild_waits", "")]),
        (seen(database=database_picture(rebuilding=True)), [("rebuild_waits", "")]),
        (seen(queue_picture(beats={"dead": NOW - 15_001})), [("no_dispatcher", "")]),
        (seen(queue_picture(first_parked_due_ms=NOW - 60_001)), [("no_scheduler", "")]),
        (seen(database=database_picture(overdue=1, overdue_seconds=61.0)), [("no_scheduler", "")]),
        (seen(database=database_picture(stopped_lanes=["bulk"], stop_reason=SECRET)), [("lane_stopped", "")]),
        (with_unknown(2), [("unknown_outcomes", "")]),
        (seen(database=database_picture(unresolved_optouts=1, unresolved_since=START)), [("optouts_unresolved", "")]),
        (with_account(AccountState.LOGGED_OUT), [("account_logged_out", "a")]),
        (with_account(AccountState.MISCONFIGURED), [("account_misconfigured", "a")]),
        (with_account(AccountState.NO_DEVICE), [("account_misconfigured", "a")]),
        (with_account(AccountState.OFFLINE), [("account_offline", "a")]),
        (with_noted(unlisted_answer=1), [("unlisted_answers", "")]),
        (with_noted(refused_webhook=3), [("webhooks_refused", "")]),
        (with_account(AccountState.UNREACHABLE), []),
        (
            seen(database=database_picture(feedback={"b": standing(FeedbackState.SUSPENDED)})),
            [("account_suspended", "b")],
        ),
        (seen(database=database_picture(feedback={"b": standing(FeedbackState.SLOWED)})), [("account_slowed", "b")]),
        (seen(database=database_picture(feedback={"b": standing(FeedbackState.TRIAL)})), []),
        (seen(database=database_picture(feedback={"gone": standing(FeedbackState.SLOWED)})), []),
        (with_deliveries(100, 51), [("silent_drops", "a")]),
        (with_deliveries(14, 14), []),
        (
            seen(
                database=database_picture(
                    suspended={name: SuspendedEndpoint(START, SECRET) for name in (*ENDPOINTS, "gone")}
                )
            ),
            [("no_account", "")],
        ),
    ],
)
def test_each_condition(observation: Observation, names_found: list[tuple[str, str]]) -> None:
    assert names(observation) == names_found
    assert not any("15550100001" in condition.text for condition in found(observation))


def test_an_alert_says_why_redis_takes_no_writes() -> None:
    observation = seen()
    observation.probe.figures = Probe(refusal="Redis cannot be used: it is out of memory; raise its maxmemory")
    [condition] = found(observation)
    assert (condition.name, condition.text) == ("redis_away", observation.probe.figures.refusal)


def broken(state: str) -> Observation:
    one = endpoint("a", state={"breaker": state, "since": str(NOW), "reason": SECRET})
    return seen(queue_picture(endpoints={"a": one, "b": endpoint("b")}))


@pytest.mark.parametrize("state", ["open", "half_open"])
def test_a_breaker_that_does_not_close(state: str) -> None:
    [condition] = found(broken(state))
    assert (condition.name, condition.endpoint, condition.lasting) == ("breaker_open", "a", timedelta(minutes=10))
    assert SECRET not in condition.text
    assert found(broken(state), alert_breaker_open_after=timedelta(0)) == []


def test_a_suspended_accounts_breaker_is_no_alert() -> None:
    observation = broken("open")
    observation.database.figures = database_picture(suspended={"a": SuspendedEndpoint(START, SECRET)})
    assert found(observation) == []


def still(age_ms: int = 15 * 60_000 + 1, lane: Lane = Lane.BULK, endpoint_id: str = "", **changes: Any) -> Observation:
    """An entry and both accounts wait for so long, and nothing was tried."""
    streams = [StreamFigures(lane, endpoint_id, 1, 0, NOW - age_ms)]
    accounts = {name: endpoint(name, ready_at_ms=NOW - age_ms, bulk_ready_at_ms=NOW - age_ms) for name in ENDPOINTS}
    return seen(queue_picture(**({"streams": streams, "endpoints": accounts} | changes)))


def tried(minutes_ago: int) -> dict[Verdict, list[int]]:
    series = {verdict: [0] * 60 for verdict in Verdict}
    series[Verdict.TRANSIENT][-1 - minutes_ago] = 1
    return series


@pytest.mark.parametrize(
    ("observation", "is_still"),
    [
        (still(), True),
        (still(age_ms=15 * 60_000), False),
        (still(endpoint_id="a"), False),
        (still(series=tried(15)), False),
        (still(series=tried(16)), True),
        (still(endpoints={"a": endpoint("a"), "b": endpoint("b", bulk_ready_at_ms=None)}), False),
    ],
    ids=["still", "not long enough", "bound to one", "tried lately", "tried long ago", "the accounts pause"],
)
def test_nothing_is_sent_though_it_could_be(observation: Observation, is_still: bool) -> None:
    assert (("nothing_sent", "") in names(observation)) is is_still
    assert ("nothing_sent", "") not in names(observation, alert_nothing_sent_after=timedelta(0))


def test_a_stopped_lane_does_not_stand_still() -> None:
    observation = still()
    observation.database.figures = database_picture(stopped_lanes=["bulk"])
    assert names(observation) == [("lane_stopped", "")]


def test_single_sends_that_wait() -> None:
    assert names(still(300_001, Lane.TRANSACTIONAL)) == [("single_sends_wait", "")]
    assert names(still(300_000, Lane.TRANSACTIONAL)) == []


def test_while_a_store_cannot_be_seen_what_it_said_stands() -> None:
    observation = seen(database=database_picture(feedback={"b": standing(FeedbackState.SUSPENDED)}))
    observation.database.problem = "away"
    assert names(observation) == [("postgres_away", ""), ("account_suspended", "b")]
    observation = broken("open")
    observation.queue.problem = "away"
    assert names(observation) == [("redis_away", ""), ("breaker_open", "a")]


class Clock:
    def __init__(self) -> None:
        self.now = START
        self.book = AlertBook(timedelta(seconds=15))

    def look(self, *found: Condition, after: float) -> list[tuple[str, str, datetime]]:
        self.now += timedelta(seconds=after)
        return [(alert.name, alert.endpoint, alert.since) for alert in self.book.update(found, self.now)]


WARNS = Condition("warns", Severity.WARNING, "x", lasting=timedelta(seconds=60))
AT_ONCE = Condition("at_once", Severity.CRITICAL, "y", "a")


def test_a_condition_is_an_alert_once_it_has_lasted() -> None:
    clock = Clock()
    assert clock.look(WARNS, after=0) == []
    assert clock.look(WARNS, after=59) == []
    # It keeps the worst first, and says since when.
    assert clock.look(WARNS, AT_ONCE, after=1) == [("at_once", "a", clock.now), ("warns", "", START)]


def test_an_alert_outlasts_a_blink_and_ends_after_that() -> None:
    clock = Clock()
    begun = clock.look(AT_ONCE, after=0)
    assert clock.look(after=15) == begun
    assert clock.look(AT_ONCE, after=1) == begun
    assert clock.look(after=16) == []
    assert clock.look(AT_ONCE, after=1) != begun, "it began anew"


def test_what_ended_before_it_was_an_alert_does_not_become_one() -> None:
    clock = Clock()
    clock.look(WARNS, after=0)
    clock.look(WARNS, after=50)
    assert clock.look(after=11) == []


def test_a_condition_whose_beginning_is_known_counts_from_there() -> None:
    clock = Clock()
    known = Condition("known", Severity.WARNING, "z", since=START - timedelta(hours=1), lasting=timedelta(minutes=10))
    assert clock.look(known, after=0) == [("known", "", START - timedelta(hours=1))]
