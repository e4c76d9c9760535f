"""What a message is: its states, its entry in a stream, its id."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages import TERMINAL, TRANSITIONS, WAITING, Entry, Lane, MessageIds, Status, new_message_ids
from tests.servers import ROOT

IDS = st.uuids()
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ENDPOINT_IDS = st.text("0123456789abcdef", min_size=1, max_size=16)
ENTRIES = st.builds(
    Entry,
    message=IDS,
    attempt=st.integers(1, 2**31 - 1),
    lane=st.sampled_from(Lane),
    endpoint=st.one_of(st.just(""), ENDPOINT_IDS),
    chosen=st.booleans(),
    crashes=st.integers(0, 1000),
    excluded=st.lists(ENDPOINT_IDS, max_size=5).map(tuple),
    trace=st.sampled_from(["", TRACE]),
    others=st.dictionaries(st.sampled_from(["z", "later"]), st.text(min_size=1)).map(
        lambda of: tuple(sorted(of.items()))
    ),
)


@given(ENTRIES)
def test_an_entry_survives_the_stream(entry: Entry) -> None:
    fields = entry.fields()
    assert all(isinstance(value, str) and value for value in fields.values())
    assert Entry.from_fields(fields, entry.lane) == entry


def test_what_a_newer_version_wrote_is_in_every_entry_that_follows() -> None:
    fields = {"v": "1", "m": UUID(int=1).hex, "n": "1", "t": TRACE, "later": "a", "z": "b"}
    following = replace(Entry.from_fields(fields, Lane.BULK), attempt=2, endpoint="a", excluded=("b",))
    assert following.fields() == fields | {"n": "2", "e": "a", "x": "b"}


def test_a_line_about_an_entry_has_the_trace_where_there_is_one() -> None:
    message = new_message_ids()[0]
    assert Entry(message, 1, Lane.BULK).log_fields() == {"message": str(message)}
    traced = Entry(message, 1, Lane.BULK, trace=TRACE)
    assert traced.log_fields() == {"message": str(message), "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert traced.ids() == {"message_ids": [str(message)]}


def test_a_plain_entry_is_small() -> None:
    entry = Entry(new_message_ids()[0], 1, Lane.BULK)
    assert set(entry.fields()) == {"v", "m", "n"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"v": "1"},
        {"v": "1", "m": "not an id", "n": "1"},
        {"v": "1", "m": UUID(int=1).hex, "n": "one"},
        {"v": "2", "m": UUID(int=1).hex, "n": "1"},
    ],
)
def test_what_is_no_entry_of_this_version_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Entry.from_fields(fields, Lane.BULK)


class TestIds:
    """UUIDv7 that only grow."""

    def test_they_are_version_7_of_the_variant_of_rfc_9562(self) -> None:
        for one in new_message_ids(1000):
            assert one.version == 7
            assert one.variant == "specified in RFC 4122"

    def test_a_hundred_thousand_are_unique_and_ascend(self) -> None:
        make = MessageIds().make
        ids = make(50_000) + [one for _ in range(500) for one in make(100)]
        assert len(set(ids)) == 100_000
        assert ids == sorted(ids)

    def test_they_say_when_they_were_made(self) -> None:
        before = time.time()
        made = MessageIds().make()[0]
        assert before - 0.002 <= (made.int >> 80) / 1000 <= time.time()

    def test_more_than_a_millisecond_holds_run_ahead_of_the_clock(self) -> None:
        ids = MessageIds().make(4096 * 3)
        assert (ids[-1].int >> 80) - (ids[0].int >> 80) in (2, 3)

    def test_a_clock_that_goes_back_does_not_take_the_ids_with_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make = MessageIds().make
        first = make()[0]
        monkeypatch.setattr("shared.messages.ids.time.time", lambda: 1.0)
        assert make()[0] > first

    def test_threads_share_no_id(self) -> None:
        make = MessageIds().make
        made: list[list[UUID]] = []
        threads = [threading.Thread(target=lambda: made.append(make(5000))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({one for ids in made for one in ids}) == 20_000


class TestStates:
    """The diagram of a message's life."""

    def test_every_status_is_in_the_diagram(self) -> None:
        assert set(TRANSITIONS) == set(Status)

    def test_the_diagram_in_the_documentation_is_the_one_in_code(self) -> None:
        text = (ROOT / "docs" / "message-lifecycle.md").read_text(encoding="utf-8")
        drawn = re.findall(r"^    (\w+) --> (\w+)", text, flags=re.MULTILINE)
        assert len(drawn) == len(set(drawn))
        assert set(drawn) == {(old.value, new.value) for old, following in TRANSITIONS.items() for new in following}

    def test_waiting_sending_and_terminal_are_all_there_is(self) -> None:
        assert WAITING | TERMINAL | {Status.SENDING} == set(Status)
        assert not WAITING & TERMINAL

    def test_sent_is_the_end(self) -> None:
        assert TRANSITIONS[Status.SENT] == frozenset()

    @pytest.mark.parametrize("status", sorted(set(Status) - {Status.SENT}))
    def test_late_evidence_makes_any_message_sent(self, status: Status) -> None:
        assert Status.SENT in TRANSITIONS[status]

    @pytest.mark.parametrize("status", sorted(Status))
    def test_an_attempt_begins_only_from_waiting(self, status: Status) -> None:
        assert (Status.SENDING in TRANSITIONS[status]) == (status in WAITING)

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_nothing_but_evidence_or_somebodys_wish_leads_out_of_the_end(self, status: Status) -> None:
        assert TRANSITIONS[status] <= {Status.SENT, Status.QUEUED, Status.FAILED}
