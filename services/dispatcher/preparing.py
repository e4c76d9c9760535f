"""Taken -> prepared: whether and through which account a message may go now, and with which file. Writes nothing that a second
look would not write again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import msgspec
import structlog

from services.dispatcher.rate import CurrentRate
from services.dispatcher.replies import NotYet, answered_message, resolved
from services.dispatcher.routing import Elsewhere, Fits, Later, fit
from services.dispatcher.sending.media_files import MediaFiles
from services.dispatcher.sending.payloads import Upload
from services.dispatcher.sending.remote_files import MediaLater, MediaUnusable
from services.dispatcher.sending.sent_names import SentNames
from services.dispatcher.settlement import put_back
from services.dispatcher.stages import AddressedMessage, PreparedMessage, TakenMessage
from shared.database.attempts import PeekedMessage, end_unsendable
from shared.database.connection import Database
from shared.database.postponing import postpone, wait_alone, wait_for_contact
from shared.database.replies import bind_to, original
from shared.endpoints.identity import Endpoint
from shared.errors import StoreUnavailable
from shared.messages import Status
from shared.queue.taking import Assignment, FollowUp, Settlement

log = structlog.get_logger()
LONGEST_PARKED = 60.0
"""Seconds that a message which may not be sent yet waits in Redis, at most."""
_AWAY_MS = 1000
"""While Postgres is away: about as long as a failover takes to show, and no load on a server that comes back."""
_NO_PLACE_MS = 5000
"""While our disk is full: other dispatchers may have room, and the janitor frees some."""


class Preparing:
    """``endpoints``: those of the settings, by id. ``shard``: of ``campaign_counts``."""

    def __init__(
        self,
        database: Database,
        endpoints: Mapping[str, Endpoint],
        rate: CurrentRate,
        media: MediaFiles,
        shard: int,
    ) -> None:
        self._database = database
        self._endpoints = endpoints
        self._rate = rate
        self._media = media
        self._sent_names = SentNames(database)
        self._shard = shard

    async def prepare(self, taken: TakenMessage) -> PreparedMessage | Settlement:
        """The message as it is to be sent now through the account it was given, or what becomes of the assignment."""
        try:
            addressed = await self._addressed(taken.assignment, taken.message)
            if isinstance(addressed, Settlement):
                return addressed
            if (unfit := await self._unfit(addressed)) is not None:
                return unfit
            return await self._with_file(addressed, taken.taken_at)
        except StoreUnavailable:
            return put_back(taken.assignment, after_ms=_AWAY_MS)

    async def _addressed(self, assignment: Assignment, message: PeekedMessage) -> AddressedMessage | Settlement:
        """An answer to a message of ours: through the account that has that message, with its WhatsApp id. Raises
        DatabaseUnavailable."""
        if (answered := answered_message(message)) is None:
            return AddressedMessage(assignment, message)
        found = resolved(message, assignment.entry, await original(self._database, answered), self._endpoints)
        if isinstance(found, NotYet):
            await wait_alone(self._database, message.id, found.seconds)
            return Settlement(assignment)
        if not found.endpoint:
            return AddressedMessage(assignment, found.message, found.note)
        if not assignment.entry.chosen:
            await bind_to(self._database, message.id, found.endpoint)
        bound = replace(assignment.entry, endpoint=found.endpoint, chosen=True)
        if found.endpoint != assignment.endpoint:
            return Settlement(assignment, follow_up=FollowUp(bound))
        return AddressedMessage(msgspec.structs.replace(assignment, entry=bound), found.message, found.note)

    async def _unfit(self, addressed: AddressedMessage) -> Settlement | None:
        """What becomes of it where it may not go through this account now. Raises DatabaseUnavailable."""
        assignment, endpoint = addressed.assignment, addressed.assignment.endpoint
        match fit(assignment.entry, endpoint, addressed.message, self._rate.of(endpoint), self._endpoints):
            case Fits():
                return None
            case Elsewhere() as elsewhere:
                return _given_elsewhere(assignment, elsewhere)
            case Later() as later:
                return await self._postponed(assignment, addressed.message, later)

    async def _postponed(self, assignment: Assignment, message: PeekedMessage, later: Later) -> Settlement:
        """A long wait is Postgres' alone: parked in Redis, a campaign at night would all be there in the morning."""
        if later.held:
            await wait_for_contact(self._database, message.id, later.seconds, message.looked_at)
        elif later.seconds <= LONGEST_PARKED:
            return put_back(assignment, after_ms=round(later.seconds * 1000) + 1)
        else:
            await postpone(self._database, message.id, later.seconds)
        log.debug("postponed", message=str(message.id), seconds=round(later.seconds), reason=later.reason)
        return Settlement(assignment)

    async def _with_file(self, addressed: AddressedMessage, taken_at: float) -> PreparedMessage | Settlement:
        """Raises DatabaseUnavailable."""
        assignment, message = addressed.assignment, addressed.message
        try:
            upload = await self._upload(message)
        except MediaLater as error:
            # Not a warning: a campaign whose file takes a minute would give thousands.
            log.debug("media not there yet", message=str(message.id), reason=str(error))
            return put_back(assignment, after_ms=error.seconds * 1000)
        except OSError as error:
            # Our own disk is full or gone, which is not for ever.
            log.error("no place for media", message=str(message.id), reason=str(error))
            return put_back(assignment, after_ms=_NO_PLACE_MS)
        except MediaUnusable as error:
            return await self._failed(assignment, message.id, str(error))
        return PreparedMessage(
            assignment=assignment,
            message=message,
            endpoint=self._endpoints[assignment.endpoint],
            content=self._media.content_for(message, upload is not None),
            upload=upload,
            note=addressed.note,
            taken_at=taken_at,
        )

    async def _upload(self, message: PeekedMessage) -> Upload | None:
        """The file to be sent, None for none."""
        upload = await self._media.upload_for(message)
        await self._sent_names.note(message, upload)
        return upload

    async def _failed(self, assignment: Assignment, message: UUID, reason: str) -> Settlement:
        """Ends a message that can never be sent, without an attempt. Raises DatabaseUnavailable."""
        await end_unsendable(self._database, self._shard, [message], Status.FAILED, reason)
        return Settlement(assignment)


def _given_elsewhere(assignment: Assignment, to: Elsewhere) -> Settlement:
    """Hands the entry to an account that fits; the slot goes back as it was, no time is lost."""
    entry = replace(assignment.entry, endpoint=to.endpoint, excluded=to.excluded)
    return Settlement(assignment, follow_up=FollowUp(entry, rebind=True, otherwise_ms=round(to.otherwise * 1000)))
