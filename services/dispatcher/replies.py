"""What becomes of an answer to a message of ours, given by its Paceline id: a pure rule over what became of that message.

It is sent through the account that sent the other, with the other's WhatsApp id, as soon as there is one. It waits while that
may still come, and goes without the quote, saying so, when it cannot come any more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import msgspec

from shared.database.attempts import PeekedMessage
from shared.database.replies import Original
from shared.messages import WAITING, Entry, Status, own_message_id

_SHORTEST_WAIT = 2.0
_LONGEST_WAIT = 60.0
_FIELD = "reply_message_id"


@dataclass(frozen=True, slots=True)
class Ready:
    """``message`` as it is to be sent. ``endpoint``: the account that has to send it, '' any. ``note``: what the caller is
    told of it, ''."""

    message: PeekedMessage
    endpoint: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """To be looked at again in ``seconds``."""

    seconds: float


def answered_message(message: PeekedMessage) -> UUID | None:
    """The message of ours that this one answers; None: it answers none, or one by its WhatsApp id."""
    return own_message_id(message.content.get(_FIELD))


def resolved(
    message: PeekedMessage, entry: Entry, original: Original | None, endpoints: Collection[str]
) -> Ready | NotYet:
    """``original``: what is answered, None if it is gone. ``endpoints``: those of the settings."""
    if original is None:
        return _without(message, "the message that it answers is not kept any more")
    if original.whatsapp_id:
        if original.endpoint not in endpoints:
            return _without(message, "the account that has the message it answers is not in the settings any more")
        if entry.chosen and entry.endpoint != original.endpoint:
            return _without(message, "another account has the message that it answers")
        content = {**message.content, _FIELD: original.whatsapp_id}
        return Ready(msgspec.structs.replace(message, content=content), original.endpoint)
    if original.status in WAITING or original.status is Status.SENDING:
        # The longer it has waited, the longer the other will take: hours, at night.
        waited = message.looked_at.timestamp() - (message.id.int >> 80) / 1000
        return NotYet(min(_LONGEST_WAIT, max(_SHORTEST_WAIT, waited / 4)))
    if original.status is Status.SENT:
        return _without(message, "the message that it answers was sent without a WhatsApp id")
    return _without(message, "the message that it answers was not sent")


def _without(message: PeekedMessage, why: str) -> Ready:
    content = {name: value for name, value in message.content.items() if name != _FIELD}
    return Ready(msgspec.structs.replace(message, content=content), note=f"sent without the quote: {why}")
