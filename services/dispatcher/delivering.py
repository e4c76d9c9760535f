"""One message, from its assignment to its settlement. The steps in order; the rules are in the modules they call."""

from __future__ import annotations

import random

import msgspec
import structlog
from prometheus_client import Histogram

from services.dispatcher.breakers import Breakers
from services.dispatcher.gate import Gate
from services.dispatcher.judging import Judging
from services.dispatcher.preparing import Preparing
from services.dispatcher.rate import CurrentRate
from services.dispatcher.retry_policy import RetryRules, backoff
from services.dispatcher.sending.client import SenderClient
from services.dispatcher.sending.deadline import START_LIMIT, StartDeadline
from services.dispatcher.sending.payloads import request_for
from services.dispatcher.sending.verdict import Answer
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.settlement import SettlementWriter, put_back
from services.dispatcher.settling import Settling, elsewhere
from services.dispatcher.stages import AnsweredAttempt, BegunAttempt, PreparedMessage, TakenMessage, TypedMessage
from services.dispatcher.typing_presence import TypingPresence
from shared.clock import boottime
from shared.database.attempts import GateOutcome, GateRequest
from shared.messages import Kind, Lane, Verdict
from shared.queue.taking import Settlement

log = structlog.get_logger()
_answer_seconds = Histogram(
    "paceline_answer_seconds",
    "From the send to the sender's answer",
    ["kind", "verdict"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45, 70, 180),
)
_ANSWER_SECONDS = {
    (kind, verdict): _answer_seconds.labels(kind.value, verdict.value) for kind in Kind for verdict in Verdict
}
HOLD_LIMIT = 75.0
"""Seconds that an assignment may be in hand before its gate: the longest typing and some for the stores."""
DEADLINE_MARGIN = 5
"""Seconds beyond the request's own timeout before an attempt without an answer is called unknown."""
LEASE_MARGIN = 10.0
"""Seconds that a slot stays leased beyond the longest attempt, for its settlement."""
_SUSPENDED_PAUSE_MS = 2000
"""Before a slot is offered again whose account cannot send now; somebody else may be told of it meanwhile."""
_LOOK_AT_GAP_MS = 1000
"""Before a message is looked at again to whose recipient another one is just being sent: about as long as that takes."""


class Delivery:
    """Everything that one message needs on its way; one object serves all."""

    def __init__(
        self,
        settings: DispatcherSettings,
        preparing: Preparing,
        typing: TypingPresence,
        gate: Gate,
        client: SenderClient,
        breakers: Breakers,
        judging: Judging,
        settling: Settling,
        writer: SettlementWriter,
        rate: CurrentRate,
        rules: RetryRules,
        chance: random.Random,
    ) -> None:
        self._settings = settings
        self._preparing = preparing
        self._typing = typing
        self._gate = gate
        self._client = client
        self._breakers = breakers
        self._judging = judging
        self._settling = settling
        self._writer = writer
        self._rate = rate
        self._rules = rules
        self._chance = chance

    async def deliver(self, taken: TakenMessage) -> None:
        """Brings one message to its settlement. An error that is not foreseen leaves the entry pending, from where it
        comes back; it never leaves the message sent twice, for that is the gate's."""
        if isinstance(prepared := await self._preparing.prepare(taken), Settlement):
            return await self._writer.release(prepared)
        if isinstance(typed := await self._type(prepared), Settlement):
            return await self._writer.release(typed)
        if isinstance(begun := await self._begin(typed), Settlement):
            return await self._writer.release(begun)
        answered = await self._send(begun) if isinstance(begun, BegunAttempt) else begun
        return await self._settling.settle(answered)

    async def _type(self, prepared: PreparedMessage) -> TypedMessage | Settlement:
        assignment, message = prepared.assignment, prepared.message
        trouble = await self._typing.type(prepared.endpoint, message.phone, assignment.lane)
        if trouble is None:
            return TypedMessage(prepared)
        return put_back(assignment) if trouble.too_late else self._handed_on(prepared, trouble)

    def _handed_on(self, prepared: PreparedMessage, trouble: Answer) -> Settlement:
        """The end of an assignment whose account showed before the gate that it cannot send: its breaker is told, and another
        account takes the message, or this one later."""
        assignment, message = prepared.assignment, prepared.message
        log.info("not begun", message=str(message.id), endpoint=assignment.endpoint, reason=trouble.reason)
        wait_ms = round(1000 * backoff(self._rules.base_delay, 1, self._chance))
        return Settlement(
            assignment,
            ready_ms=_SUSPENDED_PAUSE_MS,
            bulk_ready_ms=_SUSPENDED_PAUSE_MS,
            outcome=trouble.breaker_outcome,
            reason=trouble.reason,
            follow_up=elsewhere(assignment.entry, assignment.endpoint, message, wait_ms),
        )

    async def _begin(self, typed: TypedMessage) -> BegunAttempt | AnsweredAttempt | Settlement:
        """Passes the gate, or ends the assignment. Without the gate's answer it may have passed: that is an attempt too, whose
        answer is that nothing was sent."""
        assignment = typed.prepared.assignment
        if boottime() - typed.prepared.taken_at > HOLD_LIMIT:
            return put_back(assignment)
        deadline = StartDeadline(boottime())
        match await self._gate.begin(assignment.epoch, self._request(typed.prepared), deadline.begun_at):
            case GateOutcome.PASSED:
                return BegunAttempt(typed.prepared, deadline)
            case GateOutcome.PUT_BACK:
                # The endpoint is suspended, or a dispatcher that died still has an attempt open on this slot.
                return put_back(assignment, slot_pause_ms=_SUSPENDED_PAUSE_MS)
            case GateOutcome.LATER:
                # Somebody else is just writing to this person; how long to wait is known when that is settled.
                return put_back(assignment, after_ms=_LOOK_AT_GAP_MS)
            case GateOutcome.REFUSED | GateOutcome.VOID:
                # It is another's by now, or of a Redis that is not in force: what is right stands in Postgres.
                return Settlement(assignment)
            case GateOutcome.UNANSWERED:
                return AnsweredAttempt(
                    typed.prepared, Answer(Verdict.NOT_SENT, "the gate did not answer", too_late=True)
                )

    def _request(self, prepared: PreparedMessage) -> GateRequest:
        assignment, message = prepared.assignment, prepared.message
        return GateRequest(
            message=message.id,
            number=assignment.entry.attempt,
            token=assignment.token,
            endpoint=assignment.endpoint,
            slot=assignment.slot_number,
            seconds=round(START_LIMIT + self._settings.request_seconds(message.kind) + DEADLINE_MARGIN),
            gap=self._rate.of(assignment.endpoint).recipient_gap / 1000 if assignment.lane is Lane.BULK else 0.0,
        )

    async def _send(self, begun: BegunAttempt) -> AnsweredAttempt:
        """Sends once, through the breaker, and finds out what the answer means."""
        prepared, message, endpoint = begun.prepared, begun.prepared.message, begun.prepared.endpoint
        try:
            request = request_for(message.kind, message.phone, prepared.content, prepared.upload, begun.deadline)
        except OSError:
            # Deleted since it was looked up; the next attempt brings it anew.
            return AnsweredAttempt(prepared, Answer(Verdict.NOT_SENT, "the file to upload was deleted", too_late=True))
        assignment = prepared.assignment
        self._breakers.saw(endpoint.id, assignment.breaker, assignment.epoch, int(assignment.generation))
        answer = await self._breakers.send(
            endpoint.id, lambda: self._client.send(endpoint, message.kind, request, begun.deadline)
        )
        _ANSWER_SECONDS[message.kind, answer.verdict].observe(answer.elapsed_ms / 1000)
        judged = await self._judging.judge(endpoint, assignment.entry, message, answer)
        if prepared.note and judged.verdict is Verdict.SENT:
            judged = msgspec.structs.replace(judged, reason=prepared.note)
        return AnsweredAttempt(prepared, judged)
