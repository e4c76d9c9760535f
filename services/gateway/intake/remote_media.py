"""``image_url`` and ``file_url``: what may be fetched later is decided when it is accepted, with the field named.

Only what is certain is refused here. A name server that gives no answer now is asked again by the dispatcher.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shared.media.file_names import split_extension
from shared.media.file_types import FileTypes
from shared.media.judging import may_be_named
from shared.messages import Kind
from shared.name_lookups import HostUnsure
from shared.remote_media import AddressGuard
from shared.runtime.envelope import InvalidInput

# A sender that fetches an image itself wants its type in the path.
_SENDER_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


async def check_remote_media(
    kind: Kind, content: dict[str, Any], guard: AddressGuard, types: FileTypes, passed_on: bool
) -> None:
    """Raises InvalidInput where the address may not be fetched. ``passed_on``: the sender fetches it itself."""
    field = f"{kind.value}_url"
    url = content.get(field)
    if url is None:
        return
    try:
        problem = await guard.check_url(url)
    except HostUnsure:
        problem = ""
    if problem:
        raise InvalidInput((field, problem))
    if passed_on and kind is Kind.IMAGE and not urlsplit(url).path.lower().endswith(_SENDER_ENDINGS):
        raise InvalidInput((field, f"its path must end in one of {', '.join(_SENDER_ENDINGS)}"))
    if content.get("filename"):
        _check_name(content["filename"], types, passed_on)


def _check_name(filename: str, types: FileTypes, passed_on: bool) -> None:
    if passed_on:
        raise InvalidInput(("filename", "the sender names what it fetches itself by its address (REMOTE_MEDIA=pass)"))
    _, extension = split_extension(filename)
    if not may_be_named(extension, types):
        raise InvalidInput(("filename", f"it must end in one of: {types.listed()}"))
