"""What becomes of an answer to a message of ours: quoted through the right account, in time, or sent and said to be without."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.dispatcher.replies import NotYet, Ready, answered_message, resolved
from shared.database.attempts import PeekedMessage
from shared.database.replies import Original
from shared.messages import TERMINAL, Entry, Kind, Lane, OnUnknown, Status, new_message_ids

ANSWERED = UUID("019f0000-0000-7000-8000-000000000001")
ACCOUNTS = ("a", "b")
[ID] = new_message_ids()
ACCEPTED = datetime.fromtimestamp((ID.int >> 80) / 1000, UTC)
ENTRY = Entry(ID, 1, Lane.TRANSACTIONAL)


def message(content: dict[str, Any] | None = None, waited: float = 0.0) -> PeekedMessage:
    return PeekedMessage(
        id=ID, attempt=0, status=Status.QUEUED, kind=Kind.MESSAGE, phone="447700900001", campaign=None, tries_used=0,
        crashes=0, on_unknown=OnUnknown.HOLD, content={"message": "hi", "reply_message_id": str(ANSWERED)} if content is None
        else content, media=None, refusal=None, looked_at=ACCEPTED + timedelta(seconds=waited),
    )  # fmt: skip


@pytest.mark.parametrize("given", [str(ANSWERED), str(ANSWERED).upper(), f" {ANSWERED} "])
def test_a_message_of_ours_is_known_by_its_form(given: str) -> None:
    assert answered_message(message({"reply_message_id": given})) == ANSWERED


@pytest.mark.parametrize("given", ["3EB0A1B2C3D4E5F6071829", ANSWERED.hex, f"{ANSWERED}0", "", None, 7])
def test_other_ids_are_the_sender_s(given: object) -> None:
    assert answered_message(message({"reply_message_id": given})) is None
    assert answered_message(message({})) is None


SENT = Original(Status.SENT, "3EB0A", "a")


def test_it_is_quoted_by_the_whatsapp_id_through_the_account_that_has_it() -> None:
    found = resolved(message(), ENTRY, SENT, ACCOUNTS)
    assert isinstance(found, Ready)
    assert (found.endpoint, found.note) == ("a", "")
    assert found.message.content == {"message": "hi", "reply_message_id": "3EB0A"}
    bound = replace(ENTRY, endpoint="a", chosen=True)
    assert resolved(message(), bound, SENT, ACCOUNTS) == found
    # Where it is bound for another reason, the account with the message goes before.
    assert resolved(message(), replace(ENTRY, endpoint="b"), SENT, ACCOUNTS) == found


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
@pytest.mark.parametrize(("waited", "wait"), [(-5, 2), (0, 2), (20, 5), (100, 25), (86_400, 60)])
def test_it_waits_while_the_other_may_still_be_sent(status: Status, waited: float, wait: float) -> None:
    found = resolved(message(waited=waited), ENTRY, Original(status, "", ""), ACCOUNTS)
    assert isinstance(found, NotYet)
    assert found.seconds == pytest.approx(wait)


@pytest.mark.parametrize(
    ("original", "entry"),
    [
        (None, ENTRY),
        *((Original(status, "", ""), ENTRY) for status in sorted(TERMINAL)),
        (Original(Status.SENT, "3EB0A", "gone"), ENTRY),
        (SENT, replace(ENTRY, endpoint="b", chosen=True)),
    ],
)
def test_it_goes_without_a_quote_that_cannot_be_had_and_says_so(original: Original | None, entry: Entry) -> None:
    found = resolved(message(), entry, original, ACCOUNTS)
    assert isinstance(found, Ready)
    assert found.message.content == {"message": "hi"}
    assert found.endpoint == ""
    assert found.note.startswith("sent without the quote: ")
