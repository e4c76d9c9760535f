"""One attempt through the gate and its verdict, with everything that a test does not care about filled in."""

from __future__ import annotations

from uuid import UUID, uuid4

from shared.database.attempts import AttemptResult, GateRequest, gate, settle
from shared.database.connection import Database
from shared.messages import Status, Verdict
from tests.integration.accepting import message_row

DISPATCHER = "dispatcher-1"


def request(
    message: UUID, number: int = 1, *, endpoint: str = "a", slot: int = 0, seconds: int = 90, gap: float = 0.0
) -> GateRequest:
    return GateRequest(message, number, uuid4().hex, endpoint, slot, seconds, gap)


async def ask(store: Database, *requests: GateRequest, epoch: int = 1) -> list[str]:
    """The gate's outcomes, in the order of the requests."""
    outcomes = await gate(store, epoch, DISPATCHER, requests)
    return [outcomes[one.token] for one in requests]


async def begin(store: Database, message: UUID, *, endpoint: str = "a", slot: int = 0) -> GateRequest:
    """The message's next attempt, which has passed."""
    begun = request(message, (await message_row(store, message))["attempt"] + 1, endpoint=endpoint, slot=slot)
    assert await ask(store, begun) == ["passed"]
    return begun


def result(begun: GateRequest, verdict: Verdict, status: Status, **options: object) -> AttemptResult:
    return AttemptResult(
        begun.message,
        begun.number,
        begun.token,
        begun.endpoint,
        DISPATCHER,
        verdict,
        status,
        **options,  # type: ignore[arg-type]
    )


def sent(begun: GateRequest, whatsapp_id: str | None = None) -> AttemptResult:
    return result(begun, Verdict.SENT, Status.SENT, http_status=200, whatsapp_id=whatsapp_id)


def failed(begun: GateRequest, reason: str = "no such number") -> AttemptResult:
    return result(begun, Verdict.REFUSED, Status.FAILED, http_status=400, reason=reason)


def to_retry(begun: GateRequest) -> AttemptResult:
    return result(begun, Verdict.TRANSIENT, Status.RETRYING, http_status=500, reason="server error", due_seconds=5)


def unknown(begun: GateRequest) -> AttemptResult:
    return result(begun, Verdict.UNKNOWN, Status.SENDING, http_status=504, reason="timeout", due_seconds=75)


async def write(store: Database, *results: AttemptResult) -> dict[UUID, Status]:
    return await settle(store, 0, results)


async def open_attempts(store: Database) -> int:
    return int(await store.fetchval("select count(*) from open_attempts"))


async def due_why(store: Database, message: UUID) -> str | None:
    """Why a message has a `due` row; None: it has none."""
    why: str | None = await store.fetchval("select why from due where message = $1", message)
    return why


async def history(store: Database, message: UUID) -> list[tuple[int, str]]:
    rows = await store.fetch("select number, verdict from attempts where message = $1 order by number", message)
    return [(row["number"], row["verdict"]) for row in rows]
