"""The request for a message: path and body, with the caller's fields exactly as they came.

A field that the caller left out is left out here too, so the sender's own default holds (it compresses images unless told
not to).
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from services.dispatcher.sending.deadline import StartDeadline
from shared.messages.kinds import KINDS, FileOfKind, Kind, file_of


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be uploaded, as the sender will show it."""

    path: Path
    filename: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Request:
    """``body`` is made anew for each send, since a file is read while it is sent."""

    path: str
    body: aiohttp.payload.Payload
    file: _LimitedReader | None = None

    def is_read_whole(self) -> bool:
        """Whether all of the body was handed to the connection, as far as can be seen from here. False is certain: the end of
        an upload stands behind the last byte of its file."""
        return self.file is None or self.file.is_read_whole


def request_for(
    kind: Kind, phone: str, content: Mapping[str, Any], upload: Upload | None, deadline: StartDeadline
) -> Request:
    """The request for one recipient. Raises OSError when the upload cannot be opened."""
    path = KINDS[kind].path
    if upload is None:
        body = orjson.dumps({"phone": phone, **content})
        return Request(path, aiohttp.payload.BytesPayload(body, content_type="application/json"))
    writer = aiohttp.MultipartWriter("form-data")
    _append_field(writer, "phone", phone)
    for name, value in content.items():
        for part in value if isinstance(value, list) else [value]:
            _append_field(writer, name, _text(part))
    file = _LimitedReader(upload.path, deadline)
    part = writer.append_payload(aiohttp.payload.BufferedReaderPayload(file, content_type=upload.content_type))
    # Plain UTF-8 as browsers send it: the sender does not decode %20, so recipients would read it in the name.
    part.set_content_disposition(
        "form-data", quote_fields=False, name=file_of(kind).part, filename=_name(file_of(kind), upload.filename)
    )
    return Request(path, writer, file)


def _name(file: FileOfKind, filename: str) -> str:
    """As it is told to the sender. It keeps an image under that name while it sends it, in one folder for all its accounts, so
    two images of one name at once could change places; a name that nobody sees may be any."""
    plain = _without_controls(filename)
    return plain if file.name_field else f"{uuid4().hex[:16]}-{plain}"


def _without_controls(filename: str) -> str:
    """A line break in it would begin a header of its own."""
    return "".join("_" if character < " " or character == "\x7f" else character for character in filename)


def _append_field(writer: aiohttp.MultipartWriter, name: str, value: str) -> None:
    writer.append(value, {"Content-Type": "text/plain; charset=utf-8"}).set_content_disposition("form-data", name=name)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class _LimitedReader(io.BufferedReader):
    """A file whose reading must begin before the time for starting the send is over and go on without a longer gap: after
    a suspend the request stays incomplete, and the sender does nothing with it. A large file may take its time."""

    def __init__(self, path: Path, deadline: StartDeadline) -> None:
        super().__init__(io.FileIO(path))
        self._deadline = deadline
        self._left = os.fstat(self.fileno()).st_size

    @property
    def is_read_whole(self) -> bool:
        return self._left <= 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._left -= len(data)
        self._deadline.go_on()
        return data
