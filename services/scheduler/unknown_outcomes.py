"""Outcomes that nobody knows: attempts whose answer cannot come any more are looked up.

A receipt that can only be about the attempt: sent. Found in the account's chat storage: sent. Nothing there: what the
message's ``on_unknown`` says, but only once that is a proof. It is one of the account that sent alone, not of one that is
logged out or paired with another number, and not while its sender has just been out of reach: what waits in a frozen or cut
off sender goes out when it is back. Until then it is looked up again, for UNKNOWN_CHECK_LIMIT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import aiohttp
import structlog
from prometheus_client import Counter

from services.scheduler.account_answers import ask_account
from services.scheduler.storage_match import SKEW, candidates, seconds_to_proof, sent_until, stored_contents
from shared.database.account_answers import note_silence
from shared.database.connection import Database
from shared.database.receipts import ReceiptProof, prove_by_receipt
from shared.database.unanswered import (
    UnknownOutcome,
    claim_checks,
    decide,
    find_unanswered,
    known_ids,
    look_again,
    others_under_way,
)
from shared.endpoints.gowa import EndpointUnreachable, sent_messages
from shared.endpoints.identity import Endpoint
from shared.messages import Status
from shared.observability.metrics import possible_duplicates

log = structlog.get_logger()
_found = Counter("paceline_unanswered_attempts_total", "Attempts that passed their deadline without a verdict")
_decided = Counter("paceline_unknown_outcomes_total", "Unknown outcomes by what they became", ["status"])
_AGAIN = 30.0
"""Seconds until an outcome that could not be looked up is looked up again; a look takes 25 s at most."""
_BETWEEN_ANSWERS = 10.0
"""Seconds between two looks while a proof is waited for; with it the looks alone are answers without a gap."""
_WHILE_BUSY = 5.0
"""Seconds until a receipt or a stored message is looked at again that may be another one's, under way to the same person."""
_BATCH = 20
_FIND_BATCH = 500


class _NoProof(Exception):
    """Nothing can be concluded now; the words say why, for people who have to decide."""


class _CannotTell(_NoProof):
    """Nothing can be concluded here, however often it is tried: no look was ever possible."""


class _NoProofYet(Exception):
    """What was seen may be a proof after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a proof in {seconds:.0f} s")
        self.seconds = seconds


class UnknownOutcomes:
    name = "unknown_outcomes"
    interval = 2.0

    def __init__(
        self,
        database: Database,
        session: aiohttp.ClientSession,
        endpoints: Mapping[str, Endpoint],
        shard: int,
        check_seconds: dict[str, float],
        check_limit: float,
        resends: int,
        reachable_seconds: float,
    ) -> None:
        """``check_limit``: seconds from the first look to the last. ``reachable_seconds``: for how long a sender must have
        answered without a gap before "nothing there" is a proof."""
        self._database = database
        self._session = session
        self._endpoints = endpoints
        self._shard = shard
        self._check_seconds = check_seconds
        self._check_limit = check_limit
        self._resends = resends
        self._reachable_seconds = reachable_seconds

    async def step(self) -> float | None:
        """At once again while there is more."""
        found = await find_unanswered(self._database, self._check_seconds, _FIND_BATCH)
        if found:
            _found.inc(found)
            log.warning("attempts without an answer", attempts=found)
        checks = await claim_checks(self._database, _BATCH, _AGAIN)
        await asyncio.gather(*(self._check(outcome) for outcome in checks))
        return 0.0 if found == _FIND_BATCH or len(checks) == _BATCH else None

    async def _check(self, outcome: UnknownOutcome) -> None:
        if not outcome.open:
            # Decides nothing and removes what is left.
            await self._decide(outcome, None, "")
            return
        if await self._receipt_tells(outcome):
            return
        try:
            whatsapp_id = await self._look_up(outcome)
        except _NoProofYet as error:
            if outcome.checked_for >= self._check_limit + 2 * self._reachable_seconds:
                await self._decide(outcome, None, "not looked up: the account keeps being out of reach")
                return
            await look_again(self._database, outcome.message, min(error.seconds + 0.05, _BETWEEN_ANSWERS))
            log.info("no proof yet", message=str(outcome.message), seconds=round(error.seconds, 1))
        except _NoProof as error:
            if outcome.checked_for < self._check_limit:
                tell = log.warning if isinstance(error, _CannotTell) else log.info
                tell("outcome not looked up yet", message=str(outcome.message), reason=str(error))
                return
            # A newer scheduler beside this one may have found it; sent again for want of a look it would double.
            most = 0 if isinstance(error, _CannotTell) else self._resends
            await self._decide(outcome, None, f"not looked up: {error}", most)
        else:
            found = "found in the account's chat storage"
            missing = "no answer, no receipt, and not in the account's chat storage"
            await self._decide(outcome, whatsapp_id, found if whatsapp_id else missing)

    async def _receipt_tells(self, outcome: UnknownOutcome) -> bool:
        """Whether there is nothing to look up now: a receipt proves the attempt, or it cannot be told yet whether it does."""
        proof = await prove_by_receipt(self._database, self._shard, outcome.endpoint, outcome.phone_key)
        if proof is ReceiptProof.PROVEN:
            _decided.labels(Status.SENT.value).inc()
            log.info("outcome decided", message=str(outcome.message), status="sent", reason="proven by a receipt")
            return True
        if proof is ReceiptProof.BUSY and outcome.checked_for < self._check_limit:
            await look_again(self._database, outcome.message, _WHILE_BUSY)
            return True
        return False

    async def _look_up(self, outcome: UnknownOutcome) -> str | None:
        """The id of the message that was sent, None: none was. Raises _NoProof, _NoProofYet."""
        if outcome.kind is None:
            raise _CannotTell("this version does not know its kind")
        contents = stored_contents(outcome.kind, outcome.content, outcome.filename, outcome.sent_names)
        if contents is None:
            raise _CannotTell(f"how the chat storage shows this {outcome.kind.value} is not known")
        endpoint = self._endpoints.get(outcome.endpoint)
        if endpoint is None:
            raise _NoProof("the account is not in the settings")
        answering = await self._answering(endpoint, outcome)
        try:
            sent = await sent_messages(self._session, endpoint, outcome.phone, outcome.started_at - SKEW)
        except EndpointUnreachable as error:
            await note_silence(self._database, endpoint.id)
            raise _NoProof("the account could not be reached") from error
        until = sent_until(outcome.finished_at, outcome.claimed_at - timedelta(seconds=answering))
        known = await known_ids(self._database, [line.id for line in sent.lines])
        found = candidates(sent.lines, contents, outcome.started_at, until, known)
        if found:
            # Looked for after the look: what has ended by now has an id that nobody else can take.
            if await others_under_way(self._database, endpoint.id, outcome.phone_key, outcome.message):
                raise _NoProofYet(_WHILE_BUSY)
            return found[0]
        if not sent.complete:
            raise _NoProof("the chat could not be read whole")
        ended = (outcome.claimed_at - outcome.finished_at).total_seconds()
        wait = seconds_to_proof(self._reachable_seconds, answering, ended)
        if wait > 0:
            raise _NoProofYet(wait)
        # Once more, since the account may have been logged out between the question and the look.
        await self._answering(endpoint, outcome)
        return None

    async def _answering(self, endpoint: Endpoint, outcome: UnknownOutcome) -> float:
        """For how many seconds the sender has answered without a gap, of the account that the attempt went through. Raises
        _NoProof."""
        try:
            number, answering = await ask_account(self._database, self._session, endpoint)
        except EndpointUnreachable as error:
            raise _NoProof("the account could not be reached") from error
        if number == "":
            raise _NoProof("the account is logged out")
        if outcome.account is not None and number != outcome.account:
            raise _NoProof("the account is another number now")
        return answering

    async def _decide(
        self, outcome: UnknownOutcome, whatsapp_id: str | None, reason: str, resends: int | None = None
    ) -> None:
        """``resends``: how often it may be sent again, where not as often as usual."""
        most = self._resends if resends is None else resends
        status = await decide(self._database, outcome.message, whatsapp_id, reason, self._shard, most)
        # None: it was decided meanwhile, or a message with the same text took this id; then it is looked up again.
        if status is not None:
            _decided.labels(status.value).inc()
            if status is Status.RETRYING:
                possible_duplicates.inc()
            log.info("outcome decided", message=str(outcome.message), status=status.value, reason=reason)
