"""Plain data as YAML text, for one document: mappings, lists and scalars in block style.

Strings that YAML could read as something else are written as JSON strings, which YAML has too. A YAML library would be
one more dependency of the image for this alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

# Begins with a letter and holds nothing that has a meaning in YAML.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./{}-]*( [A-Za-z0-9_./-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})


def yaml_text(value: Any) -> str:
    """The value as a YAML 1.2 document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _entry(f"{_scalar(str(key))}:", inner)
    elif isinstance(value, list) and value:
        for inner in value:
            if isinstance(inner, (dict, list)) and inner:
                first, *rest = _lines(inner)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
            else:
                yield f"- {_scalar(inner)}"
    else:
        yield _scalar(value)


def _entry(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and "{" not in value[:1]:
        return value
    return json.dumps(value, ensure_ascii=False)
