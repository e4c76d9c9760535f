"""The stages of one message as types: taken -> prepared -> typed -> begun -> answered -> settled.

Each step takes what the one before it has made, so that none can be left out or come twice. What ends an assignment without an
attempt is a ``Settlement``, in place of the next stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from services.dispatcher.sending.deadline import StartDeadline
from services.dispatcher.sending.payloads import Upload
from services.dispatcher.sending.verdict import Answer
from shared.database.attempts import PeekedMessage
from shared.endpoints.identity import Endpoint
from shared.queue.taking import Assignment


class TakenMessage(Struct, frozen=True):
    """An assignment, the message as peek saw it, and the ``boottime`` from before it was taken."""

    assignment: Assignment
    message: PeekedMessage
    taken_at: float


class AddressedMessage(Struct, frozen=True):
    """Bound to the account that it can only go through, if there is one. ``note``: what its caller is told once it is sent."""

    assignment: Assignment
    message: PeekedMessage
    note: str = ""


class PreparedMessage(Struct, frozen=True):
    """It may go through ``endpoint`` now, with ``content`` as the sender's fields and ``upload`` as its file."""

    assignment: Assignment
    message: PeekedMessage
    endpoint: Endpoint
    content: Mapping[str, Any]
    upload: Upload | None
    note: str
    taken_at: float


class TypedMessage(Struct, frozen=True):
    """Its recipient has seen that the account types, where that is shown."""

    prepared: PreparedMessage


class BegunAttempt(Struct, frozen=True):
    """It has passed the gate: from here it may have been sent, so it must come to a verdict."""

    prepared: PreparedMessage
    deadline: StartDeadline


class AnsweredAttempt(Struct, frozen=True):
    """Its answer with the final verdict."""

    prepared: PreparedMessage
    answer: Answer
