"""Text from outside without what Postgres or UTF-8 cannot hold: one NUL would have a whole batch of rows refused."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without NUL and lone surrogates."""
    return _UNSTORABLE.sub("", text)
