"""``image_url`` and ``file_url``: what may be fetched later is decided when it is accepted, with the field named."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shared.messages import Kind
from shared.remote_media import AddressGuard
from shared.runtime.envelope import InvalidInput

# A sender that fetches an image itself wants its type in the path.
_SENDER_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


async def check_remote_media(kind: Kind, content: dict[str, Any], guard: AddressGuard, passed_on: bool) -> None:
    """Raises InvalidInput where the address may not be fetched. ``passed_on``: the sender fetches it itself."""
    field = f"{kind.value}_url"
    url = content.get(field)
    if url is None:
        return
    if problem := await guard.check_url(url):
        raise InvalidInput((field, problem))
    if passed_on and kind is Kind.IMAGE and not urlsplit(url).path.lower().endswith(_SENDER_ENDINGS):
        raise InvalidInput((field, f"its path must end in one of {', '.join(_SENDER_ENDINGS)}"))
