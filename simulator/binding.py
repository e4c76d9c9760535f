"""How a request body becomes fields, in the three forms that Fiber v3 binds.

JSON is as strict as Go's: a number for a string is an error, and bind errors are 500. Forms are text and get
converted. Names match without regard to case in all three; unknown names are ignored (and noted here as problems).
Files exist in multipart only and are hashed as they stream by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import orjson
from aiohttp import web

from simulator.answers import TOO_LARGE, UNREADABLE_BODY, Answer, internal
from simulator.rules import FieldType, File, Kind

BODY_LIMIT = 100_000_000
_CHUNK = 256 * 1024

_GO_NAMES: Mapping[type, str] = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True", "on"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", ""})


class BindError(Exception):
    """The body cannot be used; carries GOWA's answer and what was wrong."""

    def __init__(self, answer: Answer, problem: str) -> None:
        super().__init__(problem)
        self.answer = answer
        self.problem = problem


class StoppedAtFile(Exception):
    """The caller wanted no more of the body once the fields before the file were known."""


@dataclass(slots=True)
class Bound:
    """Fields by GOWA's names with the values that it saw, the file, and everything that looked wrong on the way."""

    fields: dict[str, Any] = field(default_factory=dict)
    file: File | None = None
    problems: list[str] = field(default_factory=list)


async def bind(request: web.Request, kind: Kind, bound: Bound, stop_at_file: Callable[[], bool]) -> None:
    """Fill ``bound``.

    Raises BindError, StoppedAtFile, and ConnectionError or ClientPayloadError when the client leaves.
    """
    if (request.content_length or 0) > BODY_LIMIT:
        raise BindError(TOO_LARGE, "body over 100,000,000 bytes")
    content_type = request.headers.get("Content-Type", "").lower()
    media_type = content_type.partition(";")[0].strip()
    if media_type == "multipart/form-data":
        await _bind_multipart(request, kind, bound, stop_at_file)
        return
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BindError(TOO_LARGE, "body over 100,000,000 bytes") from None
    if media_type == "application/json" or media_type.endswith("+json"):
        _bind_json(body, kind, bound)
    elif media_type == "application/x-www-form-urlencoded":
        _bind_form(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True), kind, bound)
    else:
        raise BindError(UNREADABLE_BODY, f"content type {content_type or 'missing'}")


def _bind_json(body: bytes, kind: Kind, bound: Bound) -> None:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BindError(internal(f'bind "" from body: {error}'), "body is no JSON") from None
    if not isinstance(content, dict):
        raise _mismatch(kind, "", content, "object")
    for given, value in content.items():
        name = given if given in kind.fields else given.lower()
        if name != given and name in kind.fields:
            bound.problems.append(f"field {given} in the wrong case")
        if name == kind.file:
            if value is not None:
                raise _mismatch(kind, name, value, "multipart.FileHeader")
            bound.problems.append(f"field {name} is null")
        elif name not in kind.fields:
            bound.problems.append(f"unknown field {given}")
        elif value is None:
            bound.problems.append(f"field {name} is null")
        elif _fits(value, kind.fields[name]):
            bound.fields[name] = value
        else:
            raise _mismatch(kind, name, value, kind.fields[name])


def _fits(value: object, wanted: FieldType) -> bool:
    if wanted == "string":
        return type(value) is str
    if wanted == "bool":
        return type(value) is bool
    if wanted == "int":
        return type(value) is int
    return isinstance(value, list) and all(type(element) is str for element in value)


def _mismatch(kind: Kind, name: str, value: object, wanted: str) -> BindError:
    given = _GO_NAMES.get(type(value), "value")
    field_name = f"{kind.struct}.{name}" if name else kind.struct
    reason = f"json: cannot unmarshal {given} into Go struct field {field_name} of type {wanted}"
    return BindError(internal(f'bind "{name}" from body: {reason}'), f"{name or 'body'} is a {given}, not a {wanted}")


def _bind_form(pairs: Iterable[tuple[str, str]], kind: Kind, bound: Bound) -> None:
    for given, text in pairs:
        name = given.lower().removesuffix("[]")
        if name != given.removesuffix("[]") and name in kind.fields:
            bound.problems.append(f"field {given} in the wrong case")
        wanted = kind.fields.get(name)
        if wanted is None:
            bound.problems.append(f"unknown field {given}")
        elif wanted == "strings":
            bound.fields.setdefault(name, []).append(text)
        elif name in bound.fields:
            bound.problems.append(f"field {name} given twice")  # the first one counts
        else:
            bound.fields[name] = _converted(name, text, wanted, bound)


def _converted(name: str, text: str, wanted: FieldType, bound: Bound) -> Any:
    if wanted == "string":
        return text
    if text == "":
        bound.problems.append(f"field {name} is empty")
        return False if wanted == "bool" else 0
    if wanted == "bool" and text in _TRUE | _FALSE:
        return text in _TRUE
    if wanted == "int" and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
        return int(text)
    raise BindError(internal(f'bind "{name}" from body: schema: error converting value'), f"{name} is no {wanted}")


async def _bind_multipart(request: web.Request, kind: Kind, bound: Bound, stop_at_file: Callable[[], bool]) -> None:
    texts: list[tuple[str, str]] = []
    read = 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, aiohttp.BodyPartReader):
                raise BindError(UNREADABLE_BODY, "nested multipart")
            if part.filename is None:
                value = await part.read()
                read += len(value)
                texts.append((part.name or "", value.decode("utf-8", "replace")))
            else:
                # What a mood decides on (the phone) is known here when the client puts it first, as a careful one does.
                known = Bound()
                _bind_form(texts, kind, known)
                bound.fields = known.fields
                if stop_at_file():
                    raise StoppedAtFile
                file = await _hashed(part, BODY_LIMIT - read)
                read += file.size
                _add_file(file, kind, bound)
            if read > BODY_LIMIT:
                raise BindError(TOO_LARGE, "body over 100,000,000 bytes")
    except (ValueError, RuntimeError) as error:
        raise BindError(UNREADABLE_BODY, f"broken multipart: {error}") from None
    bound.fields = {}
    _bind_form(texts, kind, bound)


def _add_file(file: File, kind: Kind, bound: Bound) -> None:
    if file.field.lower() != kind.file:
        bound.problems.append(f"unknown file field {file.field}")
    elif bound.file is not None:
        bound.problems.append(f"file {file.field} given twice")
    else:
        bound.file = file


async def _hashed(part: aiohttp.BodyPartReader, limit: int) -> File:
    digest = hashlib.sha256()
    size, head = 0, b""
    while chunk := await part.read_chunk(_CHUNK):
        if size < 16:
            head = (head + bytes(chunk[:16]))[:16]
        digest.update(chunk)
        size += len(chunk)
        if size > limit:
            break
    return File(
        field=part.name or "",
        filename=part.filename or "",
        content_type=part.headers.get("Content-Type", ""),
        size=size,
        sha256=digest.hexdigest(),
        head=head,
    )
