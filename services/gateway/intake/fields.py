"""The fields of a request to send: what the caller gave, checked, and nothing that he did not give.

A form's strings become what the field holds (``true``, ``1``, ``on``; numbers; lists by repeated keys or as JSON). A field
that is null, or left empty in a form, counts as not given; texts may be empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Struct
from pydantic import BaseModel, ValidationError

from services.gateway.intake.account_choice import accounts_named, several
from services.gateway.intake.phones import PhoneRefused, normal_mention, shown, split_list
from services.gateway.send_requests import FIELDS_OF, OPTIONS, MayBeEmpty, fields_that_hold
from shared.endpoints.identity import Endpoint
from shared.messages import KINDS, Kind, Lane, OnUnknown
from shared.runtime.envelope import InvalidInput, read_json

_BOOLEANS, _NUMBERS = fields_that_hold(bool), fields_that_hold(int)
_LISTS = fields_that_hold(list) | {"phone"}
_TEXTS = fields_that_hold(MayBeEmpty)
_ERRORS_SHOWN = 100
_TRUE = frozenset({"true", "1", "on"})
_FALSE = frozenset({"false", "0", "off"})


class Wish(Struct, frozen=True):
    """``content`` goes to the sender as it is; the rest is for us, the times as they were written. None: the default is to be
    taken."""

    content: dict[str, Any]
    reference: str | None = None
    endpoint: str | None = None
    on_unknown: OnUnknown | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    lane: Lane | None = None


def take_phones(fields: dict[str, Any], form: bool, limit: int) -> list[object]:
    """Takes ``phone`` out of the fields, as a list of what was given. Raises InvalidInput."""
    given = fields.pop("phone", None)
    phones: list[object]
    if isinstance(given, str):
        phones = [*split_list(given)]
    elif isinstance(given, list):
        phones = [part for one in given for part in _form_phones(one)] if form else given
    elif given is None:
        phones = []
    else:
        raise InvalidInput(("phone", "a string or a list of strings is wanted"))
    if not phones or phones == [""]:
        raise InvalidInput(("phone", "it is required: one phone, several separated by commas, or a list"))
    if len(phones) > limit:
        raise InvalidInput(("phone", f"{len(phones)} recipients; {limit} are the most for one request"))
    return phones


def _form_phones(text: str) -> list[object]:
    return _json_list("phone", text) if text.lstrip().startswith("[") else [*split_list(text)]


def _json_list(field: str, text: str) -> list[object]:
    try:
        parsed = read_json(text.encode())
    except InvalidInput:
        parsed = None
    if not isinstance(parsed, list):
        raise InvalidInput((field, "it begins like a JSON array and is none"))
    return parsed


def form_values(fields: dict[str, list[str]]) -> dict[str, Any]:
    """A form's fields as JSON would have them. Raises InvalidInput naming each that cannot be read."""
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, given in fields.items():
        try:
            value = _form_value(name, given)
        except ValueError as error:
            errors.append((name, str(error)))
            continue
        if value is not None:
            values[name] = value
    if errors:
        raise InvalidInput(*errors)
    return values


def _form_value(name: str, given: list[str]) -> Any:
    if name in _LISTS:
        items: list[object] = []
        for text in given:
            items += _json_list(name, text) if text.lstrip().startswith("[") else [text] if text else []
        return items or None
    if len(given) > 1:
        raise ValueError("it is given more than once")
    text = given[0]
    if name in _TEXTS:
        return text
    if not text.strip():
        return None
    if name in _BOOLEANS:
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            raise ValueError("true, false, 1, 0, on or off is wanted")
        return word in _TRUE
    if name in _NUMBERS:
        if not text.strip().isascii() or not text.strip().removeprefix("-").isdigit() or len(text) > 18:
            raise ValueError("a whole number is wanted")
        return int(text)
    return text


M = TypeVar("M", bound=BaseModel)
_REASONS = {
    "missing": "it is required",
    "string_type": "a string is wanted",
    "bool_type": "true or false is wanted",
    "int_type": "a whole number is wanted",
    "list_type": "a list is wanted",
}


def checked(model: type[M], values: dict[str, Any]) -> M:
    """The values as ``model``; null counts as not given. Raises InvalidInput naming every field that is wrong."""
    if None in values.values():
        known = _known(model)
        values = {name: value for name, value in values.items() if value is not None or name not in known}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(*_named(error, _known(model))) from None


def _known(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _named(error: ValidationError, known: Iterable[str]) -> list[tuple[str, str]]:
    errors = []
    for problem in error.errors(include_url=False, include_input=False)[:_ERRORS_SHOWN]:
        name = ".".join(str(part) for part in problem["loc"]) or "body"
        kind = problem["type"]
        if kind == "extra_forbidden":
            reason = f"there is no such field; known are {', '.join(sorted(known))}"
        elif kind == "string_too_long":
            reason = f"it is longer than {problem['ctx']['max_length']} characters"
        elif kind == "literal_error":
            reason = f"{problem['ctx']['expected'].replace(chr(39), '')} is wanted"
        else:
            reason = _REASONS.get(kind, str(problem["msg"]).removeprefix("Value error, "))
        errors.append((name[:100], reason))
    return errors


def read_wish(
    kind: Kind, values: dict[str, Any], endpoints: dict[str, Endpoint], uploaded: bool, region: str = ""
) -> Wish:
    """Checks what was given for a message of ``kind``. ``region``: as for phones. Raises InvalidInput naming every field that
    is wrong."""
    _check_media(kind, values, uploaded)
    known = checked(FIELDS_OF[kind], values)
    send_at = _moment("send_at", known.send_at) if known.send_at else None
    expires_at = _moment("expires_at", known.expires_at) if known.expires_at else None
    # Out of the model as they are, since none holds another model.
    wanted = known.model_fields_set - OPTIONS
    file = KINDS[kind].file
    if file is not None and (uploaded or not getattr(known, file.name_field, None)):
        # An upload has taken it for its name already.
        wanted = wanted - {file.name_field}
    content = {name: value for name, value in vars(known).items() if name in wanted}
    if content.get("mentions"):
        content["mentions"] = _mentions(content["mentions"], region)
    return Wish(
        content=content,
        reference=known.reference or None,
        endpoint=_chosen(known.endpoint, endpoints.values()) if known.endpoint else None,
        on_unknown=OnUnknown(known.on_unknown) if known.on_unknown else None,
        send_at=send_at,
        expires_at=expires_at,
        lane=Lane(known.lane) if known.lane else None,
    )


def _check_media(kind: Kind, values: dict[str, Any], uploaded: bool) -> None:
    file = KINDS[kind].file
    if file is None:
        return
    name, url = file.part, file.url
    if values.get(name) is not None:
        raise InvalidInput((name, f"a file is uploaded as multipart/form-data; or give {url}"))
    values.pop(name, None)
    if uploaded and values.get(url) is not None:
        raise InvalidInput((url, f"either {name} or {url}, not both"))
    if not uploaded and values.get(url) is None:
        raise InvalidInput((name, f"it is required: upload a file, or give {url}"))


def _mentions(given: list[str], region: str) -> list[str]:
    mentions: list[str] = []
    errors: list[tuple[str, str]] = []
    for number, one in enumerate(given):
        try:
            mentions.append(normal_mention(one, region))
        except PhoneRefused as error:
            errors.append((f"mentions.{number}", f"{shown(one)}: {error}"))
    if errors:
        raise InvalidInput(*errors[:_ERRORS_SHOWN])
    return mentions


def _chosen(given: str, endpoints: Iterable[Endpoint]) -> str:
    found = accounts_named(given, endpoints)
    if not found:
        raise InvalidInput(("endpoint", "there is no such account; see /api/endpoints/stats for their ids"))
    if len(found) > 1:
        raise InvalidInput(("endpoint", several(found)))
    return found.pop()


def _moment(field: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput((field, "a time such as 2031-05-17T09:30:00Z is wanted")) from None
    if moment.tzinfo is None:
        raise InvalidInput((field, "its time zone is missing, such as Z or +07:00"))
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput((field, "it is out of range")) from None
    return moment
