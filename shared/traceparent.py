"""The header ``traceparent`` of W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace a request belongs to.

Nothing here makes spans; a caller's trace is passed along and named in the log, so that both can be found by it.
"""

from __future__ import annotations

import re

# version-trace-parent-flags; version ff and zeroes alone are not valid. What a later version adds behind is not passed on.
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def read_traceparent(given: str | None) -> str:
    """The header where it has the right form, else ''."""
    return given if given and _FORM.fullmatch(given) else ""


def trace_id_of(traceparent: str) -> str:
    """32 hexadecimal digits."""
    return traceparent[3:35]
