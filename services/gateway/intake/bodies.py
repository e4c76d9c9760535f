"""The body of a request: JSON, urlencoded or multipart, as fields by name and at most one upload.

A form's fields are lists of strings, a JSON body's are what JSON has; ``fields`` makes them alike. All of them together
are bounded by MAX_BODY_SIZE, an upload by its own limit; both are counted while they stream in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, ClientPayloadError, web

from services.gateway.intake.uploads import Upload, receive_upload, too_large
from shared.messages import Kind
from shared.runtime.envelope import ApiError, InvalidInput, read_json

_PARSED_ON_THE_LOOP = 100_000  # bytes; about 1 ms
_MAX_PARTS = 10_000
_PART_READ_SIZE = 64 * 1024


@dataclass
class Body:
    """``form``: the values of ``fields`` are lists of strings. ``upload`` is on disk until the request ends."""

    fields: dict[str, Any]
    form: bool
    upload: Upload | None = field(default=None)


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of the fields and of the upload, at most; where uploads are kept meanwhile."""

    fields: int
    upload: int
    root: Path


@asynccontextmanager
async def received(request: web.Request, kind: Kind, limits: BodyLimits) -> AsyncIterator[Body]:
    """The body; its upload is removed from disk at the end of the context. Raises InvalidInput, ApiError."""
    body = await _receive(request, kind, limits)
    try:
        yield body
    finally:
        if body.upload is not None:
            body.upload.path.unlink(missing_ok=True)


async def _receive(request: web.Request, kind: Kind, limits: BodyLimits) -> Body:
    if request.content_type == "application/json":
        return Body(await read_json_object(request), form=False)
    if request.content_type == "application/x-www-form-urlencoded":
        return Body(await _urlencoded(await _read(request)), form=True)
    if request.content_type == "multipart/form-data":
        if (request.content_length or 0) > limits.fields + limits.upload:
            raise too_large("body" if kind is Kind.MESSAGE else kind.value, limits.upload or limits.fields)
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


async def read_json_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty one. Raises InvalidInput, ApiError 413 naming the body."""
    raw = await _read(request)
    if not raw:
        return {}
    parsed = read_json(raw) if len(raw) <= _PARSED_ON_THE_LOOP else await asyncio.to_thread(read_json, raw)
    if not isinstance(parsed, dict):
        raise InvalidInput(("body", "a JSON object is wanted"))
    return parsed


async def _urlencoded(raw: bytes) -> dict[str, list[str]]:
    def parse() -> list[tuple[str, str]]:
        return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARTS)

    try:
        pairs = parse() if len(raw) <= _PARSED_ON_THE_LOOP else await asyncio.to_thread(parse)
    except UnicodeDecodeError:
        raise InvalidInput(("body", "it is not UTF-8")) from None
    except ValueError:
        raise InvalidInput(("body", f"more than {_MAX_PARTS} fields")) from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name.removesuffix("[]"), []).append(value)
    return fields


async def _multipart(request: web.Request, kind: Kind, limits: BodyLimits) -> Body:
    body = Body({}, form=True)
    try:
        try:
            await _read_parts(request, body, kind, limits)
        except (ValueError, AssertionError, RuntimeError, web.HTTPBadRequest) as error:
            # What the parser raises for a body that is not multipart or ends before its last boundary.
            raise InvalidInput(("body", f"it is not complete multipart/form-data: {error}"[:200])) from None
        except ClientPayloadError as error:
            raise ConnectionResetError("the body was cut off") from error
    except BaseException:
        if body.upload is not None:
            body.upload.path.unlink(missing_ok=True)
        raise
    return body


async def _read_parts(request: web.Request, body: Body, kind: Kind, limits: BodyLimits) -> None:
    left = limits.fields
    parts = 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > _MAX_PARTS:
            raise InvalidInput(("body", f"more than {_MAX_PARTS} parts; give many phones as one comma list"))
        if not isinstance(part, BodyPartReader) or not part.name:
            raise InvalidInput(("body", "each part must be a field with a name"))
        name = part.name.removesuffix("[]")
        if name == kind.value and kind is not Kind.MESSAGE:
            if body.upload is not None:
                raise InvalidInput((name, "one file is wanted"))
            body.upload = await receive_upload(part, kind, limits.root, limits.upload)
        elif part.filename is not None:
            raise InvalidInput((name, "no file is wanted here"))
        else:
            raw = await _read_field(part, left, limits.fields)
            left -= len(raw)
            try:
                body.fields.setdefault(name, []).append(raw.decode())
            except UnicodeDecodeError:
                raise InvalidInput((name, "it is not UTF-8")) from None


async def _read_field(part: BodyPartReader, left: int, limit: int) -> bytes:
    gathered = bytearray()
    while not part.at_eof():
        gathered += await part.read_chunk(_PART_READ_SIZE)
        if len(gathered) > left:
            raise too_large("body", limit)
    return bytes(gathered)
