"""Which files may be uploaded: the extension says what it is, and content type and first bytes must agree.

What is sent on is judged by bytes, not by names: a page that calls itself a picture would be shown as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.messages import Kind

HEAD_SIZE = 16
"""First bytes of a file that are looked at."""

Signature = Callable[[bytes], bool]


def _starts(*prefixes: bytes) -> Signature:
    return lambda head: head.startswith(prefixes)


def _riff(form: bytes) -> Signature:
    return lambda head: head[:4] == b"RIFF" and head[8:12] == form


def _iso_media(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


@dataclass(frozen=True, slots=True)
class MediaType:
    """``content_type`` is what is stored and sent on; ``others`` are further names that clients give it. ``signature``
    judges the first bytes; None: it is text, which must be UTF-8 without NUL from the first to the last byte."""

    content_type: str
    signature: Signature | None
    others: frozenset[str] = frozenset()

    def is_called(self, content_type: str) -> bool:
        return content_type == self.content_type or content_type in self.others


def _type(content_type: str, signature: Signature | None, *others: str) -> MediaType:
    return MediaType(content_type, signature, frozenset(others))


_ZIP = _starts(b"PK\x03\x04", b"PK\x05\x06")
_OLE = _starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_JPEG = _type("image/jpeg", _starts(b"\xff\xd8\xff"), "image/jpg", "image/pjpeg")
_PNG = _type("image/png", _starts(b"\x89PNG\r\n\x1a\n"))
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."

IMAGES = {"jpg": _JPEG, "jpeg": _JPEG, "png": _PNG}
FILES = {
    **IMAGES,
    "gif": _type("image/gif", _starts(b"GIF87a", b"GIF89a")),
    "webp": _type("image/webp", _riff(b"WEBP")),
    "pdf": _type("application/pdf", _starts(b"%PDF-"), "application/x-pdf"),
    "docx": _type(_OFFICE + "wordprocessingml.document", _ZIP),
    "xlsx": _type(_OFFICE + "spreadsheetml.sheet", _ZIP),
    "pptx": _type(_OFFICE + "presentationml.presentation", _ZIP),
    "doc": _type("application/msword", _OLE),
    "xls": _type("application/vnd.ms-excel", _OLE, "application/msexcel"),
    "ppt": _type("application/vnd.ms-powerpoint", _OLE),
    "odt": _type(_OPEN + "text", _ZIP),
    "ods": _type(_OPEN + "spreadsheet", _ZIP),
    "odp": _type(_OPEN + "presentation", _ZIP),
    "rtf": _type("application/rtf", _starts(b"{\\rtf"), "text/rtf"),
    "zip": _type("application/zip", _ZIP, "application/x-zip-compressed", "application/x-zip"),
    "txt": _type("text/plain", None),
    "csv": _type("text/csv", None, "text/plain", "application/csv", "application/vnd.ms-excel"),
    "json": _type("application/json", None, "text/plain"),
    "vcf": _type("text/vcard", None, "text/x-vcard", "text/plain"),
    "ics": _type("text/calendar", None, "text/plain"),
    "mp3": _type("audio/mpeg", _starts(b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"), "audio/mp3"),
    "ogg": _type("audio/ogg", _starts(b"OggS"), "application/ogg", "video/ogg"),
    "wav": _type("audio/wav", _riff(b"WAVE"), "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "m4a": _type("audio/mp4", _iso_media, "audio/x-m4a", "audio/m4a"),
    "mp4": _type("video/mp4", _iso_media, "audio/mp4"),
}
ALLOWED = {Kind.IMAGE: IMAGES, Kind.FILE: FILES}

# A client that does not know the type says one of these.
_SAYS_NOTHING = frozenset({"", "application/octet-stream", "binary/octet-stream"})


class MediaRefused(ValueError):
    """The upload may not be what it says; the text says why."""


def media_type_of(kind: Kind, filename: str, content_type: str) -> MediaType:
    """The type that name and part header agree on. Raises MediaRefused."""
    stem, dot, extension = filename.rpartition(".")
    allowed = ALLOWED[kind]
    found = allowed.get(extension.lower()) if dot and stem else None
    if found is None:
        raise MediaRefused(f"its name must end in one of: {', '.join('.' + known for known in allowed)}")
    said = content_type.partition(";")[0].strip().lower()
    # The sender takes an image only by its exact content type; for files it looks itself.
    if not (found.is_called(said) or (kind is Kind.FILE and said in _SAYS_NOTHING)):
        raise MediaRefused(f"its content type '{said[:60]}' does not fit its name; {found.content_type} is wanted")
    return found


def check_filename(filename: str) -> None:
    """Raises MediaRefused for a name that is not the plain name of one file."""
    if not filename:
        raise MediaRefused("it has no file name")
    if len(filename.encode("utf-8", "replace")) > 200:
        raise MediaRefused("its file name is longer than 200 bytes")
    if "/" in filename or "\\" in filename or ".." in filename:
        raise MediaRefused("its file name has a path in it; give the plain name")
    if not filename.isprintable():
        raise MediaRefused("its file name has characters that cannot be shown")
