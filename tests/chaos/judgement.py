"""Holds what the client was told against Postgres, Redis and the sender's ledger, and says so in one table.

A phone is used once, so it stands for its message: what the ledger took for a phone is what became of that message.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import asyncpg
import orjson
import redis.asyncio

from tests.chaos.fault_injection import Faults
from tests.chaos.offered_load import Accepted, Record
from tests.chaos.running_whole import ATTEMPT_DEADLINE, LEAST_GAP, QUEUE, Killed, Whole

TERMINAL = ("sent", "failed", "unknown", "canceled", "expired", "suppressed")
START_LIMIT = 5.0
"""Seconds from the gate to the POST, at most; a little more until the sender notes it."""
_ON_THE_WAY = 1.0
_GIVEN_UP = ATTEMPT_DEADLINE - START_LIMIT
"""Seconds after its arrival at which a send's account may send again, though the sender hangs on it: nobody waits so long for
an answer but a dispatcher that stands still, and an account must not wait for that."""
_CATCHING_UP = 2.0
"""Seconds from the end of a frozen sender until it has read what lay before its door."""
_SHOWN = 5


@dataclass(slots=True)
class Message:
    """A row, and what it went through. ``attempts``: (started at in Unix seconds, verdict, dispatcher)."""

    id: str
    phone: str
    status: str
    campaign: str | None
    possible_duplicate: bool
    on_unknown: str
    reason: str
    attempts: list[tuple[float, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Judgement:
    """``lines``: the table. ``defects``: those of its lines that must be zero and are not, each with examples."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def note(self, name: str, value: object) -> None:
        self.lines.append((name, str(value)))

    def must_be_none(self, name: str, found: list[str]) -> None:
        self.note(name, len(found))
        if found:
            self.defects.append(f"{name}: {len(found)}")
            self.examples += [f"{name}: {example}" for example in found[:_SHOWN]]

    def table(self) -> str:
        width = max(len(name) for name, _ in self.lines)
        rows = [f"  {name:<{width}}  {value}" for name, value in self.lines]
        return "\n".join([*rows, "", *(self.examples or ["no defect"])])


async def settled(whole: Whole, deadline: float, say: Callable[[str], None]) -> float:
    """Waits until nothing is open any more, at most ``deadline`` seconds; answers how many it took."""
    begun = time.monotonic()
    connection = await whole.connect()
    client = whole.redis()
    try:
        said = 0.0
        while True:
            left = await open_work(connection) | await leftovers(client)
            passed = time.monotonic() - begun
            if not left or passed > deadline:
                return passed
            if passed - said > 10:
                said = passed
                say(f"still open after {passed:.0f} s: {left}")
            await asyncio.sleep(0.5)
    finally:
        await client.aclose()
        await connection.close()


async def open_work(connection: asyncpg.Connection) -> dict[str, int]:
    """What Postgres has not ended, without the zeros."""
    row = await connection.fetchrow(
        "select (select count(*) from messages where status <> all ($1)) as messages,"
        " (select count(*) from open_attempts) as open_attempts, (select count(*) from due) as due,"
        " (select count(*) from campaigns where finished_at is null) as campaigns",
        list(TERMINAL),
    )
    assert row is not None
    return {name: int(count) for name, count in row.items() if count}


async def leftovers(client: redis.asyncio.Redis) -> dict[str, int]:
    """What Redis still holds for work, without the zeros."""
    prefix = f"{{{QUEUE}}}"
    found: Counter[str] = Counter()
    async for key in client.scan_iter(f"{prefix}:*", _type="stream"):
        name = "bound entries" if ":endpoint:" in key else "entries"
        found[name] += await client.xlen(key)
        for group in await client.xinfo_groups(key):
            found["pending"] += int(group["pending"])
    found["busy slots"] = await client.zcard(f"{prefix}:busy")
    found["owners of slots"] = await client.hlen(f"{prefix}:busy:owners")
    found["parked"] = await client.zcard(f"{prefix}:scheduled")
    return {name: count for name, count in found.items() if count}


async def _messages(connection: asyncpg.Connection) -> list[Message]:
    rows = await connection.fetch(
        "select id, phone_key, status, campaign, possible_duplicate, on_unknown, coalesce(reason, '') as reason from messages"
    )
    found = {
        str(row["id"]): Message(
            str(row["id"]),
            row["phone_key"],
            row["status"],
            str(row["campaign"]) if row["campaign"] else None,
            row["possible_duplicate"],
            row["on_unknown"],
            row["reason"],
        )
        for row in rows
    }
    attempts = await connection.fetch(
        "select message, extract(epoch from started_at)::float8 as at, verdict, dispatcher from attempts"
        " union all select message, extract(epoch from started_at)::float8, 'open', dispatcher from open_attempts"
        " order by at"
    )
    for row in attempts:
        found[str(row["message"])].attempts.append((row["at"], row["verdict"], row["dispatcher"]))
    return list(found.values())


async def judge(whole: Whole, record: Record, faults: Faults) -> Judgement:
    connection = await whole.connect()
    client = whole.redis()
    try:
        rows = await _messages(connection)
        left = await open_work(connection) | await leftovers(client)
        counts = await _wrong_counts(connection)
    finally:
        await client.aclose()
        await connection.close()
    lines = [line for line in (await whole.simulate("GET", "ledger"))["entries"] if "presence" not in line["kind"]]
    # The client was gone before it had said whom it was to.
    cut_short = [line for line in lines if not line["phone"] and not line["taken"]]
    sends: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if line not in cut_short:
            sends[_digits(line["phone"])].append(line)

    messages = {row.phone: row for row in rows}
    phones = Counter(row.phone for row in rows)
    result = Judgement()
    statuses = Counter(message.status for message in messages.values())
    result.note("offered", record.offered)
    result.note("accepted (2xx)", record.accepted)
    result.note("committed without an answer", len(rows) - record.accepted)
    result.must_be_none("accepted twice under one key", [phone for phone, count in phones.items() if count > 1])
    for status in TERMINAL:
        result.note(f"  {status}" + (" (held)" if status == "unknown" else ""), statuses[status])
    result.must_be_none("lost", _lost(record, messages, sends))
    result.must_be_none("doubled", _doubled(messages, sends))
    result.note("  possible duplicates, flagged", sum(message.possible_duplicate for message in messages.values()))
    result.must_be_none("unexplained sends", _unexplained(messages, sends))
    result.note("requests cut short before their recipient", len(cut_short))
    result.must_be_none("sent to a number that was not given", _strangers(record, sends))
    result.must_be_none("failed for a number that exists", _called_absent(messages))
    result.must_be_none("taken, but said to have failed", _denied(messages, sends))
    result.note("pauses, cancels, opt-outs and stops acknowledged", dict(record.acknowledged) or "none")
    result.must_be_none(
        "begun after such an acknowledgement", _after_the_acknowledgement(whole, record, messages, sends)
    )
    result.must_be_none("overlapping sends of an account", _overlapping(whole, lines))
    result.note("max in flight per account", max((line["in_flight"] for line in lines), default=0))
    result.must_be_none("pauses of an account cut short", _short_gaps(whole, lines))
    result.note("shortest pause ÷ configured minimum", f"{_shortest_gap(whole, lines) / LEAST_GAP:.2f}")
    result.must_be_none("malformed sends", [str(line["malformed"]) for line in lines if line["malformed"]])
    result.must_be_none("campaigns whose counts are wrong", counts)
    result.must_be_none("left over", [f"{name}: {count}" for name, count in left.items()])
    result.must_be_none("gateway 5xx while Postgres was there", _wrong_refusals(whole, record))
    result.must_be_none("wrong answers", record.wrong)
    result.note("calls without an answer (gateway killed)", sum(status == 0 for *_, status in record.refused))
    result.note("slowest call, s", f"{record.slowest:.1f}")
    result.must_be_none("did not end within 40 s of SIGTERM", ["a service"] * faults.late_stops)
    result.must_be_none("errors that nobody foresaw", _unforeseen(whole))
    result.note("kills survived", f"{sum(whole.kills.values())} ({_listed(whole.kills)})")
    result.note("kill -9 to sent by others, s", _recovery(whole.killed, messages))
    result.note("pending list of a dead one to sent by others, s", _recovery(whole.hoards, messages))
    result.note("faults", f"{sum(faults.done.values())}, left out {faults.left_out}")
    for kind, number in sorted(faults.done.items()):
        result.note(f"  {kind}", number)
    return result


def _digits(phone: str | None) -> str:
    return (phone or "").partition("@")[0].removeprefix("+")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _accepted_by_phone(record: Record) -> dict[str, Accepted]:
    return {
        phone: item for group in (record.singles, record.campaigns) for item in group.values() for phone in item.phones
    }


def _lost(record: Record, messages: dict[str, Message], sends: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Accepted and not there, not ended, or called sent without having been taken."""
    found = []
    for phone, accepted in _accepted_by_phone(record).items():
        message = messages.get(phone)
        if message is None or accepted.token not in (message.id, message.campaign):
            found.append(f"accepted as {accepted.token}, no row")
    for message in messages.values():
        if message.status not in TERMINAL:
            found.append(f"{message.id} is {message.status}")
        elif message.status == "sent" and not any(line["taken"] for line in sends[message.phone]):
            found.append(f"{message.id} is sent, but was never taken")
    return found


def _doubled(messages: dict[str, Message], sends: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Taken more than once, where the caller did not choose so or it is not flagged."""
    found = []
    for phone, message in messages.items():
        taken = [line for line in sends[phone] if line["taken"]]
        if len(taken) > 1 and not (message.on_unknown == "resend" and message.possible_duplicate):
            times = [f"{line['arrived_at']:.2f} by {line['device']}: {line['outcome']}" for line in taken]
            found.append(f"{message.id} ({message.on_unknown}): {times}, attempts {message.attempts}")
    return found


def _unexplained(messages: dict[str, Message], sends: dict[str, list[dict[str, Any]]]) -> list[str]:
    """More arrivals than attempts."""
    found = []
    for phone, lines in sends.items():
        attempts = messages[phone].attempts if phone in messages else []
        if len(lines) > len(attempts):
            outcomes = [(round(line["arrived_at"], 2), line["outcome"]) for line in lines]
            found.append(f"{messages[phone].id if phone in messages else 'no row'}: {outcomes}, attempts {attempts}")
    return found


def _denied(messages: dict[str, Message], sends: dict[str, list[dict[str, Any]]]) -> list[str]:
    return [
        f"{message.id} is {message.status} ({message.reason}), attempts {message.attempts}"
        for message in messages.values()
        if message.status not in ("sent", "unknown") and any(line["taken"] for line in sends[message.phone])
    ]


def _strangers(record: Record, sends: dict[str, list[dict[str, Any]]]) -> list[str]:
    given = set(record.phones)
    return [phone for phone in sends if phone not in given]


def _called_absent(messages: dict[str, Message]) -> list[str]:
    """All numbers exist; some accounts cannot look any up for a while."""
    return [
        f"{message.id}: {message.reason}, attempts {message.attempts}"
        for message in messages.values()
        if message.status == "failed" and "INVALID_JID" in message.reason
    ]


def _just_thawed(whole: Whole, at: float) -> bool:
    """Whether the sender was frozen then, or has only just gone on: then it takes at once what came one after the other."""
    return any(begun <= at <= ended + _CATCHING_UP for begun, ended in whole.sender_frozen)


def _after_the_acknowledgement(
    whole: Whole, record: Record, messages: dict[str, Message], sends: dict[str, list[dict[str, Any]]]
) -> list[str]:
    """Attempts that began, or sends that arrived later than START_LIMIT allows, between an acknowledgement and its end."""
    found = []
    for phone, accepted in _accepted_by_phone(record).items():
        stopped = record.stopped if messages[phone].campaign else []
        for begun, ended in [*accepted.forbidden, *stopped]:
            # An attempt that was given up before anything was written has not begun.
            starts = [at for at, verdict, _ in messages[phone].attempts if verdict != "not_sent" and begun < at < ended]
            arrivals = [
                line["arrived_at"]
                for line in sends[phone]
                if begun + START_LIMIT + _ON_THE_WAY < line["arrived_at"] < ended
                and not _just_thawed(whole, line["arrived_at"])
            ]
            if starts or arrivals:
                found.append(f"{messages[phone].id}: forbidden from {begun:.3f}, begun {starts}, arrived {arrivals}")
    return found


def _overlapping(whole: Whole, lines: list[dict[str, Any]]) -> list[str]:
    found = []
    for line in lines:
        at = line["arrived_at"]
        if line["in_flight"] > 1 and not _just_thawed(whole, at):
            others = [
                other
                for other in lines
                if other is not line and other["device"] == line["device"]
                if other["arrived_at"] <= at and (other["finished_at"] is None or other["finished_at"] > at)
            ]
            if not others or any(at - other["arrived_at"] < _GIVEN_UP for other in others):
                beside = [f"{other['outcome']} of {at - other['arrived_at']:.1f} s before" for other in others]
                found.append(f"{line['device']}: {line['in_flight']} at {at:.2f}, with {', '.join(beside)}")
    return found


def _gaps(whole: Whole, lines: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Seconds from the end of a send to the arrival of the account's next one, with what they were."""
    found = []
    for device in whole.devices:
        own = sorted((line for line in lines if line["device"] == device), key=lambda line: line["arrived_at"])
        for before, after in pairwise(own):
            # The sender goes on with a send whose client has gone; its account's pause has begun before.
            ended = before["arrived_at"] if before["outcome"] == "client-gone" else before["finished_at"]
            ended = min(ended, before["arrived_at"] + _GIVEN_UP)
            if _just_thawed(whole, after["arrived_at"]):
                continue
            gap = after["arrived_at"] - ended
            found.append((gap, f"{device}: {gap:.3f} s after {before['outcome']} at {after['arrived_at']:.2f}"))
    return found


def _short_gaps(whole: Whole, lines: list[dict[str, Any]]) -> list[str]:
    return [what for gap, what in _gaps(whole, lines) if gap < LEAST_GAP * 0.99]


def _shortest_gap(whole: Whole, lines: list[dict[str, Any]]) -> float:
    return min((gap for gap, _ in _gaps(whole, lines)), default=0.0)


def _wrong_refusals(whole: Whole, record: Record) -> list[str]:
    """5xx answers other than 503 while Postgres could not be reached."""
    found = []
    for begun, ended, status in record.refused:
        away = any(begun < until and ended > since for since, until in whole.postgres_away)
        if status and not (status == 503 and away):
            found.append(f"{status} from {begun:.2f} to {ended:.2f}")
    return found


async def _wrong_counts(connection: asyncpg.Connection) -> list[str]:
    """Campaigns whose counters do not say what their messages do."""
    rows = await connection.fetch(
        "select m.campaign, s as status, count(*) filter (where m.status = s) as messages, (to_jsonb(n) ->> s)::int as counted"
        " from messages m cross join unnest($1::text[]) s left join ("
        "  select campaign, sum(sent) as sent, sum(failed) as failed, sum(unknown) as unknown, sum(canceled) as canceled,"
        "   sum(expired) as expired, sum(suppressed) as suppressed from campaign_counts group by campaign) n"
        " on n.campaign = m.campaign where m.campaign is not null group by m.campaign, s, n",
        list(TERMINAL),
    )
    return [
        f"{row['campaign']}: {row['messages']} {row['status']}, counted {row['counted'] or 0}"
        for row in rows
        if row["messages"] != (row["counted"] or 0)
    ]


def _unforeseen(whole: Whole) -> list[str]:
    """What services logged with a trace: every fault here is one that they should know."""
    found = []
    for member in whole.members.values():
        for line in member.process.log_text().splitlines():
            if '"exception":' in line:
                entry = orjson.loads(line)
                last = (entry["exception"].strip().splitlines() or [""])[-1]
                found.append(f"{member.name}, {entry['timestamp']}: {entry['event']}: {last[:200]}")
    return found


def _recovery(kills: list[Killed], messages: dict[str, Message]) -> str:
    """From the kill of a dispatcher to the next attempt of what it had in hand and had not begun."""
    by_id = {message.id.replace("-", ""): message for message in messages.values()}
    seconds = []
    for killed in kills:
        for identity in killed.waiting:
            message = by_id.get(identity.replace("-", ""))
            if message is None or _was_begun(message, killed.dispatcher, killed.at):
                continue
            later = [at for at, _, _ in message.attempts if at > killed.at]
            if later:
                seconds.append(min(later) - killed.at)
    if not seconds:
        return "nobody had anything in hand"
    return f"median {statistics.median(seconds):.1f}, max {max(seconds):.1f}, of {len(seconds)} messages"


def _was_begun(message: Message, dispatcher: str, killed_at: float) -> bool:
    """Whether the killed one had an attempt under way, whose outcome is looked up first."""
    before = [attempt for attempt in message.attempts if attempt[0] <= killed_at]
    return bool(before) and before[-1][2].startswith(f"{dispatcher}-") and before[-1][1] == "unknown"
