"""Headers that every answer carries unless it says otherwise: it is no page, is shown in none, and is not guessed at."""

from __future__ import annotations

from aiohttp import web

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``: pages have set their own by then."""
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    if response.content_type == "application/json":
        # Phone numbers and texts stay out of caches.
        response.headers.setdefault("Cache-Control", "no-store")
