"""Attempts whose answer is lost, and the look at a simulated account for what became of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import aiohttp

from services.scheduler.unknown_outcomes import UnknownOutcomes
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.messages import Status, Verdict
from shared.queue.taking import Settlement
from tests.integration.scheduler.stage import PHONE, TEXT, Stage
from tests.servers import ServiceProcess


def checker(stage: Stage, session: aiohttp.ClientSession, **changes: Any) -> UnknownOutcomes:
    """Believes at once that nothing is there, unless told otherwise."""
    options: dict[str, Any] = {"check_limit": 1800.0, "resends": 3, "reachable_seconds": 0.0} | changes
    seconds = {"message": 0.0, "image": 0.0, "file": 0.0}
    return UnknownOutcomes(stage.database, session, stage.accounts, 0, seconds, **options)


async def begin(stage: Stage, message: UUID, seconds: int = 60) -> Any:
    await UnqueuedMessages(stage.queue, stage.database, 1000).step()
    (assignment,) = (await stage.taking().take(1)).assignments
    assert assignment.entry.message == message
    assert await stage.begin(assignment, seconds)
    return assignment


async def lose_answer(stage: Stage, message: UUID) -> Any:
    """An attempt whose answer timed out; its check is due."""
    assignment = await begin(stage, message)
    await stage.record(assignment, Verdict.UNKNOWN, Status.SENDING, reason="no answer in 70 s")
    await stage.taking().settle([Settlement(assignment, ready_ms=0)])
    return assignment


async def send(session: aiohttp.ClientSession, simulator: ServiceProcess, text: str = TEXT["message"]) -> str:
    """What "WhatsApp" got after all."""
    async with session.post(f"{simulator.url}/send/message", json={"phone": PHONE, "message": text}) as response:
        return str((await response.json())["results"]["message_id"])


async def due_again(stage: Stage) -> None:
    await stage.database.execute("update due set due_at = clock_timestamp() where why = 'check'")


async def time_passes(stage: Stage, seconds: float) -> None:
    """Moves all that was noted about attempts and accounts into the past, and has the checks due."""
    for statement in (
        "update attempts set started_at = started_at - $1::interval, finished_at = finished_at - $1::interval",
        "update unanswered_attempts set started_at = started_at - $1::interval,"
        " finished_at = finished_at - $1::interval",
        "update account_answers set asked_at = asked_at - $1::interval,"
        " answering_since = answering_since - $1::interval",
        "update account_numbers set since = since - $1::interval",
        "update due set first_check_at = first_check_at - $1::interval, due_at = clock_timestamp() where why = 'check'",
    ):
        await stage.database.execute(statement.replace("$1::interval", f"interval '{seconds} s'"))
