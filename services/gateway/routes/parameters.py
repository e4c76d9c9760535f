"""What stands in paths and queries: ids, statuses, limits. Each error names the parameter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from aiohttp import web

from shared.messages import Status
from shared.runtime.envelope import ApiError, InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMIT = 50
_MAX_LIMIT = 500


def not_found(what: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"there is no such {what}")


def path_id(request: web.Request, name: str, what: str) -> UUID:
    """The id in the path. Raises ApiError 404: what is no id cannot be found either."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        raise not_found(what) from None


def refuse_unknown(request: web.Request, *known: str) -> None:
    """Raises InvalidInput for query parameters that have no meaning, since one that is misspelt would filter nothing."""
    errors = [
        (name, f"there is no such parameter; known are {', '.join(known)}")
        for name in request.query
        if name not in known
    ]
    if errors:
        raise InvalidInput(*errors)


def status_of(request: web.Request) -> Status | None:
    text = request.query.get("status", "")
    if not text:
        return None
    try:
        return Status(text)
    except ValueError:
        raise InvalidInput(("status", f"one of {', '.join(Status)} is wanted")) from None


def limit_of(request: web.Request) -> int:
    text = request.query.get("limit", "")
    if not text:
        return _LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= _MAX_LIMIT):
        raise InvalidInput(("limit", f"a number from 1 to {_MAX_LIMIT} is wanted"))
    return int(text)


def message_cursor(request: web.Request) -> UUID | None:
    text = request.query.get("cursor", "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise _bad_cursor() from None


def campaign_cursor(request: web.Request) -> tuple[datetime, UUID] | None:
    text = request.query.get("cursor", "")
    if not text:
        return None
    microseconds, _, token = text.partition("_")
    try:
        return _EPOCH + timedelta(microseconds=int(microseconds)), UUID(token)
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def written_cursor(created_at: datetime, token: UUID) -> str:
    return f"{(created_at - _EPOCH) // timedelta(microseconds=1)}_{token}"


def _bad_cursor() -> InvalidInput:
    return InvalidInput(("cursor", "give the next_cursor of the page before"))


def written_time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
