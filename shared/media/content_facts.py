"""What the bytes of a file say of themselves, gathered while they stream to disk in constant memory."""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

HEAD_SIZE = 1024
"""First bytes of a file that are looked at."""

# Bytes that no text has, in whatever encoding of eight bits; tab, line and page ends, DOS' end of file and ISO 2022's escape
# are left.
_NOT_IN_TEXT = bytes(set(range(32)) - {9, 10, 11, 12, 13, 26, 27})
_PROLOGUE = re.compile(r"(?:\s|\ufeff|<!--.*?-->|<\?xml.*?\?>)*", re.DOTALL)
_PAGE = re.compile(r"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_PART_OF_PAGE = re.compile(r"<(?:head|body|script|title|meta|style|iframe)[\s>/]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContentFacts:
    """``head``: its first 1024 bytes. ``size`` in bytes. ``is_text``: all of it is, in UTF-8, UTF-16 or an encoding of eight
    bits. ``start``: the head as text, without BOM and white space before it."""

    head: bytes
    size: int
    sha256: bytes
    is_text: bool
    start: str
    is_html: bool


class ReceivedFile:
    """Takes a file's bytes in order, writes them to ``path`` and looks at them. Raises OSError. Call it in a thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._head = bytearray()
        self._waiting = bytearray()
        self._text: _Text | None = None
        self.size = 0

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._digest.update(block)
        self.size += len(block)
        self._head += block[: HEAD_SIZE - len(self._head)]
        if self._text is None:
            # Which encoding it may be in shows only in a head that is whole.
            self._waiting += block
            if len(self._waiting) < HEAD_SIZE:
                return
            block = self._begin_text()
        if self._text is not None:
            self._text.read(block)

    def _begin_text(self) -> bytes:
        self._text = _Text(bytes(self._head))
        waiting = bytes(self._waiting)
        self._waiting.clear()
        return waiting

    def finish(self) -> ContentFacts:
        """Closes it and says what it is."""
        self._file.close()
        if self._text is None:
            rest = self._begin_text()
            assert self._text is not None
            self._text.read(rest)
        self._text.read(b"", final=True)
        head = bytes(self._head)
        start = self._text.start(head)
        return ContentFacts(
            head=head,
            size=self.size,
            sha256=self._digest.digest(),
            is_text=self._text.possible and self.size > 0,
            start=start,
            is_html=_is_html(self._text.head_as_text(head)),
        )

    def close(self) -> None:
        self._file.close()


class _Text:
    """Reads bytes as every encoding that they may be in; what cannot be read drops out."""

    def __init__(self, head: bytes) -> None:
        self._wide = _wide_encoding(head)
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder(self._wide or "utf-8")()
        self._eight_bits = not self._wide

    @property
    def possible(self) -> bool:
        return self._decoder is not None or self._eight_bits

    def read(self, block: bytes, final: bool = False) -> None:
        if self._eight_bits and len(block.translate(None, _NOT_IN_TEXT)) != len(block):
            self._eight_bits = False
        if self._decoder is None:
            return
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError:
            self._decoder = None
        else:
            if "\x00" in text:
                self._decoder = None

    def head_as_text(self, head: bytes) -> str:
        return head.decode(self._wide or "latin-1", "ignore").removeprefix("ï»¿")

    def start(self, head: bytes) -> str:
        return self.head_as_text(head).lstrip("\ufeff \t\r\n")


def _wide_encoding(head: bytes) -> str:
    """The encoding of two bytes that the head is in: by its BOM, or by zeros in every other place; '': in none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if odd and not even and head[1:2] == b"\0":
        return "utf-16-le"
    if even and not odd and head[:1] == b"\0":
        return "utf-16-be"
    return ""


def _is_html(head: str) -> bool:
    prologue = _PROLOGUE.match(head)
    start = prologue.end() if prologue else 0
    if _PAGE.match(head, start):
        return True
    return "<?xml" not in head[:start] and bool(_PART_OF_PAGE.match(head, start))
