"""Which of the messages in an account's chat storage is ours: a pure rule over what ``shared.endpoints.gowa`` reads.

A picture or document without a caption is stored under a label of GOWA's own (``src/usecase/send.go``), and so cannot be
told from another one; the time and the id that nobody else claims must do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.endpoints.gowa import StoredMessage
from shared.messages import Kind

BEFORE = timedelta(seconds=5)
"""Stored times have whole seconds, and the sender's clock is not ours."""
AFTER = timedelta(seconds=60)
"""The sender goes on for up to 45 s after its client has gone."""


def stored_content(kind: Kind, content: dict[str, Any], filename: str) -> str:
    """What GOWA writes as the content of such a message. ``filename``: of an upload, '' where a URL was given."""
    if kind is Kind.MESSAGE:
        return str(content.get("message") or "")
    caption = str(content.get("caption") or "")
    if caption:
        return caption
    if kind is Kind.IMAGE:
        return "🖼️ Image"
    url = str(content.get("file_url") or "")
    return f"📄 {filename or unquote(urlsplit(url).path.rpartition('/')[2])}"


def candidates(
    stored: Sequence[StoredMessage], content: str, started_at: datetime, finished_at: datetime, known: Collection[str]
) -> list[str]:
    """The ids that may be the attempt's, the most likely first: ours, within its time, of equal content, nobody else's."""
    matching = [
        line
        for line in stored
        if line.is_from_me
        and line.id not in known
        and started_at - BEFORE <= line.timestamp <= finished_at + AFTER
        and line.content.strip() == content.strip()
    ]
    return [line.id for line in sorted(matching, key=lambda line: abs(line.timestamp - started_at))]
