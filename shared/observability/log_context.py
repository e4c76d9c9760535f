"""What a line of the log is about: the request or the message that is being handled while it is written.

One context variable holds it, so whatever a request awaits, starts or does in a thread is about the request as well. Binding
costs one ``set``: what a line carries is put together when a line is written, and most requests write none. What is done for
many at once, or for nobody, has a context of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol

MOST_IDS = 20
"""Ids in a line about several: a batch has up to 200, and a line of 8 kB is cut by some collectors of logs."""


class Subject(Protocol):
    """A request, a message."""

    def log_fields(self) -> Mapping[str, object]:
        """What each line about it carries. Neither phone numbers nor secrets."""
        ...

    def ids(self) -> Mapping[str, Sequence[str]]:
        """Its id under the name of the field that lists it in a line about several."""
        ...


_subject: ContextVar[Subject | None] = ContextVar("subject", default=None)
current_subject = _subject.get


def now_about(subject: Subject) -> None:
    """From here on, in this task and in what it starts, lines are about ``subject``."""
    _subject.set(subject)


def about_nobody() -> Context:
    """A copy of the present context in which lines are about nobody."""
    context = copy_context()
    context.run(_subject.set, None)
    return context


class Several:
    """What a batch is about: of each kind the first ``MOST_IDS``, and how many more there are."""

    def __init__(self, subjects: Sequence[Subject | None]) -> None:
        self._subjects = subjects

    def ids(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for subject in self._subjects:
            for name, ids in subject.ids().items() if subject else ():
                found.setdefault(name, []).extend(ids)
        return found

    def log_fields(self) -> Mapping[str, object]:
        fields: dict[str, object] = {}
        for name, ids in self.ids().items():
            fields[name] = ids[:MOST_IDS]
            if len(ids) > MOST_IDS:
                fields[f"more_{name}"] = len(ids) - MOST_IDS
        return fields


def add_subject(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: the fields of the subject, where the line does not say them itself."""
    subject = _subject.get()
    return event if subject is None else {**subject.log_fields(), **event}
