"""The body of a request: JSON, urlencoded or multipart, as fields by name and at most one upload.

A form's fields are lists of strings, a JSON body's are what JSON has; ``fields`` makes them alike. All of them together
are bounded by MAX_BODY_SIZE, an upload by its own limit; both are counted while they stream in. All of it has to arrive
within BODY_TIMEOUT. A compressed body is refused before any of it is read, since few bytes could become many.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, ClientPayloadError, MultipartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from services.gateway.intake.charsets import FORM_CHARSET, UTF_8, decoded, known_charset
from services.gateway.intake.form_fields import fields_of, plain_name
from services.gateway.intake.uploads import ReceivedPart, Upload, judged_upload, receive_part, too_large
from shared.media.file_names import header_filename
from shared.media.file_types import FileTypes
from shared.messages.kinds import KINDS, Kind, file_of
from shared.runtime.envelope import ApiError, InvalidInput, read_json
from shared.runtime.strict_json import repeated_key

_PARSED_ON_THE_LOOP = 100_000  # bytes; about 1 ms
_JSON = "application/json"
_MAX_PARTS = 10_000
_LONGEST_PART_HEADER = 8190  # bytes
_MOST_PART_HEADERS = 128
_PART_READ_SIZE = 64 * 1024
_CHARSET_FIELD = re.compile(rb"(?:^|&)_charset_=([^&]{1,40})")
_PLAIN_ENCODINGS = frozenset({"", "binary", "8bit", "7bit"})

BODY_SECONDS = web.AppKey("body_seconds", float)
"""BODY_TIMEOUT."""


@dataclass
class Body:
    """``form``: the values of ``fields`` are lists of strings. ``upload`` is on disk until the request ends, and so is
    ``received``, from which it is made when all fields are there."""

    fields: dict[str, Any]
    form: bool
    upload: Upload | None = field(default=None)
    received: ReceivedPart | None = field(default=None)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of the fields and of the upload, at most; where uploads are kept meanwhile; seconds until all has arrived;
    which files are taken."""

    fields: int
    upload: int
    root: Path
    seconds: float
    types: FileTypes


@web.middleware
async def refuse_compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """415 for a body with a Content-Encoding."""
    coding = request.headers.get(hdrs.CONTENT_ENCODING)
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        reason = "a compressed body is not taken"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", reason, [("Content-Encoding", reason)])
    return await handler(request)


@asynccontextmanager
async def arriving(seconds: float) -> AsyncIterator[None]:
    """For reading a body. Raises ApiError 408 when that takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        reason = f"it did not arrive within {seconds:g} s"
        # What still comes of it must not be taken for the next request.
        raise ApiError(
            408, "REQUEST_TIMEOUT", f"body: {reason}", [("body", reason)], headers={"Connection": "close"}
        ) from None


def arrived_json(request: web.Request) -> bytes | None:
    """A JSON body that has arrived whole together with its head, as nearly all do; None: it has not, or is another. Spares
    the limits of time and disk, a sixth of what a text costs. Raises ApiError 413, what the connection raises."""
    if not request.content.is_eof() or (
        request.headers.get(hdrs.CONTENT_TYPE) != _JSON and request.content_type != _JSON
    ):
        return None
    raw = request.content.read_nowait()
    if len(raw) > request.client_max_size:
        raise too_large("body", request.client_max_size)
    return raw


async def json_body(raw: bytes) -> Body:
    """Raises InvalidInput."""
    return Body(await _parsed_object(raw), form=False)


@asynccontextmanager
async def received(request: web.Request, kind: Kind, limits: BodyLimits) -> AsyncIterator[Body]:
    """The body; its upload is removed from disk at the end of the context. Raises InvalidInput, ApiError."""
    async with arriving(limits.seconds):
        body = await _receive(request, kind, limits)
    try:
        yield body
    finally:
        if body.upload is not None:
            body.upload.path.unlink(missing_ok=True)


async def _receive(request: web.Request, kind: Kind, limits: BodyLimits) -> Body:
    if request.content_type == _JSON:
        return await json_body(await _read(request))
    if request.content_type == "application/x-www-form-urlencoded":
        return Body(await _urlencoded(await _read(request), request.charset or ""), form=True)
    if request.content_type == "multipart/form-data":
        file = KINDS[kind].file
        if (request.content_length or 0) > limits.fields + limits.upload:
            raise too_large(file.part if file else "body", limits.upload or limits.fields)
        return await _multipart(request, kind, limits)
    raise ApiError(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "Content-Type: application/json, multipart/form-data or application/x-www-form-urlencoded is wanted",
        [("Content-Type", "application/json, multipart/form-data or application/x-www-form-urlencoded is wanted")],
    )


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large("body", request.client_max_size) from None


async def read_json_object(request: web.Request, required: bool = False) -> dict[str, Any]:
    """The body as a JSON object; no body is an empty one unless it is ``required``. Raises InvalidInput; ApiError 413 and
    408 naming the body."""
    if required and not request.body_exists:
        raise InvalidInput(("body", "a JSON object is wanted"))
    async with arriving(request.app[BODY_SECONDS]):
        raw = await _read(request)
    return await _parsed_object(raw)


async def _parsed_object(raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    return _json_object(raw) if len(raw) <= _PARSED_ON_THE_LOOP else await asyncio.to_thread(_json_object, raw)


def _json_object(raw: bytes) -> dict[str, Any]:
    parsed = read_json(raw)
    if not isinstance(parsed, dict):
        raise InvalidInput(("body", "a JSON object is wanted"))
    if (key := repeated_key(raw, parsed)) is not None:
        # The last one would count, and a recipient might be among the others.
        raise InvalidInput((key[:100], "it is given more than once"))
    return parsed


async def _urlencoded(raw: bytes, charset: str) -> dict[str, list[str]]:
    def parse() -> dict[str, list[str]]:
        said = charset or _charset_in(raw)
        name = known_charset(said, "body" if charset else FORM_CHARSET)
        pairs = parse_qsl(
            decoded(raw, said, "body"),
            keep_blank_values=True,
            encoding=name,
            errors="strict",
            max_num_fields=_MAX_PARTS,
        )
        return fields_of((field, text) for field, text in pairs if field != FORM_CHARSET)

    try:
        return parse() if len(raw) <= _PARSED_ON_THE_LOOP else await asyncio.to_thread(parse)
    except UnicodeError:
        raise InvalidInput(("body", f"it is not {charset[:40] or 'UTF-8'}")) from None
    except ValueError:
        raise InvalidInput(("body", f"more than {_MAX_PARTS} fields")) from None


def _charset_in(raw: bytes) -> str:
    """What a form says of itself in its field ``_charset_``; '' where it has none."""
    found = _CHARSET_FIELD.search(raw)
    return found[1].decode("ascii", "replace") if found else ""


async def _multipart(request: web.Request, kind: Kind, limits: BodyLimits) -> Body:
    body = Body({}, form=True)
    try:
        try:
            await _read_parts(request, body, kind, limits)
        except (ValueError, AssertionError, RuntimeError, HttpProcessingError, web.HTTPBadRequest) as error:
            # What the parser raises for a body that is not multipart or ends before its last boundary.
            raise InvalidInput(("body", f"it is not complete multipart/form-data: {error}"[:200])) from None
        except ClientPayloadError as error:
            raise ConnectionResetError("the body was cut off") from error
        if body.received is not None:
            # Its name may have come behind it.
            wanted = (body.fields.get(file_of(kind).name_field) or [""])[0]
            body.upload = judged_upload(body.received, kind, wanted, limits.types)
    except BaseException:
        if body.received is not None:
            body.received.path.unlink(missing_ok=True)
        raise
    return body


async def _read_parts(request: web.Request, body: Body, kind: Kind, limits: BodyLimits) -> None:
    file = KINDS[kind].file
    left = limits.fields
    parts = 0
    pairs: list[tuple[str, str]] = []
    charset = UTF_8
    reader = _Parts(
        request.headers, request.content, max_field_size=_LONGEST_PART_HEADER, max_headers=_MOST_PART_HEADERS
    )
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > _MAX_PARTS:
            raise InvalidInput(("body", f"more than {_MAX_PARTS} parts; give many phones as one comma list"))
        if not isinstance(part, BodyPartReader) or not part.name:
            raise InvalidInput(("body", "each part must be a field with a name"))
        name = plain_name(part.name)
        if part.headers.get("Content-Encoding") or (
            part.headers.get("Content-Transfer-Encoding", "").strip().lower() not in _PLAIN_ENCODINGS
        ):
            raise InvalidInput((name, "an encoded part is not taken; send it as it is"))
        if file is not None and name == file.part:
            if body.received is not None:
                raise InvalidInput((name, "one file is wanted"))
            # Not as aiohttp reads the header: it takes the backslashes out of a path.
            filename = header_filename(part.headers.get(hdrs.CONTENT_DISPOSITION, ""))
            body.received = await receive_part(part, filename, file, limits.root, limits.upload)
        elif part.filename is not None:
            raise InvalidInput((name, "no file is wanted here"))
        else:
            raw = await _read_field(part, left, limits.fields)
            left -= len(raw)
            text = decoded(raw, part.get_charset(charset), name)
            if name == FORM_CHARSET:
                charset = text
            else:
                pairs.append((part.name, text))
    body.fields = fields_of(pairs)


class _Parts(MultipartReader):
    """Hands out a part named ``_charset_`` as any other: aiohttp reads it by itself and misses the boundary behind it."""

    async def next(self) -> MultipartReader | BodyPartReader | None:
        if self._at_eof:
            return None
        await self._maybe_release_last_part()
        if self._at_bof:
            await self._read_until_first_boundary()
            self._at_bof = False
        else:
            await self._read_boundary()
        self._last_part = None if self._at_eof else await self.fetch_next_part()
        return self._last_part


async def _read_field(part: BodyPartReader, left: int, limit: int) -> bytes:
    gathered = bytearray()
    while not part.at_eof():
        gathered += await part.read_chunk(_PART_READ_SIZE)
        if len(gathered) > left:
            raise too_large("body", limit)
    return bytes(gathered)
