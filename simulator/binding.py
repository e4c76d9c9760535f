"""How a request body becomes fields, in the three forms that Fiber v3 binds.

JSON is as strict as Go's: a number for a string is an error, and bind errors are 500. Forms are text and get
converted. Names match without regard to case in all three; unknown names are ignored (and noted here as problems).
Files exist in multipart only and are hashed as they stream by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from simulator import go_json
from simulator.answers import TOO_LARGE, UNREADABLE_BODY, Answer, internal
from simulator.pictures import PictureCheck
from simulator.rules import FieldType, File, Kind

BODY_LIMIT = 100_000_000
_CHUNK = 256 * 1024

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
        for given, value in go_json.parse(body, kind.struct).items():
            _bind_member(given, value, kind, bound)
    except go_json.GoJsonError as error:
        raise BindError(internal(f'bind "{error.path}" from body: {error}'), str(error)) from None


def _bind_member(given: str, value: object, kind: Kind, bound: Bound) -> None:
    name = given if given in kind.fields else given.lower()
    if name not in kind.fields and name != kind.file:
        bound.problems.append(f"unknown field {given}")
        return
    if name != given:
        bound.problems.append(f"field {given} in the wrong case")
    if value is None:
        bound.problems.append(f"field {name} is null")
        return
    go_json.check_type(kind, name, value)
    bound.fields[name] = value


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
                file = await _hashed(part, BODY_LIMIT - read, is_picture=kind.name == "image")
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


async def _hashed(part: aiohttp.BodyPartReader, limit: int, is_picture: bool) -> File:
    digest, check = hashlib.sha256(), PictureCheck()
    size = 0
    while chunk := await part.read_chunk(_CHUNK):
        digest.update(chunk)
        if is_picture:
            check.feed(chunk)
        size += len(chunk)
        if size > limit:
            break
    return File(
        field=part.name or "",
        filename=part.filename or "",
        content_type=part.headers.get("Content-Type", ""),
        size=size,
        sha256=digest.hexdigest(),
        picture_problem=check.verdict() if is_picture else None,
    )
