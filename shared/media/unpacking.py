"""Bytes of an answer as they were before it was packed for the way (Content-Encoding), never more than a limit.

Nothing packed was asked for, but servers and the caches before them send gzip all the same. What cannot be unpacked here is
refused: it would reach people as a file that no program opens.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

_BLOCK = 256 * 1024
_GZIP_START = b"\x1f\x8b"
_AUTO_HEADER = 47  # zlib or gzip, whichever it is
_RAW = -15
# Files that are gzip themselves: servers that see their extension call that an encoding.
_PACKED_NAMES = (".gz", ".tgz", ".svgz")


class NotUnpacked(Exception):
    """It is packed in a way that cannot be undone; the text says how."""


class TooLarge(Exception):
    """There are more bytes than the limit."""


class Unpacking:
    """``encodings``: the values of Content-Encoding. ``name``: of the file, as far as it is known. Feed it in order, then
    end it. Raises NotUnpacked, TooLarge; EOFError when the end is missing."""

    def __init__(self, encodings: Sequence[str], name: str, most_bytes: int) -> None:
        asked = [coding.strip().lower() for value in encodings for coding in value.split(",")]
        codings = [coding for coding in asked if coding not in ("", "identity", "none", "utf-8", "binary")]
        if len(codings) > 1 or any(coding not in ("gzip", "x-gzip", "deflate") for coding in codings):
            raise NotUnpacked(f"it is packed as '{', '.join(codings)[:60]}', which was not asked for")
        self._packed = bool(codings) and not name.lower().endswith(_PACKED_NAMES)
        self._deflate = codings == ["deflate"]
        self._left = most_bytes
        self._start = b""
        self._unpacker: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if not self._packed:
            yield self._counted(chunk)
            return
        if self._unpacker is None:
            self._start += chunk
            if len(self._start) < 2:
                return
            chunk, self._start = self._start, b""
            if not self._begin(chunk):
                yield self._counted(chunk)
                return
            assert self._unpacker is not None
        elif self._unpacker.eof:
            chunk = self._begin_next(self._start + chunk)
        while chunk:
            yield from self._unpacked(chunk)
            chunk = self._begin_next(self._unpacker.unused_data) if self._unpacker.eof else b""

    def _begin(self, start: bytes) -> bool:
        """Whether it is packed at all: some servers only say so."""
        if not self._deflate and not start.startswith(_GZIP_START):
            self._packed = False
            return False
        # "deflate" is zlib's format, and for some servers the bare one (RFC 9110, 8.4.1.2).
        headed = start.startswith(_GZIP_START) or (start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0)
        self._unpacker = zlib.decompressobj(_AUTO_HEADER if headed else _RAW)
        return True

    def _unpacked(self, chunk: bytes) -> Iterator[bytes]:
        assert self._unpacker is not None
        try:
            while not self._unpacker.eof:
                block = self._unpacker.decompress(chunk, _BLOCK)
                if block:
                    yield self._counted(block)
                chunk = self._unpacker.unconsumed_tail
                if not chunk and len(block) < _BLOCK:
                    return
        except zlib.error as error:
            raise NotUnpacked("what is said to be packed is broken") from error

    def _begin_next(self, rest: bytes) -> bytes:
        """What follows a packed part that has ended: another part, or filling that means nothing."""
        self._start = rest if len(rest) < len(_GZIP_START) else b""
        if not rest.startswith(_GZIP_START):
            self._counted(rest)
            return b""
        self._unpacker = zlib.decompressobj(_AUTO_HEADER)
        return rest

    def end(self) -> Iterator[bytes]:
        if not self._packed:
            return
        if self._unpacker is None:
            yield self._counted(self._start)
        elif not self._unpacker.eof:
            raise EOFError("the packed bytes end too early")

    def _counted(self, block: bytes) -> bytes:
        self._left -= len(block)
        if self._left < 0:
            raise TooLarge
        return block
