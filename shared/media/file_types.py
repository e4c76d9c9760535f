"""Which files may be sent: the table of extensions, and how the bytes of each are known.

What is sent is judged by bytes, not by names: a page that calls itself a document would reach people as one. The table is
widened by FILE_TYPES. Programs and web pages are not in it and not in ``*`` either: a recipient's device may run them.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.media.content_facts import ContentFacts

Test = Callable[[ContentFacts], bool]
OCTETS = "application/octet-stream"


def _starts(*prefixes: bytes) -> Test:
    return lambda facts: facts.head.startswith(prefixes)


def _riff(form: bytes) -> Test:
    return lambda facts: facts.head[:4] == b"RIFF" and facts.head[8:12] == form


def _box(*names: bytes) -> Test:
    return lambda facts: facts.head[4:8] in names


def _brand(*brands: bytes) -> Test:
    return lambda facts: facts.head[4:8] == b"ftyp" and facts.head[8:12] in brands


@dataclass(frozen=True, slots=True)
class Family:
    """What bytes can be told apart. ``extension``: of such a file without a name."""

    words: str
    extension: str
    fits: Test


# In the order in which they are asked; the first says what a file is.
FAMILIES = {
    "jpeg": Family("a JPEG image", "jpg", _starts(b"\xff\xd8\xff")),
    "png": Family("a PNG image", "png", _starts(b"\x89PNG\r\n\x1a\n")),
    "gif": Family("a GIF image", "gif", _starts(b"GIF87a", b"GIF89a")),
    "webp": Family("a WebP image", "webp", _riff(b"WEBP")),
    "heif": Family(
        "a HEIC image", "heic", _brand(b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif")
    ),
    "tiff": Family("a TIFF image", "tif", _starts(b"II*\x00", b"MM\x00*")),
    "wav": Family("a WAV sound", "wav", _riff(b"WAVE")),
    "avi": Family("an AVI film", "avi", _riff(b"AVI ")),
    "m4a": Family("an MPEG-4 sound", "m4a", _brand(b"M4A ", b"M4B ")),
    "quicktime": Family("a QuickTime film", "mov", _brand(b"qt  ")),
    "3gp": Family("a 3GP film", "3gp", lambda facts: facts.head[4:10] in (b"ftyp3g", b"ftyp3G")),
    "mpeg4": Family("an MPEG-4 film", "mp4", _box(b"ftyp")),
    "atoms": Family("a QuickTime film", "mov", _box(b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),
    "matroska": Family("a WebM or Matroska film", "webm", _starts(b"\x1aE\xdf\xa3")),
    "mpeg": Family("an MPEG film", "mpg", _starts(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")),
    "asf": Family("a Windows Media file", "wmv", _starts(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    "mp3": Family(
        "an MP3 sound",
        "mp3",
        _starts(b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2"),
    ),
    "aac": Family("an AAC sound", "aac", _starts(b"\xff\xf1", b"\xff\xf9")),
    "ogg": Family("an Ogg sound", "ogg", _starts(b"OggS")),
    "flac": Family("a FLAC sound", "flac", _starts(b"fLaC")),
    "amr": Family("an AMR sound", "amr", _starts(b"#!AMR")),
    "zip": Family("a ZIP archive", "zip", _starts(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")),
    "rar": Family("a RAR archive", "rar", _starts(b"Rar!\x1a\x07")),
    "7z": Family("a 7z archive", "7z", _starts(b"7z\xbc\xaf\x27\x1c")),
    "gzip": Family("a gzip archive", "gz", _starts(b"\x1f\x8b")),
    "tar": Family("a tar archive", "tar", lambda facts: facts.head[257:262] == b"ustar"),
    # Old Office documents, and new ones that have a password (MS-OFFCRYPTO).
    "ole": Family("an Office document of an old kind", "", _starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    "program": Family("a program", "", _starts(b"MZ", b"\x7fELF", b"#!/")),
    "html": Family("an HTML page", "", lambda facts: facts.is_html),
    # Readers look for the header in the first 1024 bytes (Adobe's notes on ISO 32000, annex H); some put a BOM or lines first.
    "pdf": Family("a PDF document", "pdf", lambda facts: b"%PDF-" in facts.head and not facts.is_html),
    "rtf": Family("an RTF document", "rtf", lambda facts: facts.start.startswith("{\\rtf")),
    "xml": Family("XML", "xml", lambda facts: facts.is_text and facts.start.startswith("<")),
    "bmp": Family("a BMP image", "bmp", lambda facts: facts.head[:2] == b"BM" and facts.head[6:10] == bytes(4)),
    "der": Family("a signed file", "p7m", _starts(b"\x30\x80", b"\x30\x82", b"\x30\x83", b"\x30\x84")),
    "dwg": Family("a drawing", "dwg", _starts(b"AC10", b"AC1.")),
    "psd": Family("a Photoshop image", "psd", _starts(b"8BPS")),
    "text": Family("a text", "txt", lambda facts: facts.is_text),
}


@dataclass(frozen=True, slots=True)
class MediaType:
    """``content_type`` is what is stored and sent on. ``families``: what its bytes may be; none: any but a web page."""

    content_type: str
    families: tuple[str, ...] = ()

    def fits(self, facts: ContentFacts) -> bool:
        if not self.families:
            return not facts.is_html or self.content_type in ("text/html", "application/xhtml+xml")
        if facts.is_html and "html" not in self.families:
            return False
        return any(FAMILIES[name].fits(facts) for name in self.families)


_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_JPEG = MediaType("image/jpeg", ("jpeg",))
_HTML = {name: MediaType("text/html", ("html",)) for name in ("html", "htm")}

_TABLE = {
    "pdf": MediaType("application/pdf", ("pdf",)),
    "docx": MediaType(_OFFICE + "wordprocessingml.document", ("zip", "ole")),
    "xlsx": MediaType(_OFFICE + "spreadsheetml.sheet", ("zip", "ole")),
    "pptx": MediaType(_OFFICE + "presentationml.presentation", ("zip", "ole")),
    "doc": MediaType("application/msword", ("ole", "rtf")),
    "xls": MediaType("application/vnd.ms-excel", ("ole",)),
    "ppt": MediaType("application/vnd.ms-powerpoint", ("ole",)),
    "odt": MediaType(_OPEN + "text", ("zip",)),
    "ods": MediaType(_OPEN + "spreadsheet", ("zip",)),
    "odp": MediaType(_OPEN + "presentation", ("zip",)),
    "odg": MediaType(_OPEN + "graphics", ("zip",)),
    "pages": MediaType("application/vnd.apple.pages", ("zip",)),
    "numbers": MediaType("application/vnd.apple.numbers", ("zip",)),
    "key": MediaType("application/vnd.apple.keynote", ("zip",)),
    "epub": MediaType("application/epub+zip", ("zip",)),
    "rtf": MediaType("application/rtf", ("rtf",)),
    "msg": MediaType("application/vnd.ms-outlook", ("ole",)),
    "zip": MediaType("application/zip", ("zip",)),
    "rar": MediaType("application/vnd.rar", ("rar",)),
    "7z": MediaType("application/x-7z-compressed", ("7z",)),
    "gz": MediaType("application/gzip", ("gzip",)),
    "tgz": MediaType("application/gzip", ("gzip",)),
    "tar": MediaType("application/x-tar", ("tar",)),
    "txt": MediaType("text/plain", ("text",)),
    "log": MediaType("text/plain", ("text",)),
    "md": MediaType("text/markdown", ("text",)),
    "csv": MediaType("text/csv", ("text",)),
    "tsv": MediaType("text/tab-separated-values", ("text",)),
    "json": MediaType("application/json", ("text",)),
    "geojson": MediaType("application/geo+json", ("text",)),
    "xml": MediaType("application/xml", ("xml",)),
    "kml": MediaType("application/vnd.google-earth.kml+xml", ("xml",)),
    "gpx": MediaType("application/gpx+xml", ("xml",)),
    "vcf": MediaType("text/vcard", ("text",)),
    "ics": MediaType("text/calendar", ("text",)),
    "eml": MediaType("message/rfc822", ("text",)),
    "p7m": MediaType("application/pkcs7-mime", ("der", "text")),
    "p7s": MediaType("application/pkcs7-signature", ("der", "text")),
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "jfif": _JPEG,
    "png": MediaType("image/png", ("png",)),
    "gif": MediaType("image/gif", ("gif",)),
    "webp": MediaType("image/webp", ("webp",)),
    "bmp": MediaType("image/bmp", ("bmp",)),
    "tif": MediaType("image/tiff", ("tiff",)),
    "tiff": MediaType("image/tiff", ("tiff",)),
    "heic": MediaType("image/heic", ("heif",)),
    "heif": MediaType("image/heif", ("heif",)),
    "psd": MediaType("image/vnd.adobe.photoshop", ("psd",)),
    "dwg": MediaType("image/vnd.dwg", ("dwg",)),
    "mp3": MediaType("audio/mpeg", ("mp3",)),
    "ogg": MediaType("audio/ogg", ("ogg",)),
    "oga": MediaType("audio/ogg", ("ogg",)),
    "opus": MediaType("audio/ogg", ("ogg",)),
    "wav": MediaType("audio/wav", ("wav",)),
    "m4a": MediaType("audio/mp4", ("m4a", "mpeg4")),
    "aac": MediaType("audio/aac", ("aac",)),
    "amr": MediaType("audio/amr", ("amr",)),
    "flac": MediaType("audio/flac", ("flac",)),
    "mp4": MediaType("video/mp4", ("mpeg4",)),
    "m4v": MediaType("video/mp4", ("mpeg4",)),
    "mov": MediaType("video/quicktime", ("mpeg4", "atoms")),
    "3gp": MediaType("video/3gpp", ("mpeg4",)),
    "webm": MediaType("video/webm", ("matroska",)),
    "mkv": MediaType("video/x-matroska", ("matroska",)),
    "avi": MediaType("video/x-msvideo", ("avi",)),
    "mpg": MediaType("video/mpeg", ("mpeg",)),
    "mpeg": MediaType("video/mpeg", ("mpeg",)),
    "wmv": MediaType("video/x-ms-wmv", ("asf",)),
}
# Content types that servers and clients say for these, beside the table's own.
_ALSO_CALLED = {
    "text/xml": "xml",
    "application/x-pdf": "pdf",
    "text/rtf": "rtf",
    "application/csv": "csv",
    "text/x-vcard": "vcf",
    "text/json": "json",
    "application/x-zip-compressed": "zip",
    "application/x-rar-compressed": "rar",
    "audio/mp3": "mp3",
    "audio/x-m4a": "m4a",
    "audio/x-wav": "wav",
    "application/ogg": "ogg",
}
# What runs when it is opened, on any device; documents with macros are among it.
_PROGRAMS = """
    apk apks app appimage application appref-ms appx bash bat bin chm class cmd com cpl crx deb dll dmg docm dotm
    ear elf exe gadget hta inf ins ipa iso jar js jse ksh lib lnk mde mjs msc msi msix msp mst out pif pkg potm ppam
    pptm ps1 psm1 py reg rpm run scf scr sct sh shb so svg sys url vb vbe vbs vhd vhdx vxd war wsc wsf wsh xap xlam
    xlsm xltm xpi
"""
PROGRAMS = frozenset(_PROGRAMS.split())
_PAGES = "asp aspx cgi do htm html jsf jsp jspx mht mhtml php php3 phtml pl shtml xht xhtml"
PAGES = frozenset(_PAGES.split())
"""Web pages, and programs on servers whose names stand in addresses and say nothing about what they answer."""

_EXTENSION = re.compile(r"[a-z0-9]{1,10}")
_FILE_TYPE = re.compile(r"\.?([a-z0-9][a-z0-9_-]{0,15})(?:=([a-z0-9.+-]+/[a-z0-9.+-]+))?")
_BUILT_IN = mimetypes.MimeTypes()


class FileTypes:
    """The table with what an operator added: ``extra`` as FILE_TYPES has it. Raises ValueError."""

    def __init__(self, extra: Sequence[str] = ()) -> None:
        self._table = dict(_TABLE)
        self.any = False
        for entry in extra:
            if entry == "*":
                self.any = True
                continue
            found = _FILE_TYPE.fullmatch(entry.lower())
            if found is None:
                raise ValueError(
                    f"'{entry}' is no extension such as apk, none with its type such as stp=model/step, and not *"
                )
            self._add(found[1], found[2])

    def _add(self, extension: str, content_type: str | None) -> None:
        known = self._table.get(extension) or _HTML.get(extension)
        guessed = _BUILT_IN.types_map[True].get(f".{extension}", OCTETS)
        self._table[extension] = MediaType(
            content_type or (known.content_type if known else guessed), known.families if known else ()
        )

    def of(self, extension: str) -> MediaType | None:
        """None: files that end so are not taken. ``extension`` without its dot, in any case."""
        extension = extension.lower()
        found = self._table.get(extension)
        if found is None and self.any and _EXTENSION.fullmatch(extension) and extension not in PROGRAMS | PAGES:
            return MediaType(_BUILT_IN.types_map[True].get(f".{extension}", OCTETS))
        return found

    def listed(self) -> str:
        """All extensions, for people."""
        return ", ".join(f".{extension}" for extension in self._table)

    def extension_of(self, facts: ContentFacts, declared: str) -> str:
        """The extension of a file that has none, by its bytes and the content type that was said with it; '': unknown."""
        said = self._said(declared)
        for extension in (_inside(facts), said):
            if extension in self._table and self._table[extension].families and self._table[extension].fits(facts):
                return extension
        found = next((family.extension for family in FAMILIES.values() if family.fits(facts)), "")
        return found if found in self._table else ""

    def _said(self, declared: str) -> str:
        for extension, media_type in self._table.items():
            if media_type.content_type == declared:
                return extension
        said = _ALSO_CALLED.get(declared, "")
        return said if said in self._table else ""


_INSIDE = (
    (b"mimetypeapplication/vnd.oasis.opendocument.text", "odt"),
    (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "ods"),
    (b"mimetypeapplication/vnd.oasis.opendocument.presentation", "odp"),
    (b"mimetypeapplication/epub+zip", "epub"),
)


def _inside(facts: ContentFacts) -> str:
    """The extension of a kind of text or archive that tells what it is at its start."""
    if facts.is_text:
        starts = {"BEGIN:VCARD": "vcf", "BEGIN:VCALENDAR": "ics"}
        return next((extension for start, extension in starts.items() if facts.start.startswith(start)), "")
    if facts.head.startswith(b"PK"):
        return next((extension for mark, extension in _INSIDE if mark in facts.head), "")
    return ""


def family_of(facts: ContentFacts) -> str:
    """'': of none that is known."""
    return next((name for name, family in FAMILIES.items() if family.fits(facts)), "")


def what_it_is(facts: ContentFacts) -> str:
    """In words, such as "an HTML page"."""
    family = family_of(facts)
    return FAMILIES[family].words if family else "of no known type"
