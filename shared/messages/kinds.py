"""The kinds of message: each is one entry of ``KINDS``, which says how it is taken in, sent, and looked up afterwards.

A further kind is a name in ``Kind``, an entry here, and its fields as a model in ``services/gateway/send_requests.py``; routes,
settings, limits, timeouts and look-ups follow from these. What the entries say of the sender is GOWA v9.2's
(``src/usecase/send.go``, ``src/validations/send_validation.go``, ``src/pkg/utils/general.go``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from string import Formatter
from typing import Any

from shared.messages.states import OnUnknown


class Kind(StrEnum):
    """What is sent; the last part of the path ``/api/send/<kind>``."""

    MESSAGE = "message"
    IMAGE = "image"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one family (``shared/media/file_types``) are handed to the sender. ``extensions``: that it knows for them,
    the usual first."""

    extensions: tuple[str, ...]
    content_type: str


@dataclass(frozen=True, slots=True)
class FetchedBySender:
    """What the sender refuses as an upload and takes by its address: files of ``families``, which a server calls something
    like ``content_type`` and whose address ends in one of ``endings``; ``wanted``: in words, with what it takes as well."""

    families: frozenset[str]
    wanted: str
    content_type: str
    endings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileOfKind:
    """The file that a message carries: uploaded in the part ``part``, or by its address in the field ``url``.

    ``most_bytes``: of a file that we fetch, and of an upload unless ``size_setting`` says otherwise; ``refuses_larger``: the
    sender takes no larger upload. ``formats``: by family, known by bytes alone; none: whatever FILE_TYPES has, by its name.
    ``wanted`` says in words which; ``takes`` the same for the API's description. ``name_field``: gives the name that the
    recipient sees; '': nobody sees it.
    """

    part: str
    url: str
    most_bytes: int
    takes: str
    refuses_larger: bool = False
    wanted: str = ""
    formats: Mapping[str, Format] = field(default_factory=dict)
    name_field: str = ""
    by_sender: FetchedBySender | None = None

    @property
    def size_setting(self) -> str:
        """The setting of the gateway that limits an upload, as a field."""
        return f"max_{self.part}_size"


FILE_NAME = "file_name"
"""In a text of ``stored``: any name under which the sender may show the file."""


@dataclass(frozen=True, slots=True)
class Traits:
    """``noun``: for people. ``path``: at the sender.

    ``stored``: what the sender's chat storage may show for it, fields in braces; the first row holds whose fields are all
    given. No rows: not known; such a message is never sent again because nobody found it.

    ``extra_seconds``: that the sender may need beyond what it needs for a text or, with a file, for media.
    ``on_unknown``: unless the caller says otherwise; None: by lane, as the settings have it.
    """

    noun: str
    path: str
    stored: tuple[tuple[str, ...], ...]
    file: FileOfKind | None = None
    extra_seconds: float = 0.0
    on_unknown: OnUnknown | None = None


KINDS: Mapping[Kind, Traits] = {
    Kind.MESSAGE: Traits(noun="a text", path="/send/message", stored=(("{message}",),)),
    Kind.IMAGE: Traits(
        noun="an image",
        path="/send/image",
        # Up to version 8 the label stood before a caption too.
        stored=(("{caption}", "🖼️ {caption}"), ("🖼️ Image",)),
        file=FileOfKind(
            part="image",
            url="image_url",
            most_bytes=20_000_000,
            takes="JPEG or PNG",
            wanted="a JPEG or PNG image",
            formats={"jpeg": Format(("jpg", "jpeg"), "image/jpeg"), "png": Format(("png",), "image/png")},
            # It converts WebP from an address, and goes by the address' last part.
            by_sender=FetchedBySender(
                frozenset({"webp"}), "a JPEG, PNG or WebP image", "image/webp", (".jpg", ".jpeg", ".png", ".webp")
            ),
        ),
    ),
    Kind.FILE: Traits(
        noun="a file",
        path="/send/file",
        stored=(("{caption}", "📄 {caption}"), ("📄 Document", "📄 {file_name}")),
        file=FileOfKind(
            part="file",
            url="file_url",
            most_bytes=50_000_000,
            takes="A document, picture, sound or film",
            refuses_larger=True,
            name_field="filename",
        ),
    ),
}


def file_of(kind: Kind) -> FileOfKind:
    """Raises ValueError for a kind without a file."""
    file = KINDS[kind].file
    if file is None:
        raise ValueError(f"{kind} has no file")
    return file


@cache
def fields_in(text: str) -> tuple[str, ...]:
    """The fields in a text of ``stored``."""
    return tuple(name for _, name, _, _ in Formatter().parse(text) if name)


def stored_row(kind: Kind, content: Mapping[str, Any]) -> tuple[str, ...]:
    """The row of ``stored`` that holds for a message with these fields; none: what it is stored as is not known."""
    return next((row for row in KINDS[kind].stored if _given(row, content)), ())


def _given(row: tuple[str, ...], content: Mapping[str, Any]) -> bool:
    names = {name for text in row for name in fields_in(text)} - {FILE_NAME}
    return all(content.get(name) is not None and str(content[name]).strip() for name in names)
