"""What a request asks for, as far as it can be read: to whom, and its fields with everything that is wrong so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from services.gateway.intake.bodies import Body
from services.gateway.intake.fields import form_values, take_phones
from services.gateway.intake.phones import Recipients, read_recipients
from services.gateway.intake.uploads import Upload
from shared.messages import Kind
from shared.runtime.envelope import InvalidInput

_READ_ON_THE_LOOP = 200  # recipients; fewer take under a millisecond
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """``recipients`` and ``values`` are None where they could not even be read, as ``errors`` says."""

    kind: Kind
    recipients: Recipients | None
    values: dict[str, Any] | None
    upload: Upload | None
    errors: list[tuple[str, str]]


async def read_asked(kind: Kind, body: Body, most: int, region: str) -> Asked:
    """``most``: recipients that a request may have. Takes ``phone`` out of the body's fields."""
    recipients: Recipients | None = None
    values: dict[str, Any] | None = None
    errors: list[tuple[str, str]] = []
    try:
        phones = take_phones(body.fields, body.form, most)
        recipients = await off_the_loop(len(phones), read_recipients, phones, region)
    except InvalidInput as error:
        errors += error.errors
    try:
        values = form_values(body.fields) if body.form else body.fields
    except InvalidInput as error:
        errors += error.errors
    return Asked(kind, recipients, values, body.upload, errors)


async def off_the_loop(phones: int, call: Callable[..., T], *arguments: Any) -> T:
    """In a thread where there are so many phones that others would wait."""
    return call(*arguments) if phones <= _READ_ON_THE_LOOP else await asyncio.to_thread(call, *arguments)
