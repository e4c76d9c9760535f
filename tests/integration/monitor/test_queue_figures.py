"""figures.lua: what stands in Redis, in numbers, on Valkey and on Redis."""

from shared.messages import Lane, Verdict
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.figures import queue_figures
from tests.integration.queue.rota import NOW, build, dispatcher, done, entry, put, take

MINUTE = 60_000


async def test_an_empty_redis(queue: QueueConnection) -> None:
    figures = await queue_figures(queue, ["a"], now_ms=NOW)
    assert figures.epoch is None
    assert not figures.same_server
    assert figures.lane(Lane.BULK).length == 0
    assert figures.first_parked_due_ms is None
    assert figures.endpoints["a"].breaker == "closed"
    assert figures.endpoints["a"].ready_at_ms is None
    assert figures.series[Verdict.SENT] == [0] * 60
    # Looking leaves nothing behind.
    assert await queue.redis.keys("*") == []


async def test_what_nobody_has_taken_makes_the_lag(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry(), entry(), entry(), entry(Lane.BULK, endpoint="a"))
    stamps = [
        int(str(line[0]).split("-")[0])
        for line in await queue.ask("XRANGE", queue.keys.lane(Lane.TRANSACTIONAL), "-", "+")
    ]
    assert (await queue_figures(queue, ["a"])).lane(Lane.TRANSACTIONAL).oldest_waiting_ms == stamps[0]
    [held] = await take(dispatcher(queue, "a"), 1)
    figures = await queue_figures(queue, ["a"])
    lane = figures.lane(Lane.TRANSACTIONAL)
    assert (lane.length, lane.pending, lane.oldest_waiting_ms) == (3, 1, stamps[1])
    [bound] = [stream for stream in figures.streams if stream.endpoint and stream.lane is Lane.BULK]
    assert (bound.endpoint, bound.length, bound.pending) == ("a", 1, 0)
    assert figures.lane(Lane.BULK).length == 1
    assert (figures.endpoints["a"].slots_used, figures.endpoints["a"].slots_free) == (1, 0)
    await dispatcher(queue, "a").settle([done(held)], NOW)
    assert (await queue_figures(queue, ["a"])).lane(Lane.TRANSACTIONAL).pending == 0


async def test_all_taken_is_no_lag(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    await put(queue, entry())
    await take(dispatcher(queue, "a"), 1)
    lane = (await queue_figures(queue, ["a"])).lane(Lane.TRANSACTIONAL)
    assert (lane.length, lane.pending, lane.oldest_waiting_ms) == (1, 1, None)


async def test_counters_series_and_pace_of_an_endpoint(queue: QueueConnection) -> None:
    await build(queue, ["a/0", "a/1", "b/0"])
    await put(queue, entry(), entry())
    taking = dispatcher(queue, "a", slots=2)
    first, second = await take(taking, 2)
    await taking.settle([done(first, 2000, bulk_ready_ms=9000, answer_ms=120)], NOW - MINUTE)
    await taking.settle(
        [done(second, 3000, bulk_ready_ms=9000, answer_ms=80, verdict="transient", outcome="fail", reason="HTTP 500")],
        NOW,
    )
    figures = await queue_figures(queue, ["a", "b"], minutes=3, now_ms=NOW + 10)
    assert figures.series[Verdict.SENT] == [0, 1, 0]
    assert figures.series[Verdict.TRANSIENT] == [0, 0, 1]
    assert (figures.total("sent"), figures.total("transient"), figures.total("refused")) == (1, 1, 0)
    a, b = figures.endpoints["a"], figures.endpoints["b"]
    assert (a.count("sent"), a.count("answers"), a.count("answer_ms")) == (1, 2, 200)
    assert a.counters["last_error"] == "HTTP 500"
    assert (a.slots_free, a.ready_at_ms, a.bulk_ready_at_ms) == (2, NOW + 3000, NOW + 9000)
    assert (b.slots_free, b.ready_at_ms) == (1, NOW - 1000)


async def test_epoch_beats_and_parked_entries(queue: QueueConnection) -> None:
    await build(queue, ["a/0"], epoch=7)
    await dispatcher(queue, "a", name="one").beat(NOW)
    await enqueue(queue, [Placement(entry(), NOW + 5), Placement(entry(), NOW + 3)])
    figures = await queue_figures(queue, ["a"], now_ms=NOW)
    assert (figures.epoch, figures.same_server, figures.now_ms) == (7, True, NOW)
    assert figures.beats == {"one": NOW}
    assert (figures.parked, figures.first_parked_due_ms) == (2, NOW + 3)
    await queue.redis.hset(queue.keys.epoch, "run_id", "0" * 40)
    assert not (await queue_figures(queue, ["a"])).same_server
