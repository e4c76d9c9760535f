"""The address of a message's file: what may be fetched later is decided when it is accepted, with the field named.

Only what is certain is refused here. A name server that gives no answer now is asked again by the dispatcher.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shared.media.file_names import split_extension
from shared.media.file_types import FileTypes
from shared.media.judging import may_be_named
from shared.messages import KINDS, Kind
from shared.outbound.address_guard import AddressGuard
from shared.outbound.name_lookups import HostUnsure
from shared.runtime.envelope import InvalidInput


async def check_remote_media(
    kind: Kind, content: dict[str, Any], guard: AddressGuard, types: FileTypes, passed_on: bool
) -> None:
    """Raises InvalidInput where the address may not be fetched. ``passed_on``: the sender fetches it itself."""
    file = KINDS[kind].file
    url = content.get(file.url) if file else None
    if file is None or url is None:
        return
    try:
        problem = await guard.check_url(url)
    except HostUnsure:
        problem = ""
    if problem:
        raise InvalidInput((file.url, problem))
    if passed_on and file.by_sender and not urlsplit(url).path.lower().endswith(file.by_sender.endings):
        raise InvalidInput((file.url, f"its path must end in one of {', '.join(file.by_sender.endings)}"))
    if content.get(file.name_field):
        _check_name(file.name_field, content[file.name_field], types, passed_on)


def _check_name(field: str, filename: str, types: FileTypes, passed_on: bool) -> None:
    if passed_on:
        raise InvalidInput((field, "the sender names what it fetches itself by its address (REMOTE_MEDIA=pass)"))
    _, extension = split_extension(filename)
    if not may_be_named(extension, types):
        raise InvalidInput((field, f"it must end in one of: {types.listed()}"))
