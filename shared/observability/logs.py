"""Structured logs to standard output: one JSON object a line, or text for a terminal.

Callers pass ids, counts and states, never phone numbers, contents or credentials; as a second line of defence what looks
like a WhatsApp number or an Authorization value is blotted out before it is written.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

from shared.observability.log_context import add_subject

_NUMBER = re.compile(r"(?<![0-9A-Za-z.:_-])\+?\d{8,15}(?=@)|(?<=\+)\d{8,15}")
_LOGIN = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]{6,}")


def blot(text: str) -> str:
    """The text without what looks like a phone number or a login."""
    return _LOGIN.sub(r"\1 ***", _NUMBER.sub("***", text))


def _blot_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = blot(value)
    return event


def configure_logs(service: str, level: str, style: str) -> None:
    """Sets up structlog and, for what libraries say, the standard library's logging with the same lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_subject,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _blot_event,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if style == "text"
        else structlog.processors.JSONRenderer(serializer=lambda event, **_: orjson.dumps(event, default=str).decode())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
