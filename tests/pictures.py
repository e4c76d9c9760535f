"""Pictures that an image library can decode: the sender opens each one for its thumbnail."""

from __future__ import annotations

import random
import struct
import zlib

WEBP = bytes.fromhex("524946461a000000574542505650384c0d0000002f00000010071011118888fe0700")


def png(width: int = 2, height: int = 2) -> bytes:
    """A picture that can be decoded, of pixels by chance, so that it does not shrink; always the same of one size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    chance = random.Random(f"{width}x{height}")
    rows = b"".join(b"\0" + chance.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(filling: int = 60) -> bytes:
    """The segments of a picture, with a comment of so many bytes; its pixels mean nothing."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content

    comments = b"".join(segment(0xFE, bytes(min(65_000, filling - at))) for at in range(0, filling, 65_000))
    frame = segment(0xC0, bytes((8, 0, 1, 0, 1, 1, 1, 0x11, 0)))
    scan = segment(0xDA, bytes((1, 1, 0, 0, 63, 0))) + b"\x7f\xff\x00\xff\xd0\x7f"
    return b"\xff\xd8" + comments + frame + scan + b"\xff\xd9"
