"""Answers that the table of the sender's answers does not have: counted, logged once a text, and told to the monitor, so that
a new release of the sender is noticed before its users are."""

from __future__ import annotations

import re

import structlog
from prometheus_client import Counter

from services.dispatcher.sending.verdict import Answer
from shared.errors import StoreUnavailable
from shared.queue.connection import QueueConnection
from shared.queue.noting import Noted, note

log = structlog.get_logger()
_unlisted = Counter(
    "paceline_unlisted_answers_total", "Answers of the sender that are not in our table", ["http_status"]
)
_MOST_TEXTS = 500
"""Different texts that are logged until the dispatcher ends; more would be texts that differ by what they quote."""
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


class UnlistedAnswers:
    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue
        self._logged: set[str] = set()

    async def note(self, answer: Answer) -> None:
        """Takes note of an answer that is not listed. Raises nothing that Redis causes."""
        _unlisted.labels(f"{(answer.http_status or 0) // 100}xx").inc()
        text = general(answer.reason)
        if text not in self._logged and len(self._logged) < _MOST_TEXTS:
            self._logged.add(text)
            log.warning("the sender answered something unknown", http_status=answer.http_status, text=text)
        try:
            await note(self._queue, Noted.UNLISTED_ANSWER)
        except StoreUnavailable:
            # The log has it, and the next one is noted again.
            return


def general(reason: str) -> str:
    """The text without what differs between messages or is private: quotations, numbers, addresses, names of hosts."""
    words = _QUOTED.sub("*", reason).split()
    return " ".join("*" if _is_particular(word) else word for word in words)


def _is_particular(word: str) -> bool:
    return any(letter.isdigit() or letter in "@/" for letter in word) or "." in word.strip(".,:;()")
