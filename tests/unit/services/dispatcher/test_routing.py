"""Which message goes through which account: known chats stay, locked ones move, and nothing goes round in circles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.routing import FITS, LOOK_AGAIN, Elsewhere, Fits, Later, another_may_send, fit
from shared.database.attempts import PeekedMessage
from shared.endpoints.pacing import profile_of
from shared.messages import Entry, Kind, Lane, OnUnknown, Status
from shared.settings import PacingSettings

PROFILE = profile_of(PacingSettings())
NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
NIGHT = datetime(2026, 6, 10, 23, tzinfo=UTC)
ACCOUNTS = ("a", "b", "c")
ENTRY = Entry(UUID(int=1), 1, Lane.TRANSACTIONAL)
BULK = replace(ENTRY, lane=Lane.BULK)


def message(**fields: Any) -> PeekedMessage:
    return PeekedMessage(
        id=UUID(int=1), attempt=0, status=Status.QUEUED, kind=Kind.MESSAGE, phone="447700900001", campaign=None,
        tries_used=0, crashes=0, on_unknown=OnUnknown.HOLD, content={}, media=None, refusal=None,
        **{"looked_at": NOON, **fields},
    )  # fmt: skip


def judge(
    entry: Entry = ENTRY, endpoint: str = "a", now: datetime = NOON, profile: Any = PROFILE, **fields: Any
) -> Any:
    return fit(entry, endpoint, message(looked_at=now, **fields), profile, ACCOUNTS)


def test_a_stranger_goes_through_whoever_is_next() -> None:
    assert judge() is FITS


def test_a_recipient_stays_with_the_account_that_talked_to_them_last() -> None:
    assert judge(talked_to_by=("b", "a")) == Elsewhere("b", (), LOOK_AGAIN)
    assert judge(talked_to_by=("a", "b")) is FITS


def test_not_with_an_account_that_is_gone_or_has_failed_this_time() -> None:
    assert judge(talked_to_by=("gone",)) is FITS
    assert judge(replace(ENTRY, excluded=("b",)), talked_to_by=("b",)) is FITS


def test_what_is_bound_is_not_bound_again() -> None:
    assert judge(replace(ENTRY, endpoint="a"), talked_to_by=("b",)) is FITS


def test_a_locked_contact_goes_to_others_and_never_back() -> None:
    assert judge(locked_endpoints={"a": 900.0}) == Elsewhere("", ("a",), LOOK_AGAIN)
    assert judge(locked_endpoints={"a": 900.0, "b": 60.0}) == Elsewhere("", ("a", "b"), LOOK_AGAIN)
    assert judge(endpoint="c", locked_endpoints={"a": 900.0}) is FITS


def test_where_no_account_may_write_it_waits_for_the_first_that_may() -> None:
    later = judge(locked_endpoints={"a": 900.0, "b": 60.0, "c": 70.0})
    assert isinstance(later, Later)
    assert (later.seconds, later.held) == (60.0, True)


def test_a_held_account_keeps_its_chats() -> None:
    assert judge(held_endpoints={"a": 900.0}) == Elsewhere("", ("a",), LOOK_AGAIN)
    assert judge(held_endpoints={"a": 900.0}, talked_to_by=("a",)) is FITS
    # Known to another one, which is held as well.
    assert judge(held_endpoints={"a": 9.0, "b": 9.0}, talked_to_by=("b",)) == Elsewhere("b", ("a",), LOOK_AGAIN)
    # Another one that they have a chat with goes before one that they have none with.
    assert judge(held_endpoints={"a": 9.0}, talked_to_by=("c", "b")) == Elsewhere("c", ("a",), LOOK_AGAIN)
    assert judge(locked_endpoints={"a": 9.0, "c": 9.0}, talked_to_by=("c",)) == Elsewhere("", ("a", "c"), LOOK_AGAIN)
    assert judge(talked_to_by=("gone", "c")) == Elsewhere("c", (), LOOK_AGAIN)
    # A lock is about this very chat.
    assert judge(locked_endpoints={"a": 900.0}, talked_to_by=("a",)) == Elsewhere("", ("a",), LOOK_AGAIN)


def test_a_chosen_account_is_waited_for() -> None:
    chosen = replace(ENTRY, endpoint="a", chosen=True)
    later = judge(chosen, locked_endpoints={"a": 900.0})
    assert isinstance(later, Later)
    assert (later.seconds, later.held) == (900.0, True)
    # It failed a moment ago, which no word of the recipient changes.
    later = judge(replace(chosen, excluded=("a",)))
    assert isinstance(later, Later)
    assert (later.seconds, later.held) == (LOOK_AGAIN, False)


def test_campaigns_keep_quiet_hours_and_the_gap_and_texts_do_not() -> None:
    quiet = replace(PROFILE, quiet_from=21 * 60, quiet_until=8 * 60)
    assert isinstance(judge(BULK, profile=quiet, now=NIGHT), Later)
    assert judge(BULK, profile=quiet) is FITS
    assert judge(profile=quiet, now=NIGHT) is FITS
    gap = replace(PROFILE, recipient_gap=3_600_000)
    later = judge(BULK, profile=gap, seconds_since_last=600.0)
    assert isinstance(later, Later)
    assert later.seconds == 3000.0
    assert judge(BULK, profile=gap, seconds_since_last=3600.0) is FITS
    assert judge(BULK, profile=gap) is FITS
    assert judge(profile=gap, seconds_since_last=600.0) is FITS


subsets = st.sets(st.sampled_from(ACCOUNTS))
seconds = st.floats(1, 100_000)
closed = st.dictionaries(st.sampled_from(ACCOUNTS), seconds)


@given(subsets, closed, closed, st.permutations([*ACCOUNTS, "gone"]), st.integers(0, 4), st.booleans(), st.randoms())
def test_nothing_goes_round_in_circles(
    open_breakers: set[str],
    locked: dict[str, float],
    held: dict[str, float],
    talked: list[str],
    known: int,
    chosen: bool,
    chance: Any,
) -> None:
    """An entry that is handed on as the script that settles does it is sent or waits after two hands at most."""
    entry = replace(ENTRY, endpoint="a", chosen=True) if chosen else ENTRY
    endpoint = "a" if chosen else chance.choice(ACCOUNTS)
    fields: dict[str, Any] = {
        "locked_endpoints": locked,
        "held_endpoints": held,
        "talked_to_by": tuple(talked[:known]),
    }
    for _ in range(2):
        match judge(entry, endpoint, **fields):
            case Fits():
                assert endpoint not in locked
                assert endpoint not in held or endpoint in talked[:known]
                return
            case Later() as later:
                assert later.seconds >= 1
                return
            case Elsewhere() as to:
                assert not chosen
                assert endpoint != to.endpoint
                able = [name for name in ACCOUNTS if name not in open_breakers and name not in to.excluded]
                if not able:
                    assert to.otherwise >= 2
                    return
                endpoint = to.endpoint if to.endpoint in able else chance.choice(able)
                entry = replace(entry, endpoint=endpoint, excluded=to.excluded)
    assert isinstance(judge(entry, endpoint, **fields), Fits | Later)


def test_what_an_account_cannot_send_goes_to_another_and_never_back() -> None:
    assert judge(not_through=("a",)) == Elsewhere("", ("a",), LOOK_AGAIN)
    assert judge(endpoint="b", not_through=("a",)) is FITS
    # Known contact or not: it has said that it cannot.
    assert judge(endpoint="b", not_through=("a",), talked_to_by=("a",)) is FITS


def test_the_last_account_left_in_the_settings_is_asked_although_it_has_said_no() -> None:
    """The others were taken out of them meanwhile; only an answer ends the message."""
    assert judge(not_through=ACCOUNTS) is FITS


def test_whether_an_account_is_left() -> None:
    def left(entry: Entry = ENTRY, endpoint: str = "a", *unable: str) -> bool:
        return another_may_send(entry, endpoint, message(not_through=unable), ACCOUNTS)

    assert left()
    assert left(ENTRY, "a", "b")
    assert not left(ENTRY, "a", "b", "c")
    assert left(ENTRY, "a", "b", "gone")
    assert not left(replace(ENTRY, endpoint="a", chosen=True)), "the caller wants this account and no other"
    assert not another_may_send(ENTRY, "a", message(), ("a",))
