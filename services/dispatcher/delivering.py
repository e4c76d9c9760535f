"""One message, from its assignment to its settlement. The steps in order; the rules are in the modules they call."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import Histogram

from services.dispatcher.breakers import Breakers
from services.dispatcher.gate import Gate
from services.dispatcher.judging import Judging
from services.dispatcher.rate import CurrentRate
from services.dispatcher.replies import NotYet, answered_message, resolved
from services.dispatcher.retry_policy import Next, RetryRules, backoff, next_after
from services.dispatcher.routing import LOOK_AGAIN, Elsewhere, Later, fit
from services.dispatcher.sending.client import SenderClient
from services.dispatcher.sending.deadline import START_LIMIT, StartDeadline
from services.dispatcher.sending.media_files import MediaFiles
from services.dispatcher.sending.payloads import Upload, request_for
from services.dispatcher.sending.remote_files import MediaLater, MediaUnusable
from services.dispatcher.sending.sent_names import SentNames
from services.dispatcher.sending.verdict import Answer
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.settlement import SettlementWriter
from services.dispatcher.typing_presence import TypingPresence
from shared.clock import boottime
from shared.database.attempts import (
    AttemptResult,
    GateRequest,
    PeekedMessage,
    count_shard,
    end_unsendable,
    note_cold_contact,
)
from shared.database.connection import Database
from shared.database.postponing import postpone, wait_alone, wait_for_contact
from shared.database.replies import bind_to, original
from shared.endpoints.identity import Endpoint
from shared.endpoints.pacing import Pause, pause_after
from shared.errors import StoreUnavailable
from shared.messages import Entry, Kind, Lane, Status, Verdict
from shared.queue.taking import Assignment, FollowUp, Settlement
from shared.settings import seconds

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
LONGEST_PARKED = 60.0
"""Seconds that a message which may not be sent yet waits in Redis, at most."""
_SUSPENDED_PAUSE_MS = 2000
_LOOK_AT_GAP_MS = 1000


class TakenMessage(Struct, frozen=True):
    """An assignment, the message as peek saw it, and the ``boottime`` from before it was taken."""

    assignment: Assignment
    message: PeekedMessage
    taken_at: float


class Delivery:
    """Everything that one message needs on its way; one object serves all."""

    def __init__(
        self,
        settings: DispatcherSettings,
        dispatcher: str,
        endpoints: Mapping[str, Endpoint],
        database: Database,
        client: SenderClient,
        judging: Judging,
        media: MediaFiles,
        rate: CurrentRate,
        typing: TypingPresence,
        gate: Gate,
        breakers: Breakers,
        writer: SettlementWriter,
        rules: RetryRules,
        chance: random.Random,
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._endpoints = endpoints
        self._database = database
        self._client = client
        self._judging = judging
        self._media = media
        self._sent_names = SentNames(database)
        self._rate = rate
        self._typing = typing
        self._gate = gate
        self._breakers = breakers
        self._writer = writer
        self._rules = rules
        self._chance = chance

    async def deliver(self, taken: TakenMessage) -> None:
        """Brings one message to its settlement. An error that is not foreseen leaves the entry pending, from where it
        comes back; it never leaves the message sent twice, for that is the gate's."""
        assignment, message, note = taken.assignment, taken.message, ""
        if (answered := answered_message(message)) is not None:
            reply = await self._answering(assignment, message, answered)
            if reply is None:
                return None
            assignment, message, note = reply
        endpoint = self._endpoints[assignment.endpoint]
        match fit(assignment.entry, endpoint.id, message, self._rate.of(endpoint.id), self._endpoints):
            case Elsewhere() as elsewhere:
                return await self._give_elsewhere(assignment, elsewhere)
            case Later() as later:
                return await self._postpone(assignment, message, later)
        upload = await self._upload(assignment, message)
        if upload is False:
            return None
        trouble = await self._typing.type(endpoint, message.phone, assignment.lane)
        if trouble is not None:
            return await self._hand_on(assignment, message, trouble)
        if boottime() - taken.taken_at > HOLD_LIMIT:
            return await self.put_back(assignment)
        deadline = StartDeadline(boottime())
        if not await self._begin(assignment, message, deadline):
            return None
        answer = await self._send(endpoint, assignment, message, upload, deadline)
        if note and answer.verdict is Verdict.SENT:
            answer = msgspec.structs.replace(answer, reason=note)
        await self._settle(assignment, message, answer)
        return None

    async def _answering(
        self, assignment: Assignment, message: PeekedMessage, answered: UUID
    ) -> tuple[Assignment, PeekedMessage, str] | None:
        """An answer to a message of ours, as it is to be sent now through this account; None: not now or not through it, and
        the assignment is over."""
        try:
            found = resolved(message, assignment.entry, await original(self._database, answered), self._endpoints)
            if isinstance(found, NotYet):
                await wait_alone(self._database, message.id, found.seconds)
                await self._writer.release(Settlement(assignment))
                return None
            if found.endpoint and not assignment.entry.chosen:
                await bind_to(self._database, message.id, found.endpoint)
        except StoreUnavailable:
            await self.put_back(assignment, after_ms=1000)
            return None
        if not found.endpoint:
            return assignment, found.message, found.note
        bound = replace(assignment.entry, endpoint=found.endpoint, chosen=True)
        if found.endpoint != assignment.endpoint:
            await self._writer.release(Settlement(assignment, follow_up=FollowUp(bound)))
            return None
        return msgspec.structs.replace(assignment, entry=bound), found.message, found.note

    async def _give_elsewhere(self, assignment: Assignment, to: Elsewhere) -> None:
        """Hands the entry to an account that fits; the slot goes back as it was, no time is lost."""
        entry = replace(assignment.entry, endpoint=to.endpoint, excluded=to.excluded)
        follow_up = FollowUp(entry, rebind=True, otherwise_ms=round(to.otherwise * 1000))
        await self._writer.release(Settlement(assignment, follow_up=follow_up))

    async def _postpone(self, assignment: Assignment, message: PeekedMessage, later: Later) -> None:
        """A long wait is Postgres' alone: parked in Redis, a campaign at night would all be there in the morning."""
        if later.seconds <= LONGEST_PARKED and not later.held:
            return await self.put_back(assignment, after_ms=round(later.seconds * 1000) + 1)
        try:
            if later.held:
                await wait_for_contact(self._database, message.id, later.seconds, message.looked_at)
            else:
                await postpone(self._database, message.id, later.seconds)
        except StoreUnavailable:
            return await self.put_back(assignment, after_ms=1000)
        log.debug("postponed", message=str(message.id), seconds=round(later.seconds), reason=later.reason)
        await self._writer.release(Settlement(assignment))
        return None

    async def put_back(self, assignment: Assignment, after_ms: int = 0, slot_pause_ms: int = -1) -> None:
        """Ends an assignment without an attempt: the entry goes back, the slot as it was."""
        follow_up = FollowUp(assignment.entry, due_ms=after_ms)
        await self._writer.release(
            Settlement(assignment, ready_ms=slot_pause_ms, bulk_ready_ms=max(0, slot_pause_ms), follow_up=follow_up)
        )

    async def _hand_on(self, assignment: Assignment, message: PeekedMessage, trouble: Answer) -> None:
        """Ends an assignment whose account showed before the gate that it cannot send: its breaker is told, and another
        account takes the message, or this one later."""
        if trouble.too_late:
            return await self.put_back(assignment)
        wait_ms = round(1000 * backoff(self._rules.base_delay, 1, self._chance))
        settlement = Settlement(
            assignment,
            ready_ms=_SUSPENDED_PAUSE_MS,
            bulk_ready_ms=_SUSPENDED_PAUSE_MS,
            outcome=trouble.breaker_outcome,
            reason=trouble.reason,
            follow_up=_elsewhere(assignment.entry, assignment.endpoint, message, wait_ms),
        )
        log.info("not begun", message=str(message.id), endpoint=assignment.endpoint, reason=trouble.reason)
        await self._writer.release(settlement)
        return None

    async def _upload(self, assignment: Assignment, message: PeekedMessage) -> Upload | bool | None:
        """The file to be sent, None for none; False: there is none, and the assignment is over."""
        try:
            upload = await self._media.upload_for(message)
            await self._sent_names.note(message, upload)
            return upload
        except MediaLater as error:
            # Not a warning: a campaign whose file takes a minute would give thousands.
            log.debug("media not there yet", message=str(message.id), reason=str(error))
            await self.put_back(assignment, after_ms=error.seconds * 1000)
        except StoreUnavailable:
            await self.put_back(assignment, after_ms=1000)
        except OSError as error:
            # Our own disk is full or gone, which is not for ever.
            log.error("no place for media", message=str(message.id), reason=str(error))
            await self.put_back(assignment, after_ms=5000)
        except MediaUnusable as error:
            await self._fail(assignment, message.id, str(error))
        return False

    async def _fail(self, assignment: Assignment, message: UUID, reason: str) -> None:
        """Ends a message that can never be sent, without an attempt."""
        try:
            await end_unsendable(self._database, count_shard(self._dispatcher), [message], Status.FAILED, reason)
        except StoreUnavailable:
            await self.put_back(assignment, after_ms=1000)
        else:
            await self._writer.release(Settlement(assignment))

    async def _begin(self, assignment: Assignment, message: PeekedMessage, deadline: StartDeadline) -> bool:
        """Passes the gate, or ends the assignment."""
        request = GateRequest(
            message=message.id,
            number=assignment.entry.attempt,
            token=assignment.token,
            endpoint=assignment.endpoint,
            slot=assignment.slot_number,
            seconds=round(START_LIMIT + self._settings.request_seconds(message.kind) + DEADLINE_MARGIN),
            gap=self._rate.of(assignment.endpoint).recipient_gap / 1000 if assignment.lane is Lane.BULK else 0.0,
        )
        outcome = await self._gate.begin(assignment.epoch, request, deadline.begun_at)
        match outcome:
            case "passed":
                return True
            case "put_back":
                # The endpoint is suspended, or a dispatcher that died still has an attempt open on this slot.
                await self.put_back(assignment, slot_pause_ms=_SUSPENDED_PAUSE_MS)
            case "later":
                # Somebody else is just writing to this person; how long to wait is known when that is settled.
                await self.put_back(assignment, after_ms=_LOOK_AT_GAP_MS)
            case "unanswered":
                await self._settle(
                    assignment, message, Answer(Verdict.NOT_SENT, "the gate did not answer", too_late=True)
                )
            case _:
                await self._writer.release(Settlement(assignment))
        return False

    async def _send(
        self,
        endpoint: Endpoint,
        assignment: Assignment,
        message: PeekedMessage,
        upload: Upload | bool | None,
        deadline: StartDeadline,
    ) -> Answer:
        content = self._media.content_for(message, isinstance(upload, Upload))
        file = upload if isinstance(upload, Upload) else None
        try:
            request = request_for(message.kind, message.phone, content, file, deadline)
        except OSError:
            # Deleted since it was looked up; the next attempt brings it anew.
            return Answer(Verdict.NOT_SENT, "the file to upload was deleted", too_late=True)
        self._breakers.saw(endpoint.id, assignment.breaker, assignment.epoch, int(assignment.generation))
        answer = await self._breakers.send(
            endpoint.id, lambda: self._client.send(endpoint, message.kind, request, deadline)
        )
        _ANSWER_SECONDS[message.kind, answer.verdict].observe(answer.elapsed_ms / 1000)
        return await self._judging.judge(endpoint, assignment.entry, message, answer)

    async def _settle(self, assignment: Assignment, message: PeekedMessage, answer: Answer) -> None:
        """Verdict into Postgres, then entry, slot and breaker in Redis."""
        if answer.verdict is Verdict.COLD_CONTACT_LOCKED:
            await self._note_cold_contact(assignment, message)
        following = next_after(
            answer, message.kind.value, message.tries_used, assignment.entry.attempt, self._rules, self._chance
        )
        status = await self._writer.record(
            AttemptResult(
                message=message.id,
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
        )
        if answer.verdict is Verdict.COLD_CONTACT_LOCKED and status is Status.RETRYING:
            # So that it comes back at once when the recipient writes, and not only after hours.
            await self._writer.repeated(
                "postgres",
                lambda: wait_for_contact(self._database, message.id, following.seconds, message.looked_at),
            )
        follow_up = _follow_up(assignment, message, following, status)
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
        # A line for each message that went well would be most of a dispatcher's work.
        tell = log.debug if answer.verdict is Verdict.SENT else log.info
        tell(
            "attempt",
            message=str(message.id),
            number=assignment.entry.attempt,
            endpoint=assignment.endpoint,
            verdict=answer.verdict.value,
            status=status.value if status else "moved on",
            reason=answer.reason,
            ms=answer.elapsed_ms,
        )

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

    def _pause(self, assignment: Assignment, answer: Answer) -> Pause:
        if answer.too_late:
            return Pause(-1, 0, assignment.since_break)
        return pause_after(self._rate.of(assignment.endpoint), assignment.lane, assignment.since_break, self._chance)


def _follow_up(
    assignment: Assignment, message: PeekedMessage, following: Next, status: Status | None
) -> FollowUp | None:
    """The entry of the next attempt. A check waits in Postgres alone; so does nothing that has ended."""
    if status is not Status.RETRYING:
        return None
    entry = replace(assignment.entry, attempt=assignment.entry.attempt + 1)
    if following.way == "elsewhere":
        return _elsewhere(entry, assignment.endpoint, message, round(following.seconds * 1000))
    again = replace(entry, endpoint=entry.endpoint if entry.chosen else "", excluded=())
    return FollowUp(again, due_ms=round(following.seconds * 1000))


def _elsewhere(entry: Entry, tried: str, message: PeekedMessage, wait_ms: int) -> FollowUp:
    """The entry for another account than ``tried``; for the same after ``wait_ms`` where the caller has chosen it."""
    if entry.chosen:
        return FollowUp(replace(entry, excluded=()), due_ms=wait_ms)
    excluded = tuple(dict.fromkeys((*entry.excluded, *message.not_through, tried)))
    # Also after a contact was refused for hours: another account may, as soon as it can send.
    most_ms = round(LOOK_AGAIN * 1000)
    return FollowUp(replace(entry, endpoint="", excluded=excluded), rebind=True, otherwise_ms=min(wait_ms, most_ms))
