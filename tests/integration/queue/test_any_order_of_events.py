"""Anything may happen in any order: accept, feed, take, gate, settle, crash, pause, flush. After each step what the
promises say must hold, and in the end every message comes to a terminal status. A failure names its seed and its steps.

The dispatchers and the scheduler here are the shortest ones that keep the rules; Redis, Postgres, the scripts and the
functions are the real ones. Time in Redis is the test's; in Postgres it passes by moving deadlines and due times.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import pytest

from shared.database.attempts import (
    AttemptResult,
    GateRequest,
    count_crashes,
    end_unsendable,
    gate,
    peek,
    settle,
)
from shared.database.connection import Database
from shared.errors import RebuildNeeded
from shared.messages import TRANSITIONS, Entry, Lane, Refusal, Status, Verdict
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import consumers, reclaim, unregister
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.promoting import promote
from shared.queue.rebuild import RebuiltState, rebuild
from shared.queue.rota import readmit
from shared.queue.streams import stream_suffixes
from shared.queue.taking import Assignment, FollowUp, Settlement, Taking
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.accepting import Campaign, accept_campaign, accept_message
from tests.integration.conftest import settings_of_database, settings_of_redis
from tests.integration.queue.rota import BREAKER, LEASE, NOW, OPEN_TIMEOUT, client
from tests.servers import Database as DatabaseOfTest
from tests.servers import take_all_keys

ENDPOINTS = ("a", "b")
SLOTS = 2
CHECK_AT_ONCE = {"message": 0, "image": 0, "file": 0}
SEEDS = range(int(os.environ.get("PACELINE_SEEDS", "5")))
"""Runs on each kind of Redis. More than the default is for whoever has changed a script or the gate."""
STEPS = 300

# The outcomes that an attempt may have: verdict, next status, outcome for the breaker, uses a try.
VERDICTS = {
    "sent": (Verdict.SENT, Status.SENT, "ok", True),
    "refused": (Verdict.REFUSED, Status.FAILED, "ok", True),
    "transient": (Verdict.TRANSIENT, Status.RETRYING, "fail", True),
    "unknown": (Verdict.UNKNOWN, Status.SENDING, "fail", True),
    "logged out": (Verdict.LOGGED_OUT, Status.RETRYING, "critical", False),
    "not sent": (Verdict.NOT_SENT, Status.RETRYING, "ignore", False),
}

WATCH = Path(__file__).with_name("must_hold.sql").read_text(encoding="utf-8")

T = TypeVar("T")


@dataclass
class Begun:
    """An attempt that passed, in the hand of a dispatcher or on its way from a dead one."""

    assignment: Assignment
    request: GateRequest


@dataclass
class Dispatcher:
    name: str
    taking: Taking
    taken: list[Assignment] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)
    unsure: list[Begun] = field(default_factory=list)
    """Asked for at the gate; the answer was lost."""


@dataclass
class Stage:
    """What all runs share: the servers, and the loop that the connections belong to."""

    loop: asyncio.AbstractEventLoop
    store: Database
    queue: QueueConnection
    server: EmbeddedValkey

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)


class AnyOrder:
    """One run. Each method is one short step of somebody; `step` chooses one."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.run = stage.run
        self.store, self.queue = stage.store, stage.queue
        self.chance = Random(seed)
        self.log: list[str] = []
        self.now = NOW
        self.serial = 0
        self.phone = 0
        self.campaigns: list[Campaign] = []
        self.dispatchers: list[Dispatcher] = []
        self.dead: list[Dispatcher] = []
        self.late: list[Begun] = []
        self.passed: dict[tuple[UUID, int], str] = {}
        self.ever_begun: list[Begun] = []

    def step(self) -> None:
        """Does one thing, then looks whether everything that must hold does."""
        chance, which = self.chance, self.chance.randrange(2)
        one = self.dispatchers[which]
        yes, lanes = (
            chance.random() < 0.25,
            chance.choice([[], [], [], ["bulk"], ["bulk", "transactional"]]),
        )
        endpoint, verdict = chance.choice(ENDPOINTS), chance.choice([*VERDICTS, "sent", "sent", "refused", "refused"])
        on_unknown = chance.choice(["hold", "resend"])
        move = chance.choice(["cancel", *["pause"] * 3, *["resume", "retry"] * 4])
        steps: list[tuple[int, Callable[..., None], tuple[Any, ...]]] = [
            (40, self.take, (which, chance.randint(1, 4))),
            (100 if one.taken else 0, self.begin, (which, chance.random() < 0.1, yes)),
            (60 if one.begun else 0, self.settle, (which, verdict, yes, chance.random() < 0.1, chance.randrange(4))),
            (15, self.feed_chunks, (yes,)),
            (15, self.enqueue_what_is_due, (yes,)),
            (8, self.accept_message, (on_unknown, chance.choice([None, None, "a"]), chance.randrange(3))),
            (30, self.time_passes, (chance.choice([1, 10, 61, 300]),)),
            (15, self.promote, ()),
            (15, self.readmit, (endpoint, not yes)),
            (6, self.check_unknown, (yes,)),
            (60 if one.unsure else 0, self.begin_again_what_had_no_answer, (which,)),
            (15 if self.late else 0, self.an_answer_of_a_dead_dispatcher_comes, (verdict,)),
            (5, self.find_unanswered, (yes,)),
            (15, self.move_campaign, (chance.randrange(8), move)),
            (15, self.accept_campaign, (chance.randint(1, 5), on_unknown)),
            (3, self.opt_out_or_expire_or_cancel_one, (chance.randrange(99),)),
            (8, self.stop_lanes, (lanes,)),
            (5 if self.ever_begun else 0, self.evidence_comes, (chance.random(),)),
            (3, self.suspend_endpoint, (endpoint, yes)),
            (3, self.dispatcher_dies, (which,)),
            (15 if self.dead else 0, self.dead_are_taken_back, ()),
            (3, self.campaigns_are_closed, ()),
            (2, self.idle_entries_are_taken_back_from_the_living, ()),
            (2, self.take_and_lose_the_answer, (which,)),
            (1, self.flush_and_rebuild, (yes,)),
            (1, self.redis_is_flushed_under_a_dispatcher, (which,)),
        ]
        [(_, method, arguments)] = chance.choices(steps, [weight for weight, _, _ in steps])
        self.log.append(f"{method.__name__}{arguments}")
        method(*arguments)
        self.run(self.check_rows())
        self.run(self.check_slots())

    def begin_with_two_dispatchers(self) -> None:
        take_all_keys(self.stage.server)
        self.flush_and_rebuild(flush=False)
        for _ in range(2):
            self.dispatcher_starts()

    # --- who there is

    def dispatcher_starts(self) -> None:
        self.serial += 1
        name = f"dispatcher-{self.serial}"
        dispatcher = Dispatcher(name, Taking(self.queue, name, ENDPOINTS, LEASE, BREAKER, SLOTS))
        self.dispatchers.append(dispatcher)
        self.run(dispatcher.taking.beat(self.now))

    def dispatcher_dies(self, which: int) -> None:
        dispatcher = self.dispatchers.pop(which)
        self.dead.append(dispatcher)
        # What it has sent is on its way; the answer may still be seen by somebody.
        self.late += dispatcher.begun
        self.dispatcher_starts()

    def dead_are_taken_back(self) -> None:
        for dispatcher in self.dead:
            suffixes = self.run(stream_suffixes(self.queue, ENDPOINTS))
            for suffix in suffixes:
                while back := self.run(reclaim(self.queue, suffix, dispatcher.name)):
                    self.run(count_crashes(self.store, [entry.message for entry in back]))
            answer = self.run(unregister(self.queue, dispatcher.name, None, 1000, suffixes, now_ms=self.now))
            assert answer == "OK"
        self.dead = []

    def idle_entries_are_taken_back_from_the_living(self) -> None:
        for suffix in self.run(stream_suffixes(self.queue)):
            self.run(reclaim(self.queue, suffix, idle_ms=0, limit=10))

    # --- work comes in

    def accept_message(self, on_unknown: str, endpoint: str | None, enqueued: int) -> None:
        self.phone += 1
        message = self.run(accept_message(self.store, phone=f"{self.phone}", on_unknown=on_unknown, endpoint=endpoint))
        entry = Entry(message, 1, Lane.TRANSACTIONAL, endpoint=endpoint or "", chosen=endpoint is not None)
        for _ in range(enqueued):
            self.run(enqueue(self.queue, [Placement(entry)]))
        if enqueued:
            self.run(self.store.execute("update due set enqueued_at = clock_timestamp() where message = $1", message))

    def accept_campaign(self, size: int, on_unknown: str) -> None:
        if len(self.campaigns) == 8:
            return
        self.phone += 10
        self.campaigns.append(
            self.run(accept_campaign(self.store, size, chunk_size=2, on_unknown=on_unknown, first_phone=self.phone))
        )

    def feed_chunks(self, crash: bool = False) -> None:
        """`crash`: the scheduler dies between putting entries into Redis and noting that it did."""
        rows = self.run(
            self.store.fetch(
                "select k.campaign, k.number, m.id, m.attempt from chunks k"
                " join campaigns c on c.token = k.campaign and c.status = 'running'"
                " join messages m on m.campaign = k.campaign and m.id between k.first_id and k.last_id"
                " where k.fed_at is null and k.closed_at is null and m.status in ('queued', 'retrying') order by m.id"
            )
        )
        entries = [Entry(row["id"], row["attempt"] + 1, Lane.BULK) for row in rows]
        self.run(enqueue(self.queue, [Placement(entry) for entry in entries]))
        if not crash:
            for row in rows:
                self.run(
                    self.store.execute(
                        "update chunks set fed_at = clock_timestamp() where campaign = $1 and number = $2",
                        row["campaign"],
                        row["number"],
                    )
                )

    def enqueue_what_is_due(self, crash: bool = False) -> None:
        rows = self.run(
            self.store.fetch(
                "select d.message, d.lane, m.attempt, m.chosen_endpoint from due d join messages m on m.id = d.message"
                " where d.why in ('send', 'retry') and d.enqueued_at is null order by d.message"
            )
        )
        entries = [
            Entry(
                row["message"],
                row["attempt"] + 1,
                Lane(row["lane"]),
                endpoint=row["chosen_endpoint"] or "",
                chosen=row["chosen_endpoint"] is not None,
            )
            for row in rows
        ]
        self.run(enqueue(self.queue, [Placement(entry) for entry in entries]))
        if not crash:
            self.run(
                self.store.execute(
                    "update due set enqueued_at = clock_timestamp() where message = any ($1)",
                    [row["message"] for row in rows],
                )
            )

    # --- a dispatcher's way

    def take(self, which: int, wanted: int) -> None:
        dispatcher = self.dispatchers[which]
        dispatcher.taken += self.run(dispatcher.taking.take(wanted, self.now)).assignments

    def take_and_lose_the_answer(self, which: int) -> None:
        self.run(self.dispatchers[which].taking.take(2, self.now))

    def begin(self, which: int, lost: bool = False, twice: bool = False) -> None:
        """Peek and gate for all that a dispatcher has in hand, however long ago it was taken."""
        dispatcher = self.dispatchers[which]
        assignments, dispatcher.taken = dispatcher.taken, []
        seen = self.run(peek(self.store, [one.entry.message for one in assignments]))
        ready = []
        for assignment in assignments:
            row = seen[assignment.entry.message]
            if row.refusal is None and row.attempt == assignment.entry.attempt - 1:
                request = GateRequest(
                    assignment.entry.message,
                    assignment.entry.attempt,
                    assignment.token,
                    assignment.endpoint,
                    assignment.slot_number,
                    3600,
                )
                ready.append(Begun(assignment, request))
            else:
                self.drop(dispatcher, assignment, row.refusal)
        if ready:
            self.ask_the_gate(dispatcher, ready, lost, twice)

    def begin_again_what_had_no_answer(self, which: int) -> None:
        dispatcher = self.dispatchers[which]
        unsure, dispatcher.unsure = dispatcher.unsure, []
        if unsure:
            self.ask_the_gate(dispatcher, unsure, lost=False, twice=False)

    def ask_the_gate(self, dispatcher: Dispatcher, ready: list[Begun], lost: bool, twice: bool) -> None:
        # A batch is for one epoch: those of an older one are asked apart.
        for epoch in {one.assignment.epoch for one in ready}:
            batch = [one for one in ready if one.assignment.epoch == epoch]
            forbidden = self.run(self.forbidden(batch))
            outcomes = {}
            for _ in range(2 if twice else 1):
                outcomes = self.run(gate(self.store, epoch, dispatcher.name, [one.request for one in batch]))
                for one in batch:
                    if outcomes[one.request.token] == "passed":
                        self.note_pass(one.request, forbidden)
            if lost:
                dispatcher.unsure += batch
                continue
            for one in batch:
                outcome = outcomes[one.request.token]
                if outcome == "passed":
                    dispatcher.begun.append(one)
                    self.ever_begun.append(one)
                elif outcome == "refused":
                    self.drop(dispatcher, one.assignment, None)
                elif outcome == "put_back":
                    self.put_back(dispatcher, one.assignment)

    async def forbidden(self, batch: list[Begun]) -> set[UUID]:
        """What may not begin now, by plain words rather than by the view that the gate reads."""
        rows = await self.store.fetch(
            "select m.id from messages m left join campaigns c on c.token = m.campaign cross join control k"
            " where m.id = any ($1) and (c.status <> 'running' or k.stopped_lanes @> array[m.lane]"
            " or m.expires_at <= clock_timestamp() or c.expires_at <= clock_timestamp()"
            " or exists (select from optouts o where o.phone_key = m.phone_key)"
            " or m.status not in ('queued', 'retrying', 'sending'))",
            [one.request.message for one in batch],
        )
        return {row["id"] for row in rows}

    def note_pass(self, request: GateRequest, forbidden: set[UUID]) -> None:
        key = (request.message, request.number)
        if key in self.passed:
            assert self.passed[key] == request.token, "two assignments passed for one attempt"
        else:
            assert request.message not in forbidden, "an attempt began that was forbidden"
            self.passed[key] = request.token

    def drop(self, dispatcher: Dispatcher, assignment: Assignment, refusal: Refusal | None) -> None:
        message = assignment.entry.message
        if refusal in (Refusal.EXPIRED, Refusal.SUPPRESSED):
            self.run(end_unsendable(self.store, 1, [message], Status(refusal.value), refusal.value))
        self.run(dispatcher.taking.settle([Settlement(assignment)], self.now))

    def put_back(self, dispatcher: Dispatcher, assignment: Assignment) -> None:
        again = FollowUp(assignment.entry, due_ms=100)
        self.run(dispatcher.taking.settle([Settlement(assignment, follow_up=again)], self.now))

    def settle(
        self, which: int, verdict: str = "sent", twice: bool = False, crash: bool = False, pick: int = 0
    ) -> None:
        """`crash`: the dispatcher dies after it has told Postgres, before it tells Redis."""
        dispatcher = self.dispatchers[which]
        if not dispatcher.begun:
            return
        one = dispatcher.begun.pop(pick % len(dispatcher.begun))
        result = self.result(one, verdict, dispatcher.name)
        changed = self.run(settle(self.store, 2, [result]))
        if twice:
            assert self.run(settle(self.store, 2, [result])) == {}
        if crash:
            self.dispatcher_dies(which)
            return
        _, _, outcome, _ = VERDICTS[verdict]
        entry = one.assignment.entry
        follow_up = None
        if changed.get(entry.message) is Status.RETRYING:
            following = replace(entry, attempt=entry.attempt + 1)
            if verdict == "logged out" and not entry.chosen:
                following = replace(following, endpoint="", excluded=(*entry.excluded, one.assignment.endpoint))
                follow_up = FollowUp(following, rebind=True, otherwise_ms=5000)
            else:
                follow_up = FollowUp(following, due_ms=0 if verdict == "not sent" else 5000)
        settlement = Settlement(
            one.assignment, 500, 900, 1, outcome, reason=verdict, verdict=result.verdict.value, follow_up=follow_up
        )
        for _ in range(2 if twice else 1):
            self.run(dispatcher.taking.settle([settlement], self.now))

    def an_answer_of_a_dead_dispatcher_comes(self, verdict: str) -> None:
        if self.late:
            self.run(settle(self.store, 3, [self.result(self.late.pop(0), verdict, "late")]))

    def evidence_comes(self, pick: float) -> None:
        """Some attempt of before was sent after all, whatever was thought of it."""
        one = self.ever_begun[int(pick * len(self.ever_begun))]
        self.run(settle(self.store, 5, [self.result(one, "sent", "late")]))

    def result(self, one: Begun, verdict: str, dispatcher: str) -> AttemptResult:
        kind, status, _, uses_try = VERDICTS[verdict]
        self.serial += 1
        return AttemptResult(
            one.request.message,
            one.request.number,
            one.request.token,
            one.request.endpoint,
            dispatcher,
            kind,
            status,
            reason=verdict,
            whatsapp_id=f"W{self.serial}" if status is Status.SENT else None,
            uses_try=uses_try,
        )

    # --- a scheduler's rounds

    def promote(self) -> None:
        self.run(promote(self.queue, 100, 1000, OPEN_TIMEOUT, self.now))

    def readmit(self, endpoint: str, at_once: bool = True) -> None:
        self.run(readmit(self.queue, endpoint, SLOTS, at_once=at_once, now_ms=self.now))

    def find_unanswered(self, deadlines: bool = True) -> None:
        if deadlines:
            self.run(self.store.execute("update open_attempts set deadline = '-infinity'"))
            # Past its deadline nobody waits for an answer any more; it may be late.
            for dispatcher in self.dispatchers:
                self.late += dispatcher.begun
                dispatcher.begun = []
                dispatcher.unsure = []
        self.run(self.store.fetchval("select find_unanswered($1)", CHECK_AT_ONCE))

    def check_unknown(self, found: bool = False) -> None:
        rows = self.run(self.store.fetch("select message from due where why = 'check' order by message limit 3"))
        for row in rows:
            self.serial += 1
            whatsapp_id = f"W{self.serial}" if found else None
            self.run(self.store.fetchval("select decide_unknown($1, $2, 'checked')", row["message"], whatsapp_id))

    def campaigns_are_closed(self) -> None:
        for campaign in self.campaigns:
            self.run(
                self.store.execute(
                    "select end_unsendable(array(select m.id from messages m join campaigns c on c.token = m.campaign"
                    " where c.token = $1 and c.status = 'canceled'), 'canceled', 'canceled')",
                    campaign.token,
                )
            )
            self.run(self.store.fetchval("select finish_campaign($1)", campaign.token))

    def time_passes(self, seconds: int) -> None:
        self.now += 1000 * seconds

    def flush_and_rebuild(self, flush: bool = True) -> None:
        if flush:
            take_all_keys(self.stage.server)
        epoch = self.run(self.store.fetchval("select begin_rebuild(0)"))
        rows = self.run(self.store.fetch("select endpoint, slot from open_attempts"))
        busy = {f"{row['endpoint']}/{row['slot']}": self.now + LEASE for row in rows}
        slots = {f"{endpoint}/{slot}": (self.now, self.now) for endpoint in ENDPOINTS for slot in range(SLOTS)}
        assert self.run(rebuild(self.queue, epoch, RebuiltState(slots, busy, {name: {} for name in ENDPOINTS})))
        self.run(self.store.execute("select end_rebuild($1)", epoch))

    def redis_is_flushed_under_a_dispatcher(self, which: int) -> None:
        take_all_keys(self.stage.server)
        with pytest.raises(RebuildNeeded):
            self.run(self.dispatchers[which].taking.take(1, self.now))
        self.flush_and_rebuild(flush=False)

    # --- an operator's and a caller's moves

    def move_campaign(self, which: int, what: str) -> None:
        if not self.campaigns:
            return
        campaign = self.campaigns[which % len(self.campaigns)]
        self.run(self.store.fetchval(f"select {what}_campaign($1)", campaign.token))

    def stop_lanes(self, lanes: list[str]) -> None:
        self.run(self.store.execute("select set_stopped_lanes($1, 'test')", lanes))

    def suspend_endpoint(self, endpoint: str, suspended: bool) -> None:
        if suspended:
            self.run(self.store.execute("select suspend_endpoint($1, 'test')", endpoint))
        else:
            self.run(self.store.execute("update endpoints set suspended_at = null where id = $1", endpoint))

    def opt_out_or_expire_or_cancel_one(self, pick: int) -> None:
        rows = self.run(self.store.fetch("select id, phone_key from messages order by id"))
        if not rows:
            return
        row = rows[pick % len(rows)]
        if pick % 3 == 0:
            statement = "insert into optouts (phone_key, scope) values ($1, 'all') on conflict do nothing"
            self.run(self.store.execute(statement, row["phone_key"]))
        elif pick % 3 == 1:
            self.run(self.store.execute("update messages set expires_at = '-infinity' where id = $1", row["id"]))
        else:
            self.run(end_unsendable(self.store, 4, [row["id"]], Status.CANCELED, "by the caller"))

    # --- what must hold after each step

    async def check_rows(self) -> None:
        changes = await self.store.fetch("select distinct old, new, attempts from seen_changes")
        for row in changes:
            old, new = Status(row["old"]), Status(row["new"])
            assert old is new or new in TRANSITIONS[old], f"{old} became {new}"
            assert row["attempts"] == (new is Status.SENDING and old is not new), f"{old} to {new} changed the attempt"
        wrong = await self.store.fetch("select * from wrong")
        assert not wrong, wrong
        opened = await self.store.fetch("select endpoint, slot, message, number, token from open_attempts")
        per_endpoint = Counter(row["endpoint"] for row in opened)
        assert all(number <= SLOTS for number in per_endpoint.values()), per_endpoint
        assert all(row["slot"] < SLOTS for row in opened)
        assert len({row["message"] for row in opened}) == len(opened), "two attempts of one message are under way"
        for row in opened:
            assert self.passed[row["message"], row["number"]] == row["token"].hex

    async def check_slots(self) -> None:
        keys, redis = self.queue.keys, client(self.queue)
        rota = set(await redis.zrange(keys.rota, 0, -1))
        busy = set(await redis.zrange(keys.busy, 0, -1))
        assert rota == set(await redis.zrange(keys.rota_bulk, 0, -1)), "the two rotas differ"
        assert busy == set(await redis.hgetall(keys.busy_owners)), "busy and its owners differ"
        assert not rota & busy, "a slot in use may be taken"
        for endpoint in ENDPOINTS:
            slots = {f"{endpoint}/{slot}" for slot in range(SLOTS)}
            breaker = await redis.hget(keys.state(endpoint), "breaker")
            if breaker == "open":
                assert not slots & rota, "an open endpoint may be taken"
            else:
                assert slots <= rota | busy, f"a slot of a {breaker} endpoint is nowhere"

    # --- the end

    def everything_ends(self) -> None:
        """Nobody interferes any more: all that was accepted must end, with what the loops do anyway."""
        self.stop_lanes([])
        for endpoint in ENDPOINTS:
            self.suspend_endpoint(endpoint, suspended=False)
        for campaign in self.campaigns:
            self.run(self.store.fetchval("select resume_campaign($1)", campaign.token))
        for round_number in range(40):
            for which in (0, 1):
                self.begin(which)
                self.begin_again_what_had_no_answer(which)
                while self.dispatchers[which].begun:
                    self.settle(which)
            if round_number == 0:
                # Whoever lost an answer to take dies at some time, and so do the leases.
                for _ in range(2):
                    self.dispatcher_dies(0)
            self.dead_are_taken_back()
            self.find_unanswered()
            self.check_unknown()
            self.campaigns_are_closed()
            self.now += 600_000
            self.promote()
            for endpoint in ENDPOINTS:
                self.readmit(endpoint)
            self.feed_chunks()
            # The sweep: what was noted as enqueued long ago and is in no stream.
            if self.run(self.streams_are_empty()):
                self.run(self.store.execute("update due set enqueued_at = null"))
            self.enqueue_what_is_due()
            for which in (0, 1):
                self.take(which, 4)
            self.run(self.check_rows())
            self.run(self.check_slots())
            waiting = self.run(
                self.store.fetch("select id, status from messages where status in ('queued', 'retrying', 'sending')")
            )
            if not waiting:
                break
        assert not waiting, f"never ended: {waiting}"
        self.campaigns_are_closed()
        open_campaigns = self.run(self.store.fetch("select token from campaigns where finished_at is null"))
        assert not open_campaigns
        assert self.run(self.store.fetchval("select count(*) from open_attempts")) == 0
        names = set(self.run(self.all_consumers()))
        assert names <= {dispatcher.name for dispatcher in self.dispatchers}, "a dead dispatcher left a consumer behind"

    async def streams_are_empty(self) -> bool:
        suffixes = await stream_suffixes(self.queue, ENDPOINTS)
        lengths = [await self.queue.redis.xlen(self.queue.keys.prefix + suffix) for suffix in suffixes]
        return not any(lengths)

    async def all_consumers(self) -> list[str]:
        names = []
        for suffix in await stream_suffixes(self.queue, ENDPOINTS):
            names += await consumers(self.queue, suffix)
        return names


@pytest.mark.parametrize("seed", SEEDS)
def test_anything_in_any_order(stage: Stage, seed: int) -> None:
    run = AnyOrder(stage, seed)
    run.begin_with_two_dispatchers()
    try:
        for _ in range(STEPS):
            run.step()
        run.everything_ends()
    except BaseException:
        print(f"seed {seed}, after these steps:\n  " + "\n  ".join(run.log))
        raise
    assert len(run.passed) > 10, "so little happened that this says nothing"


@pytest.fixture
def stage(database: DatabaseOfTest, either_redis: EmbeddedValkey) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        store = loop.run_until_complete(Database(settings_of_database(database), 2, "test").open())
        queue = QueueConnection(settings_of_redis(either_redis, f"queue_{secrets.token_hex(6)}"))
        loop.run_until_complete(store.execute(WATCH))
        yield Stage(loop, store, queue, either_redis)
        loop.run_until_complete(queue.close())
        loop.run_until_complete(store.close())
