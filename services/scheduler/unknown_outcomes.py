"""Outcomes that nobody knows: attempts whose answer cannot come any more are looked up in the account's chat storage.

Found there: sent. An account that answers and has nothing: what the message's ``on_unknown`` says. An account that does not
answer proves nothing; it is asked again until UNKNOWN_CHECK_LIMIT.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
import structlog
from prometheus_client import Counter

from services.scheduler.storage_match import BEFORE, candidates, stored_content
from shared.database.connection import Database
from shared.database.unanswered import UnknownOutcome, claim_checks, decide, find_unanswered, known_ids
from shared.endpoints.gowa import EndpointUnreachable, sent_messages
from shared.endpoints.identity import Endpoint
from shared.messages import Status
from shared.observability.metrics import possible_duplicates

log = structlog.get_logger()
_found = Counter("paceline_unanswered_attempts_total", "Attempts that passed their deadline without a verdict")
_decided = Counter("paceline_unknown_outcomes_total", "Unknown outcomes by what they became", ["status"])
_AGAIN = 30.0
"""Seconds until an outcome that could not be looked up is looked up again; a look takes 15 s at most."""
_BATCH = 20
_FIND_BATCH = 500


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
    ) -> None:
        """``check_limit``: seconds from the first look to the last."""
        self._database = database
        self._session = session
        self._endpoints = endpoints
        self._shard = shard
        self._check_seconds = check_seconds
        self._check_limit = check_limit
        self._resends = resends

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
        try:
            whatsapp_id = await self._look_up(outcome)
        except EndpointUnreachable as error:
            if outcome.checked_for < self._check_limit:
                log.info("outcome not looked up yet", message=str(outcome.message), reason=str(error))
                return
            await self._decide(outcome, None, "unchecked: the account could not be reached")
            return
        if whatsapp_id is None:
            await self._decide(outcome, None, "no answer, and not in the account's chat storage")
        else:
            await self._decide(outcome, whatsapp_id, "found in the account's chat storage")

    async def _look_up(self, outcome: UnknownOutcome) -> str | None:
        """The id of the message that was sent, None: none was. Raises EndpointUnreachable."""
        endpoint = self._endpoints.get(outcome.endpoint)
        if endpoint is None:
            raise EndpointUnreachable("it is not in the settings")
        stored = await sent_messages(self._session, endpoint, outcome.phone, outcome.started_at - BEFORE)
        content = stored_content(outcome.kind, outcome.content, outcome.filename)
        known = await known_ids(self._database, endpoint.id, [line.id for line in stored])
        found = candidates(stored, content, outcome.started_at, outcome.finished_at, known)
        return found[0] if found else None

    async def _decide(self, outcome: UnknownOutcome, whatsapp_id: str | None, reason: str) -> None:
        status = await decide(self._database, outcome.message, whatsapp_id, reason, self._shard, self._resends)
        # None: it was decided meanwhile, or a message with the same text took this id; then it is looked up again.
        if status is not None:
            _decided.labels(status.value).inc()
            if status is Status.RETRYING:
                possible_duplicates.inc()
            log.info("outcome decided", message=str(outcome.message), status=status.value, reason=reason)
