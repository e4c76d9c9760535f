"""What GOWA does with ``image_url``, ``file_url`` and their like: it fetches them itself, and every failure is 500.

Fetched is from this machine's loopback only, whatever a redirect says; every other address is answered as a refused
connection, names under ``.invalid`` as unknown hosts. With ``--fetch-urls false`` nothing is fetched at all and a URL
counts as had when its ending is right. The page of ``/send/link``, which GOWA fetches for its preview, is left alone.
The texts are Go's.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from simulator.answers import Answer, internal
from simulator.pictures import PictureCheck, is_webp
from simulator.rules import CONTENT_TYPES, MAX_DOWNLOAD, MAX_FILE, MAX_IMAGE, Kind, name_in_url, thumbnail_failure

# Go counts the requests already made; the tenth redirect is one too many.
_REQUESTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PIECE = 256 * 1024
_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_LIMITS: Mapping[str, int] = {"image": MAX_IMAGE, "sticker": MAX_IMAGE, "file": MAX_FILE}
_HEADERS = {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came from an address; ``head`` is its first 16 bytes, ``picture_problem`` why Go could not decode it."""

    url: str
    content_type: str
    size: int
    sha256: str
    head: bytes = field(repr=False)
    picture_problem: str | None = None

    def shown(self) -> dict[str, Any]:
        """For the ledger."""
        return {"url": self.url, "content_type": self.content_type, "size": self.size, "sha256": self.sha256}


class _Failed(Exception):
    """Go's error; the text goes into GOWA's answer."""


class Downloads:
    """Fetches with GOWA's limits. ``limit`` is seconds for one download, redirects and body included."""

    def __init__(self, limit: float, fetches: bool) -> None:
        self._limit = limit
        self._fetches = fetches

    async def fetch(self, kind: Kind, fields: Mapping[str, Any]) -> Fetched | Answer | None:
        """The content behind the kind's URL, or GOWA's 500; None when there is no URL, or none is fetched."""
        url = fields.get(f"{kind.name}_url")
        if not url:
            return None
        try:
            if not self._fetches:
                _check_ending(kind, url)
                return None
            fetched = await self._fetch(kind, url)
        except _Failed as failure:
            return internal(f"failed to download {kind.name} from URL {failure}")
        return fetched if kind.name != "image" else _decoded(fetched, name_in_url(url))

    async def _fetch(self, kind: Kind, url: str) -> Fetched:
        ends = time.monotonic() + self._limit
        async with (
            aiohttp.ClientSession(headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar()) as session,
            await _followed(session, url, ends) as response,
        ):
            _check_head(kind, response)
            if kind.name in {"image", "sticker"}:
                _check_ending(kind, url)
            return await _read(kind, response)


async def _followed(session: aiohttp.ClientSession, url: str, ends: float) -> aiohttp.ClientResponse:
    """The first answer that is no redirect; ``ends`` is when all of it must be over. Raises _Failed."""
    location = url
    for _ in range(_REQUESTS):
        _check_address(url)
        # aiohttp takes 0 for no limit at all.
        left = aiohttp.ClientTimeout(total=max(ends - time.monotonic(), 0.001))
        try:
            response = await session.get(url, allow_redirects=False, timeout=left)
        except TimeoutError:
            raise _Failed(
                f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            ) from None
        except aiohttp.ServerDisconnectedError:
            raise _Failed(f'Get "{url}": EOF') from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError):
            reason = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
            raise _Failed(f'Get "{url}": {reason}') from None
        except (aiohttp.ClientError, ValueError):
            raise _Failed(f'Get "{url}": {_refused(url)}') from None
        if response.status not in _REDIRECTS or "Location" not in response.headers:
            return response
        response.release()
        location = response.headers["Location"]
        url = urljoin(url, location)
    raise _Failed(f'Get "{location}": too many redirects')


def _check_address(url: str) -> None:
    """Raises _Failed for whatever is not on this machine."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise _Failed(f'Get "{url}": unsupported protocol scheme "{parts.scheme}"')
    host = parts.hostname or ""
    if host.endswith(".invalid"):
        raise _Failed(f'Get "{url}": dial tcp: lookup {host}: no such host')
    if not _is_loopback(host):
        raise _Failed(f'Get "{url}": {_refused(url)}')


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    return f"dial tcp {host}:{port}: connect: connection refused"


def _check_head(kind: Kind, response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise _Failed(f"HTTP request failed with status: {response.status} {response.reason}")
    content_type = response.headers.get("Content-Type", "")
    is_right = True
    if kind.name in {"image", "sticker"}:
        is_right = content_type.startswith("image/")
    elif kind.name == "video":
        content_type = content_type.partition(";")[0].strip()
        is_right = content_type in CONTENT_TYPES["video"]
    if not is_right:
        raise _Failed(f"invalid content type: {content_type}")
    limit = _LIMITS.get(kind.name, MAX_DOWNLOAD)
    # Go does not know the length of a body that it unpacks.
    length = None if response.headers.get("Content-Encoding") == "gzip" else response.content_length
    if length is not None and length > limit:
        name = "image" if kind.name == "sticker" else kind.name
        raise _Failed(f"{name} size {length} exceeds maximum allowed size {limit}")


def _check_ending(kind: Kind, url: str) -> None:
    if kind.name not in {"image", "sticker"}:
        return
    ending = PurePosixPath(name_in_url(url)).suffix.lower()
    if ending not in _ENDINGS:
        raise _Failed(f"unsupported file type: {ending}")


async def _read(kind: Kind, response: aiohttp.ClientResponse) -> Fetched:
    limit = _LIMITS.get(kind.name, MAX_DOWNLOAD)
    is_cut = kind.name in {"image", "sticker"}
    digest, check = hashlib.sha256(), PictureCheck()
    size, head = 0, b""
    try:
        while size <= limit and (piece := await response.content.read(_PIECE)):
            if is_cut:
                piece = piece[: limit - size]
            head = (head + piece[:16])[:16]
            size += len(piece)
            digest.update(piece)
            if is_cut:
                check.feed(piece)
                if size == limit:
                    break
    except TimeoutError:
        raise _Failed("context deadline exceeded (Client.Timeout or context cancellation while reading body)") from None
    except (aiohttp.ClientError, ConnectionError):
        raise _Failed("unexpected EOF") from None
    if size > limit:
        raise _Failed(f"downloaded {kind.name} size of {size} bytes exceeds the maximum allowed size of {limit} bytes")
    content_type = response.headers.get("Content-Type", "")
    return Fetched(str(response.url), content_type, size, digest.hexdigest(), head, check.verdict() if is_cut else None)


def _decoded(fetched: Fetched, name: str) -> Fetched | Answer:
    """An image that Go can use: WebP becomes PNG, of the others the thumbnail is made."""
    if is_webp(fetched.head) or fetched.picture_problem is None:
        return fetched
    return thumbnail_failure(name, fetched.picture_problem)
