"""Whether Go's image library could decode a picture, judged as its bytes come, none of them kept.

A PNG is checked whole: its chunks, their checksums, and that the pixels are all there. Of a JPEG the segments are
walked up to the end mark. Other kinds that Go knows are told by their first bytes alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator

_UNKNOWN = "image: unknown format"
_CUT_OFF = "unexpected EOF"
_BAD_PNG = "png: invalid format: "
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_OTHERS = (b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
_PIECE = 65_536
# Samples of a pixel by colour type: grey, RGB, palette, grey and alpha, RGBA.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# A reader asks for more bytes by yielding, and returns what is wrong with the picture, if anything.
_Reading = Generator[None, None, str | None]


class PictureCheck:
    """Feed it the bytes, then ask for the verdict."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._ended = False
        self._problem: str | None = _UNKNOWN
        self._reader = self._read()
        self._go_on()

    def feed(self, piece: bytes) -> None:
        """The next bytes; those after the picture's end are ignored, as Go does."""
        if not self._ended:
            self._held += piece
            self._go_on()

    def verdict(self) -> str | None:
        """What Go says is wrong, or None; the bytes are over."""
        return self._problem

    def _go_on(self) -> None:
        try:
            next(self._reader)
        except StopIteration as end:
            self._ended, self._problem = True, end.value
            self._held.clear()

    def _ends_with(self, problem: str) -> None:
        """What it is to be when no more bytes come."""
        self._problem = problem

    def _read(self) -> _Reading:
        while len(self._held) < len(_PNG):
            yield
        for signature, read in ((_PNG, _read_png), (_JPEG, _read_jpeg)):
            if self._held.startswith(signature):
                del self._held[: len(signature)]
                # Until the end has come.
                self._problem = _CUT_OFF
                return (yield from read(self._held, self._ends_with))
        return None if self._held.startswith(_OTHERS) else _UNKNOWN


def is_webp(head: bytes) -> bool:
    """Whether Go's sniffing calls these first bytes (16 are enough) WebP."""
    return head[:4] == b"RIFF" and head[8:14] == b"WEBPVP"


def _take(held: bytearray, size: int) -> Generator[None, None, bytes]:
    while len(held) < size:
        yield
    taken = bytes(held[:size])
    del held[:size]
    return taken


def _read_png(held: bytearray, ends_with: Callable[[str], None]) -> _Reading:
    pixels = _Pixels()
    while True:
        ends_with(_CUT_OFF)
        head = yield from _take(held, 8)
        length, kind = int.from_bytes(head[:4]), head[4:]
        if length > 0x7FFFFFFF:
            return f"{_BAD_PNG}Bad chunk length: {length}"
        checksum = zlib.crc32(kind)
        rest = length
        if kind == b"IDAT":
            ends_with(_BAD_PNG + "not enough pixel data")
        while rest:
            piece = yield from _take(held, min(rest, _PIECE))
            rest -= len(piece)
            checksum = zlib.crc32(piece, checksum)
            problem = pixels.take(kind, piece)
            if problem is not None:
                return problem
        if int.from_bytes((yield from _take(held, 4))) != checksum:
            return _BAD_PNG + "invalid checksum"
        if kind == b"IEND":
            return pixels.problem_at_end()


class _Pixels:
    """The pixels of a PNG: how many bytes they must be, how many have come."""

    def __init__(self) -> None:
        self._wanted = -1
        self._had = 0
        self._inflating = zlib.decompressobj()

    def take(self, kind: bytes, piece: bytes) -> str | None:
        """One piece of a chunk; what is wrong with it."""
        if kind == b"IHDR":
            return self._begin(piece)
        if kind != b"IDAT":
            return None
        if self._wanted < 0:
            return _BAD_PNG + "chunk out of order"
        try:
            self._had += len(self._inflating.decompress(piece))
        except zlib.error:
            return f"flate: corrupt input before offset {self._had}"
        return None

    def problem_at_end(self) -> str | None:
        """What is wrong with the picture as a whole."""
        if self._wanted < 0:
            return _BAD_PNG + "chunk out of order"
        return _BAD_PNG + "not enough pixel data" if self._had < self._wanted else None

    def _begin(self, header: bytes) -> str | None:
        if self._wanted >= 0:
            return _BAD_PNG + "chunk out of order"
        if len(header) != 13:
            return _BAD_PNG + "bad IHDR length"
        width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
        if not width or not height:
            return _BAD_PNG + "non-positive dimension"
        depth, colour, is_interlaced = header[8], header[9], header[12]
        if colour not in _SAMPLES or depth not in {1, 2, 4, 8, 16}:
            return "png: unsupported feature: bit depth and colour type"
        # Interlaced rows are laid out in seven passes; that they are about that many is enough.
        row = (width * depth * _SAMPLES[colour] + 7) // 8
        self._wanted = row * height if is_interlaced else (row + 1) * height
        return None


def _read_jpeg(held: bytearray, _: Callable[[str], None]) -> _Reading:
    has_frame = has_scan = False
    while True:
        marker = yield from _next_marker(held)
        if marker == 0xD9:
            return None if has_scan else "invalid JPEG format: missing SOS marker"
        length = int.from_bytes((yield from _take(held, 2))) - 2
        if length < 0:
            return "invalid JPEG format: short segment length"
        if marker == 0xDA and not has_frame:
            return "invalid JPEG format: missing SOF marker"
        has_frame = has_frame or marker in {0xC0, 0xC1, 0xC2}
        has_scan = has_scan or marker == 0xDA
        yield from _take(held, length)


def _next_marker(held: bytearray) -> Generator[None, None, int]:
    """Passes over the data of a scan, where a stuffed 00 or a restart follows each FF."""
    while True:
        found = held.find(0xFF)
        if found < 0:
            held.clear()
            yield
            continue
        del held[: found + 1]
        marker = (yield from _take(held, 1))[0]
        if marker == 0xFF:
            held.insert(0, 0xFF)
        elif marker and not 0xD0 <= marker <= 0xD7:
            return marker
