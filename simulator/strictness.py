"""What a careful client must never send, although GOWA would take it or bend it.

GOWA ignores unknown fields, makes a group out of a long number and keeps blanks in a phone. Here each of these is
written into the ledger, so that a test can demand an empty list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulator.rules import File, Kind

# Seven to fifteen digits with the country's code, or a group's id (new form, or creator and time).
_PERSON = re.compile(r"[1-9]\d{6,14}@s\.whatsapp\.net", re.ASCII)
_GROUP = re.compile(r"\d{10,20}(-\d{10})?@g\.us", re.ASCII)
_DIGITS = re.compile(r"[1-9]\d{6,14}", re.ASCII)


def offences(kind: Kind, fields: Mapping[str, Any], file: File | None) -> list[str]:
    """Each thing wrong with a request that could be bound, as a short sentence."""
    found: list[str] = []
    if "phone" in kind.fields:
        phone = fields.get("phone", "")
        if not _PERSON.fullmatch(phone) and not _GROUP.fullmatch(phone):
            found.append("phone is not digits@s.whatsapp.net nor a group")
    for name, value in fields.items():
        if name.endswith("_url") or name == "link":
            if not str(value).startswith(("http://", "https://")):
                found.append(f"{name} is no http(s) address")
        elif isinstance(value, str) and "\x00" in value:
            found.append(f"{name} holds a NUL")
        elif name == "duration" and value == 0:
            continue
        elif value == "" and name != "caption":
            found.append(f"{name} is empty")
    if kind.name == "contact" and not _DIGITS.fullmatch(fields.get("contact_phone", "")):
        found.append("contact_phone is not international digits")
    if kind.name == "presence" and not fields.get("type"):
        found.append("type is missing")
    if kind.file is not None and file is not None:
        found += _file_offences(kind, fields, file)
    return found


def _file_offences(kind: Kind, fields: Mapping[str, Any], file: File) -> list[str]:
    found: list[str] = []
    if f"{kind.name}_url" in fields:
        found.append("file and address together")
    if file.size == 0:
        found.append("file is empty")
    if not file.filename or "/" in file.filename or "\\" in file.filename:
        found.append("file name is missing or a path")
    if not file.content_type:
        found.append("file has no content type")
    return found
