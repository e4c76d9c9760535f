"""Answered -> settled: the verdict into Postgres, then entry, slot and breaker in Redis."""

from __future__ import annotations

import random
from dataclasses import replace

import structlog

from services.dispatcher.rate import CurrentRate
from services.dispatcher.retry_policy import Next, RetryRules, next_after
from services.dispatcher.routing import LOOK_AGAIN
from services.dispatcher.sending.verdict import Answer
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.settlement import SettlementWriter
from services.dispatcher.stages import AnsweredAttempt, PreparedMessage
from shared.database.attempts import AttemptResult, PeekedMessage, note_cold_contact
from shared.database.connection import Database
from shared.database.postponing import wait_for_contact
from shared.endpoints.pacing import Pause, pause_after
from shared.messages import Entry, Status, Verdict
from shared.queue.taking import Assignment, FollowUp, Settlement
from shared.settings import seconds

log = structlog.get_logger()


class Settling:
    """``chance``: for pauses and waits."""

    def __init__(
        self,
        settings: DispatcherSettings,
        dispatcher: str,
        database: Database,
        writer: SettlementWriter,
        rate: CurrentRate,
        rules: RetryRules,
        chance: random.Random,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._database = database
        self._writer = writer
        self._rate = rate
        self._rules = rules
        self._chance = chance

    async def settle(self, answered: AnsweredAttempt) -> None:
        """Waits for a store that is away: what was sent must not be forgotten."""
        assignment, message, answer = answered.prepared.assignment, answered.prepared.message, answered.answer
        if answer.verdict is Verdict.COLD_CONTACT_LOCKED:
            await self._note_cold_contact(assignment, message)
        following = next_after(
            answer, message.kind.value, message.tries_used, assignment.entry.attempt, self._rules, self._chance
        )
        status = await self._writer.record(self._result(answered, following))
        if answer.verdict is Verdict.COLD_CONTACT_LOCKED and status is Status.RETRYING:
            # So that it comes back at once when the recipient writes, and not only after hours.
            await self._writer.repeated(
                "postgres",
                lambda: wait_for_contact(self._database, message.id, following.seconds, message.looked_at),
            )
        await self._release(answered, following, status)
        _tell(answered, status)

    async def _note_cold_contact(self, assignment: Assignment, message: PeekedMessage) -> None:
        held = await self._writer.repeated(
            "postgres",
            lambda: note_cold_contact(
                self._database,
                message.id,
                assignment.endpoint,
                self._rules.cold_contact_delay,
                self._settings.cold_contact_limit,
                seconds(self._settings.cold_contact_hold),
            ),
        )
        if held:
            log.warning("account held for new contacts", endpoint=assignment.endpoint)

    def _result(self, answered: AnsweredAttempt, following: Next) -> AttemptResult:
        assignment, answer = answered.prepared.assignment, answered.answer
        return AttemptResult(
            message=answered.prepared.message.id,
            number=assignment.entry.attempt,
            token=assignment.token,
            endpoint=assignment.endpoint,
            dispatcher=self._dispatcher,
            verdict=answer.verdict,
            status=following.status,
            http_status=answer.http_status,
            reason=following.reason or None,
            whatsapp_id=answer.whatsapp_id,
            due_seconds=following.seconds,
            uses_try=following.uses_try,
        )

    async def _release(self, answered: AnsweredAttempt, following: Next, status: Status | None) -> None:
        assignment, answer = answered.prepared.assignment, answered.answer
        follow_up = _follow_up(answered.prepared, following, status)
        if answer.too_late and status is None:
            # The gate had not passed after all, so the entry still stands for this attempt.
            follow_up = FollowUp(assignment.entry)
        pause = self._pause(assignment, answer)
        await self._writer.release(
            Settlement(
                assignment,
                ready_ms=pause.ready_ms,
                bulk_ready_ms=pause.bulk_ready_ms,
                since_break=pause.since_break,
                outcome=answer.breaker_outcome,
                reason=answer.reason,
                verdict=answer.verdict.value,
                answer_ms=answer.elapsed_ms,
                follow_up=follow_up,
            )
        )

    def _pause(self, assignment: Assignment, answer: Answer) -> Pause:
        if answer.too_late:
            return Pause(-1, 0, assignment.since_break)
        return pause_after(self._rate.of(assignment.endpoint), assignment.lane, assignment.since_break, self._chance)


def _follow_up(prepared: PreparedMessage, following: Next, status: Status | None) -> FollowUp | None:
    """The entry of the next attempt. A check waits in Postgres alone; so does nothing that has ended."""
    if status is not Status.RETRYING:
        return None
    entry = replace(prepared.assignment.entry, attempt=prepared.assignment.entry.attempt + 1)
    wait_ms = round(following.seconds * 1000)
    if following.way == "elsewhere":
        return elsewhere(entry, prepared.assignment.endpoint, prepared.message, wait_ms)
    again = replace(entry, endpoint=entry.endpoint if entry.chosen else "", excluded=())
    return FollowUp(again, due_ms=wait_ms)


def elsewhere(entry: Entry, tried: str, message: PeekedMessage, wait_ms: int) -> FollowUp:
    """The entry for another account than ``tried``; for the same after ``wait_ms`` where the caller has chosen it."""
    if entry.chosen:
        return FollowUp(replace(entry, excluded=()), due_ms=wait_ms)
    excluded = tuple(dict.fromkeys((*entry.excluded, *message.not_through, tried)))
    # Also after a contact was refused for hours: another account may, as soon as it can send.
    most_ms = round(LOOK_AGAIN * 1000)
    return FollowUp(replace(entry, endpoint="", excluded=excluded), rebind=True, otherwise_ms=min(wait_ms, most_ms))


def _tell(answered: AnsweredAttempt, status: Status | None) -> None:
    assignment, answer = answered.prepared.assignment, answered.answer
    # A line for each message that went well would be most of a dispatcher's work.
    tell = log.debug if answer.verdict is Verdict.SENT else log.info
    tell(
        "attempt",
        message=str(answered.prepared.message.id),
        number=assignment.entry.attempt,
        endpoint=assignment.endpoint,
        verdict=answer.verdict.value,
        status=status.value if status else "moved on",
        reason=answer.reason,
        ms=answer.elapsed_ms,
    )
