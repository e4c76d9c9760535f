"""The kinds of message."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What is sent; the last part of the sender's path ``/send/<kind>``."""

    MESSAGE = "message"
    IMAGE = "image"
    FILE = "file"
