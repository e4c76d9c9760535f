"""Reads an answer's body to its end, however many pieces it comes in, but never more than a bound."""

from __future__ import annotations

import aiohttp


async def read_body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body, cut after ``most_bytes``. Raises aiohttp.ClientError when it breaks off."""
    body = bytearray()
    # A single read answers with whatever has arrived, not with all that was asked for.
    while len(body) < most_bytes and not response.content.at_eof():
        body += await response.content.read(most_bytes - len(body))
    return bytes(body)
