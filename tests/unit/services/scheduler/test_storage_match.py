"""Which stored message is ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler.storage_match import candidates, stored_content
from shared.endpoints.gowa import StoredMessage
from shared.messages import Kind

BEGUN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ENDED = BEGUN + timedelta(seconds=70)


def stored(identity: str, after: float = 1.0, content: str = "hello", mine: bool = True) -> StoredMessage:
    return StoredMessage(identity, content, "", BEGUN + timedelta(seconds=after), mine)


@pytest.mark.parametrize(
    "line",
    [
        stored("too early", after=-6),
        stored("too late", after=131),
        stored("another text", content="hello there"),
        stored("theirs", mine=False),
        stored("known"),
    ],
    ids=lambda line: line.id,
)
def test_what_is_not_ours(line: StoredMessage) -> None:
    assert candidates([line], "hello", BEGUN, ENDED, {"known"}) == []


def test_the_nearest_to_its_beginning_is_the_likeliest() -> None:
    lines = [stored("late", 60), stored("edge", -5), stored("near", 2)]
    assert candidates(lines, "hello\n", BEGUN, ENDED, ()) == ["near", "edge", "late"]


@pytest.mark.parametrize(
    ("kind", "content", "filename", "expected"),
    [
        (Kind.MESSAGE, {"message": "hello"}, "", "hello"),
        (Kind.IMAGE, {"caption": "an offer"}, "offer.png", "an offer"),
        (Kind.IMAGE, {}, "offer.png", "🖼️ Image"),
        (Kind.FILE, {"caption": ""}, "list.pdf", "📄 list.pdf"),
        (Kind.FILE, {"file_url": "https://example.org/a/price%20list.pdf?x=1"}, "", "📄 price list.pdf"),
    ],
)
def test_what_the_sender_stores(kind: Kind, content: dict[str, Any], filename: str, expected: str) -> None:
    assert stored_content(kind, content, filename) == expected
