"""Which stored message is ours, and when "none" is a proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler.storage_match import (
    candidates,
    comparable,
    seconds_to_proof,
    sent_until,
    stored_contents,
)
from shared.endpoints.gowa import StoredMessage
from shared.messages import Kind

BEGUN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ENDED = BEGUN + timedelta(seconds=70)
UNTIL = sent_until(ENDED, BEGUN)
HELLO = {comparable("hello")}


def contents_of(kind: Kind, content: dict[str, Any], filename: str, noted: tuple[str, ...]) -> frozenset[str]:
    found = stored_contents(kind, content, filename, noted)
    assert found is not None
    return found


def stored(identity: str, after: float = 1.0, content: str = "hello", mine: bool = True) -> StoredMessage:
    return StoredMessage(identity, content, "", BEGUN + timedelta(seconds=after), mine)


@pytest.mark.parametrize(
    "line",
    [
        stored("too early", after=-31),
        stored("too late", after=161),
        stored("another text", content="hello there"),
        stored("theirs", mine=False),
        stored("known"),
    ],
    ids=lambda line: line.id,
)
def test_what_is_not_ours(line: StoredMessage) -> None:
    assert candidates([line], HELLO, BEGUN, UNTIL, {"known"}) == []


def test_the_nearest_to_its_beginning_is_the_likeliest() -> None:
    lines = [stored("late", 60), stored("last", 160), stored("edge", -30), stored("near", 2)]
    assert candidates(lines, HELLO, BEGUN, UNTIL, ()) == ["near", "edge", "late", "last"]


def test_what_waited_in_a_sender_that_stood_still_leaves_once_it_is_back() -> None:
    line = [stored("after the thaw", after=700)]
    assert candidates(line, HELLO, BEGUN, UNTIL, ()) == []
    back = BEGUN + timedelta(seconds=690)
    assert candidates(line, HELLO, BEGUN, sent_until(ENDED, back), ()) == ["after the thaw"]
    assert sent_until(ENDED, BEGUN) == ENDED + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("answering", "ended", "wait"),
    [(60, 75, 0), (60, 60, 0), (59.5, 75, 0.5), (0, 75, 60), (900, 59, 1), (900, 0, 60), (3600, 3600, -3540)],
)
def test_nothing_there_is_a_proof_after_a_minute_of_answers_since_the_end(
    answering: float, ended: float, wait: float
) -> None:
    assert seconds_to_proof(60, answering, ended) == wait


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("hello\n", "hello"),
        ("  hello ", "hello "),
        ("one\r\ntwo", "one\ntwo"),
        ("one\rtwo", "one\r\ntwo"),
        ("❤️ thanks", "❤ thanks"),
        ("@15550100002 hello", "@15550100002 hello"),
        ("\ufeffhello", "\ufeffhello"),
    ],
)
def test_a_text_is_the_same_whatever_a_store_does_to_its_blanks(sent: str, found: str) -> None:
    assert comparable(found) in contents_of(Kind.MESSAGE, {"message": sent}, "", ())


@pytest.mark.parametrize(
    ("sent", "found"), [("hello", "Hello"), ("hello you", "hello  you"), ("hello", ""), ("one\ntwo", "one two")]
)
def test_another_text_is_another_one(sent: str, found: str) -> None:
    assert comparable(found) not in contents_of(Kind.MESSAGE, {"message": sent}, "", ())


URL = "https://example.org"


@pytest.mark.parametrize(
    ("kind", "content", "filename", "noted", "found"),
    [
        (Kind.IMAGE, {"caption": "an offer"}, "offer.png", (), "an offer"),
        (Kind.IMAGE, {"caption": "an offer"}, "offer.png", (), "🖼️ an offer"),
        (Kind.IMAGE, {}, "offer.png", (), "🖼️ Image"),
        (Kind.IMAGE, {"caption": ""}, "", (), "🖼 Image"),
        (Kind.FILE, {"caption": "prices"}, "list.pdf", (), "prices"),
        (Kind.FILE, {"caption": "prices"}, "list.pdf", (), "📄 prices"),
        (Kind.FILE, {"caption": ""}, "list.pdf", (), "📄 list.pdf"),
        (Kind.FILE, {"caption": " "}, "list.pdf", (), "📄 list.pdf"),
        (Kind.FILE, {}, "list.pdf", (), "📄 Document"),
        (Kind.FILE, {}, "two\nlines.pdf", (), "📄 two_lines.pdf"),
        # The sender fetched it itself.
        (Kind.FILE, {"file_url": f"{URL}/a/price%20list.pdf?x=1"}, "", (), "📄 price%20list.pdf"),
        (Kind.FILE, {"file_url": f"{URL}/a/price list.pdf"}, "", (), "📄 price list.pdf"),
        (Kind.FILE, {"file_url": f"{URL}/a/list.pdf#page=2"}, "", (), "📄 list.pdf#page=2"),
        (Kind.FILE, {"file_url": f"{URL}/get?path=a/list.pdf"}, "", (), "📄 list.pdf"),
        (Kind.FILE, {"file_url": f"{URL}/folder/"}, "", (), "📄 file_1788257000"),
        # We fetched it, and uploaded it under a name of ours.
        (Kind.FILE, {"file_url": f"{URL}/a/price%20list.pdf?x=1"}, "", (), "📄 price list.pdf"),
        (Kind.FILE, {"file_url": f"{URL}/dl?id=5"}, "", ("other.pdf", "doc.pdf"), "📄 doc.pdf"),
    ],
)
def test_what_the_sender_stores(
    kind: Kind, content: dict[str, Any], filename: str, noted: tuple[str, ...], found: str
) -> None:
    assert comparable(found) in contents_of(kind, content, filename, noted)


@pytest.mark.parametrize(
    ("content", "filename", "found"),
    [
        ({}, "list.pdf", "📄 other.pdf"),
        ({}, "list.pdf", "📄 "),
        ({}, "list.pdf", "📄 file_1788257000"),
        ({"file_url": f"{URL}/dl?id=5"}, "", "📄 doc.pdf"),
        ({"caption": "prices"}, "list.pdf", "📄 list.pdf"),
    ],
)
def test_what_another_file_is_stored_as(content: dict[str, Any], filename: str, found: str) -> None:
    assert comparable(found) not in contents_of(Kind.FILE, content, filename, ())
