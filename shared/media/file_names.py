"""Names of files: read out of headers and addresses, in the right and in the usual wrong ways, and judged.

Recipients read a document's name, so it stays as its author wrote it, in whatever script. Refused is what could lie to
them or harm a device: paths, control characters, characters that turn the direction of writing (``fdp.exe`` read backwards
ends in .pdf), names that Windows keeps for devices, and hidden files.
"""

from __future__ import annotations

import email.header
import re
from urllib.parse import unquote, unquote_to_bytes

MOST_UNITS = 255
"""Of UTF-16: what Windows and macOS let a name have, in every script. The sender only shows the name of a document."""
UNSEEN_BYTES = 200
"""Of UTF-8 in a name that nobody sees, as that of an image: the sender saves it under ``thumbnails-`` and its name, and file
systems take 255 bytes."""

_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
# A whole path as old Internet Explorers send it; its author means the last part.
_WINDOWS_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|\\\\)(?:.*[\\/])?", re.DOTALL)
# What is not seen at the end of a name and hides its extension: white space, dots, marks of direction and of no width.
_UNSEEN = " .\t\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_UNSEEN_END = _UNSEEN + "\u200b\u200c\u200d\u200e\u200f\u061c\u2060\ufeff"
# Python's aiohttp percent-encodes a whole name, which leaves these characters; others encode a quotation mark at most.
_ENCODED_NAME = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})*")
_ENCODED_WORD = re.compile(r"\s*=\?[^?\s]+\?[bq]\?[^?]*\?=", re.IGNORECASE)
_PARAMETER = re.compile(
    r';\s*(?P<name>[^\s=;"]+)\s*=\s*(?:"(?P<quoted>(?:\\.|[^\\])*?)"(?=\s*(?:;|$))|(?P<plain>[^;]*))', re.DOTALL
)
_EXTENDED = re.compile(r"(?P<charset>[A-Za-z0-9_.:-]*)'[^']*'(?P<value>.*)", re.DOTALL)


class NameRefused(ValueError):
    """It is not the plain name of one file; the text says why."""


def given_filename(name: str) -> str:
    """A name that a caller gave, as it will be shown. Raises NameRefused."""
    name = _tidy(name)
    if not name:
        raise NameRefused("it has no file name")
    if problem := _problem(name):
        raise NameRefused(problem)
    return name


def _problem(name: str) -> str:
    if "/" in name or "\\" in name:
        return "its file name has a path in it; give the plain name"
    if _DANGEROUS.search(name):
        return "its file name has control characters, or such as turn the direction of writing"
    if name.startswith("."):
        return "its file name begins with a dot"
    if _RESERVED.fullmatch(name.partition(".")[0].strip()):
        return f"its file name {name.partition('.')[0]} is kept for devices by Windows"
    if _units(name) > MOST_UNITS:
        return f"its file name is longer than {MOST_UNITS} characters"
    return ""


def found_filename(name: str) -> str:
    """A name out of an answer or an address, with whatever is wrong left out: nobody chose it, so it is no reason to
    refuse a file. '': none is left."""
    name = re.split(r"[\\/]", name)[-1]
    name = _tidy(_DANGEROUS.sub("", name)).lstrip(_UNSEEN)
    if _RESERVED.fullmatch(name.partition(".")[0].strip()):
        name = f"_{name}"
    excess = _units(name) - MOST_UNITS
    if excess > 0:
        stem, extension = split_extension(name)
        name = f"{stem[:-excess]}.{extension}" if extension and len(stem) > excess else name[: MOST_UNITS // 2]
    return name


def _tidy(name: str) -> str:
    path = _WINDOWS_PATH.match(name)
    name = name[path.end() :] if path else name
    return name.rstrip(_UNSEEN_END).lstrip(_UNSEEN.replace(".", ""))


def _units(name: str) -> int:
    return len(name.encode("utf-16-le", "surrogatepass")) // 2


def split_extension(name: str) -> tuple[str, str]:
    """(stem, extension without its dot); the extension is '' where there is none."""
    stem, dot, extension = name.rpartition(".")
    return (stem, extension) if dot and stem else (name, "")


def unseen_filename(stem: str, extension: str) -> str:
    """The name under which a file goes to the sender whose name nobody sees."""
    stem = stem.encode()[: UNSEEN_BYTES - len(extension) - 1].decode(errors="ignore")
    return f"{stem}.{extension}"


def header_parameters(header: str) -> dict[str, str]:
    """The parameters of a Content-Disposition by their names in small letters, quotation marks taken off."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        quoted = match["quoted"]
        value = _unquoted(quoted) if quoted is not None else (match["plain"] or "").strip()
        found.setdefault(match["name"].lower(), value)
    return found


def _unquoted(value: str) -> str:
    # A path of Windows is sent as it is by browsers, whose backslashes escape nothing, and with each doubled by others.
    path = _WINDOWS_PATH.match(value)
    return re.sub(r'\\(["\\])', r"\1", value[path.end() :] if path else value)


def header_filename(header: str) -> str:
    """The file name of a Content-Disposition: ``filename*`` (RFC 5987), else its continuations (RFC 2231), else
    ``filename``, be it plain UTF-8, Latin-1, percent-encoded or an encoded word (RFC 2047). '': there is none."""
    parameters = header_parameters(header)
    extended = parameters.get("filename*") or _continued(parameters)
    if extended and (decoded := _extended_value(extended)):
        return decoded
    return _usual_value(parameters.get("filename", ""))


def _continued(parameters: dict[str, str]) -> str:
    parts = []
    for number in range(len(parameters)):
        part = parameters.get(f"filename*{number}*", parameters.get(f"filename*{number}"))
        if part is None:
            break
        parts.append(part)
    joined = "".join(parts)
    return joined if not joined or _EXTENDED.fullmatch(joined) else f"utf-8''{joined}"


def _extended_value(value: str) -> str:
    found = _EXTENDED.fullmatch(value)
    if found is None:
        return ""
    try:
        return unquote_to_bytes(found["value"]).decode(found["charset"] or "utf-8")
    except (LookupError, UnicodeError):
        return ""


def _usual_value(value: str) -> str:
    value = _repaired(value)
    if _ENCODED_WORD.match(value):
        try:
            return str(email.header.make_header(email.header.decode_header(value)))
        except (LookupError, UnicodeError, ValueError):
            return value
    return plain_filename(value)


def _repaired(value: str) -> str:
    """Headers are read as UTF-8; bytes that were none stand in it as surrogates, and are Latin-1 in practice."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return _of_bytes(value.encode("utf-8", "surrogateescape"))
    return value


def _of_bytes(raw: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def plain_filename(filename: str) -> str:
    """The name as a person wrote it, where the client percent-encoded all of it; recipients will read it."""
    if not _ENCODED_NAME.fullmatch(filename):
        return filename.replace("%22", '"')
    try:
        return unquote(filename, errors="strict")
    except UnicodeDecodeError:
        return filename


def address_filename(raw_path: str) -> str:
    """The last part of an address' path, decoded. ``raw_path``: as it stands in the address."""
    return _of_bytes(unquote_to_bytes(raw_path.rpartition("/")[2]))
