"""Headers that every answer carries unless it says otherwise: it is no page, is shown in none, and is not guessed at."""

from __future__ import annotations

from aiohttp import hdrs, web
from multidict import CIMultiDict, istr

_ALWAYS = {
    istr("X-Content-Type-Options"): "nosniff",
    istr("Content-Security-Policy"): "default-src 'none'; frame-ancestors 'none'",
    istr("Referrer-Policy"): "no-referrer",
}
# Phone numbers and texts stay out of caches.
_NOT_KEPT = "no-store"
# Copied for each answer, which takes a tenth of setting them one by one.
_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json; charset=utf-8", **_ALWAYS, hdrs.CACHE_CONTROL: _NOT_KEPT})


class JsonResponse(web.Response):
    """A body of JSON under all the headers that it needs; ``headers`` go beside them."""

    def __init__(self, body: bytes, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(status=status, body=body, headers=_JSON)
        self.headers[hdrs.CONTENT_LENGTH] = str(len(body))
        if headers:
            self.headers.update(headers)


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``: pages have set their own by then."""
    if isinstance(response, JsonResponse):
        return
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    if response.content_type == "application/json":
        response.headers.setdefault(hdrs.CACHE_CONTROL, _NOT_KEPT)
