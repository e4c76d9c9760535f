"""Whether a file may be sent, and under which name and content type: one judgement for what is uploaded and what is fetched.

A file of a kind that has formats, such as an image, is known by its bytes alone, since nobody sees its name. A document's
extension says what it is, and its bytes must agree; one without an extension gets that of its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.media.content_facts import ContentFacts
from shared.media.file_names import split_extension, unseen_filename
from shared.media.file_types import FAMILIES, OCTETS, PAGES, PROGRAMS, FileTypes, what_it_is
from shared.messages.kinds import FileOfKind, Format, Kind, file_of


class MediaRefused(ValueError):
    """It may not be sent; the text says why."""


@dataclass(frozen=True, slots=True)
class JudgedFile:
    """``filename`` as the sender gets it, ``content_type`` as its bytes have it."""

    filename: str
    content_type: str


def judge(
    kind: Kind, filename: str, facts: ContentFacts, declared: str, types: FileTypes, found: bool = False
) -> JudgedFile:
    """Raises MediaRefused. ``filename``: a name that was checked, '' for none; ``found``: nobody chose it, it stood in an
    answer or an address. ``declared``: the content type that was said with it."""
    declared = declared.partition(";")[0].strip().lower()
    if not facts.size:
        raise MediaRefused("it is empty")
    if file_of(kind).formats:
        return _of_a_format(file_of(kind), filename, facts, types)
    # Servers call much text/html that is none, XML that a script gives out above all.
    if (
        declared == "text/html"
        and facts.is_text
        and facts.start.startswith("<")
        and not facts.start.startswith("<?xml")
    ):
        facts = replace(facts, is_html=True)
    return _document(filename, facts, declared, types, found)


def format_of(file: FileOfKind, facts: ContentFacts) -> Format | None:
    """As what the sender takes it as an upload; None: as nothing."""
    return next((form for family, form in file.formats.items() if FAMILIES[family].fits(facts)), None)


def _of_a_format(file: FileOfKind, filename: str, facts: ContentFacts, types: FileTypes) -> JudgedFile:
    form = format_of(file, facts)
    if form is None:
        raise MediaRefused(f"it is {what_it_is(facts)}; {file.wanted} is wanted")
    stem, extension = split_extension(filename)
    if extension.lower() in form.extensions:
        return JudgedFile(unseen_filename(stem or file.part, extension), form.content_type)
    # The sender goes by the extension. "photo.jfif" has another one, "Dr. Who" has none.
    replaced = types.of(extension) is not None or extension.lower() in PROGRAMS | PAGES
    stem = stem if replaced else filename
    return JudgedFile(unseen_filename(stem or file.part, form.extensions[0]), form.content_type)


def _document(filename: str, facts: ContentFacts, declared: str, types: FileTypes, found: bool) -> JudgedFile:
    stem, extension = split_extension(filename)
    if _is_part_of_name(extension, types):
        stem, extension = filename, ""
    media_type = types.of(extension) if extension else None
    if media_type is not None:
        if not media_type.fits(facts):
            raise MediaRefused(f"it is {what_it_is(facts)}, not {media_type.content_type} as its name says")
        return JudgedFile(filename, media_type.content_type)
    if extension and not _replaceable(extension, facts, found):
        raise MediaRefused(f"its name must end in one of: {types.listed()}")
    guessed = types.extension_of(facts, declared)
    media_type = types.of(guessed) if guessed else None
    if media_type is not None:
        return JudgedFile(f"{stem or 'file'}.{guessed}", media_type.content_type)
    if types.any and not extension and not facts.is_html and not FAMILIES["program"].fits(facts):
        return JudgedFile(filename or "file", OCTETS)
    raise MediaRefused(f"it is {what_it_is(facts)}, and its name says no other type")


def _replaceable(extension: str, facts: ContentFacts, found: bool) -> bool:
    """Whether an extension that is not taken stood in an address and says nothing, as in ``/invoice.php``. One that says
    something stays: an archive that is called a program is one."""
    extension = extension.lower()
    return found and (extension in PAGES or (extension not in PROGRAMS and not facts.is_text))


def may_be_named(extension: str, types: FileTypes) -> bool:
    """Whether a file may be called so, whatever its bytes are; '' is no extension."""
    return not extension or types.of(extension) is not None or _is_part_of_name(extension, types)


def _is_part_of_name(extension: str, types: FileTypes) -> bool:
    """What follows the last dot in "Offer 2.1" or "Dr. Who" says nothing about a type."""
    if (types.of(extension) is not None and not extension.isdigit()) or extension.lower() in PROGRAMS | PAGES:
        return False
    return extension.isdigit() or not extension.isascii() or not extension.isalnum() or len(extension) > 10
