"""The fields of a request to send, a model for each kind of message, and the bodies that its route takes.

The sender's own fields have the sender's names and types; one that a caller leaves out stays out, so the sender's default
holds. A field of a form is read as what it is here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, Field, create_model

from services.gateway.shapes import Request, ShortText, Text, not_blank
from services.gateway.text import clean
from shared.media.file_names import given_filename
from shared.messages.kinds import KINDS, Kind, file_of

MAX_TEXT = 65_536
DURATIONS = (0, 86_400, 604_800, 7_776_000)


def _known_duration(value: int | None) -> int | None:
    if value is not None and value not in DURATIONS:
        raise ValueError(f"one of {', '.join(map(str, DURATIONS))} (seconds) is wanted")
    return value


def _filename(value: str | None) -> str | None:
    return given_filename(value) if value is not None and value.strip() else None


class MayBeEmpty:
    """Marks a text that counts as given when a form leaves it empty."""


LongText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(clean), MayBeEmpty]


class SendFields(Request):
    """What every request to send may have beside its recipients."""

    is_forwarded: bool | None = Field(None, description="Show it as forwarded")
    duration: Annotated[int | None, AfterValidator(_known_duration)] = Field(
        None,
        description="Disappearing timer in seconds: 0, 86400, 604800 or 7776000",
        json_schema_extra={"enum": [*DURATIONS, None]},
    )
    reference: ShortText | None = Field(None, description="A text of yours, given back in every answer")
    endpoint: ShortText | None = Field(
        None,
        description="Send through this account only: its id, its label, its base URL or its device id at the sender",
    )
    on_unknown: Literal["hold", "resend"] | None = Field(
        None,
        description="When it cannot be known whether it was sent: hold (ends as unknown) or resend (may double)",
    )
    send_at: ShortText | None = Field(
        None,
        description="It does not begin before this moment, at most 366 days ahead (RFC 3339)",
        json_schema_extra={"format": "date-time"},
    )
    expires_at: ShortText | None = Field(
        None,
        description="It does not begin after this moment (RFC 3339)",
        json_schema_extra={"format": "date-time"},
    )
    lane: Literal["transactional", "bulk"] | None = Field(
        None, description="transactional (default for one recipient) goes ahead of bulk (default for several)"
    )


class ReplyFields(SendFields):
    """Of a kind with which a message can be answered."""

    reply_message_id: ShortText | None = Field(
        None,
        description="The message that this one answers: its WhatsApp id, or a message_id of ours. It goes through the account "
        "that has that message",
    )


class MessageFields(ReplyFields):
    message: Annotated[LongText, AfterValidator(not_blank)] = Field(description="The text")
    mentions: Annotated[list[ShortText], Field(max_length=1024)] | None = Field(
        None, description="Numbers to be mentioned, in any spelling that `phone` takes, or @everyone in a group"
    )


class ImageFields(ReplyFields):
    caption: LongText | None = None
    image_url: Text | None = Field(None, description="http(s) address of the image, in place of an upload")
    view_once: bool | None = None
    compress: bool | None = Field(None, description="The sender compresses images unless told not to")
    hd: bool | None = None


class FileFields(ReplyFields):
    caption: LongText | None = None
    file_url: Text | None = Field(None, description="http(s) address of the file, in place of an upload")
    filename: Annotated[str | None, Field(max_length=1000), AfterValidator(_filename)] = Field(
        None,
        description="Name that the recipient sees, in place of the upload's or the address' own; without an extension it "
        "gets that of the file",
        examples=["Offer 2026.pdf"],
    )


class _Phones(Request):
    phone: str | list[str] = Field(
        description="One phone, several separated by commas, or a list. International digits, `+` or `00` in front "
        "allowed; or a group's id (@g.us)",
        examples=["15550100001", ["15550100001", "15550100002"]],
    )


FIELDS_OF: dict[Kind, type[SendFields]] = {
    Kind.MESSAGE: MessageFields,
    Kind.IMAGE: ImageFields,
    Kind.FILE: FileFields,
}
OPTIONS = frozenset({"reference", "endpoint", "on_unknown", "send_at", "expires_at", "lane"})
"""The fields that are ours; the others are handed to the sender as they came."""


def fields_that_hold(wanted: type) -> frozenset[str]:
    """The names of the fields, of whichever kind, that hold a ``bool``, an ``int``, a ``list``, or what MayBeEmpty marks."""
    return frozenset(
        name
        for model in FIELDS_OF.values()
        for name, field in model.model_fields.items()
        if wanted in [*_all_in(field.annotation), *field.metadata]
    )


def _all_in(annotation: Any) -> list[Any]:
    """A type such as ``Annotated[list[str], …] | None``, all that it is made of, and what it is annotated with."""
    return [annotation, get_origin(annotation), *(held for part in get_args(annotation) for held in _all_in(part))]


def plain_body(kind: Kind) -> type[Request]:
    """What a message of the kind is as JSON or a plain form."""
    traits = KINDS[kind]
    words = f"{traits.noun.capitalize()} by its address." if traits.file else f"{traits.noun.capitalize()}."
    return create_model(f"Send{kind.value.capitalize()}", __base__=(FIELDS_OF[kind], _Phones), __doc__=words)


def upload_body(kind: Kind) -> type[Request]:
    """What a message of a kind with a file is as multipart/form-data."""
    file, noun = file_of(kind), KINDS[kind].noun
    part = Field(None, description=file.takes, json_schema_extra={"format": "binary"})
    fields: dict[str, Any] = {file.part: (bytes | None, part)}
    return create_model(
        f"Upload{kind.value.capitalize()}",
        __base__=(FIELDS_OF[kind], _Phones),
        __doc__=f"{noun.capitalize()} uploaded (or by its address).",
        **fields,
    )
