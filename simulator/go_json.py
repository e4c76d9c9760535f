"""JSON as Go's encoding/json reads it into GOWA's request structs: as strict about types, with its error texts.

Bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD; ``null`` leaves everything empty; a name that is
given twice counts the last time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from simulator.rules import FieldType, Kind

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# The fields of the struct that all sends embed; Go names the way to them.
_EMBEDDED = frozenset({"phone", "duration", "is_forwarded"})
_GO_TYPES: Mapping[FieldType, str] = {"string": "string", "bool": "bool", "int": "int", "strings": "[]string"}


class GoJsonError(ValueError):
    """Go cannot use it; ``path`` is the field as Fiber names it, the text is Go's."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path


def parse(body: bytes, struct: str) -> dict[str, Any]:
    """The object in the body. Raises GoJsonError."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = _parse_as_go(body.decode("utf-8", "replace"))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise GoJsonError(f"json: cannot unmarshal {_named(content)} into Go value of type send.{struct}")
    return content


def check_type(kind: Kind, name: str, value: object) -> None:
    """Raises GoJsonError when Go cannot put the value into this field."""
    wanted = kind.fields.get(name)
    if wanted is None:
        raise _mismatch(kind, name, value, "multipart.FileHeader")
    if wanted == "strings":
        if not isinstance(value, list):
            raise _mismatch(kind, name, value, "[]string")
        for element in value:
            if type(element) is not str:
                raise _mismatch(kind, name, element, "string")
    elif type(value) is not {"string": str, "bool": bool, "int": int}[wanted]:
        raise _mismatch(kind, name, value, _GO_TYPES[wanted])


def _mismatch(kind: Kind, name: str, value: object, go_type: str) -> GoJsonError:
    is_embedded = name in _EMBEDDED and not kind.is_presence
    path = f"BaseRequest.{name}" if is_embedded else name
    given = _named(value)
    if given == "number" and go_type == "int":
        given = f"number {value}"
    return GoJsonError(
        f"json: cannot unmarshal {given} into Go struct field {kind.struct}.{path} of type {go_type}", path
    )


def _named(value: object) -> str:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _parse_as_go(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise GoJsonError(f"invalid character '{name[0]}' looking for beginning of value")

    try:
        return _without_lone_surrogates(json.loads(text, parse_constant=refuse))
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip()
        if not rest or "Unterminated" in error.msg:
            raise GoJsonError("unexpected end of JSON input") from None
        if error.msg == "Extra data":
            raise GoJsonError(f"invalid character '{rest[0]}' after top-level value") from None
        raise GoJsonError(f"invalid character '{rest[0]}' looking for beginning of value") from None
    except RecursionError:
        raise GoJsonError("exceeded max depth") from None


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(element) for element in value]
    if isinstance(value, dict):
        return {_without_lone_surrogates(name): _without_lone_surrogates(element) for name, element in value.items()}
    return value
