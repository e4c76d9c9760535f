"""The routes of the documentation: its page, the files of Swagger UI, the OpenAPI document."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import structlog
from aiohttp import web

from services.gateway.openapi import openapi_text

log = structlog.get_logger()
_HERE = Path(__file__).parent
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png")
# Swagger UI sets styles by itself; nothing else may come from anywhere but here.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_KEEP = {"Cache-Control": "private, max-age=3600"}


def _swagger_folder() -> Path | None:
    # Found, not imported: the package would bring Flask with it.
    spec = find_spec("flask_swagger_ui")
    for place in (spec.submodule_search_locations if spec else None) or ():
        folder = Path(place) / "dist"
        if all((folder / name).is_file() for name in _SWAGGER):
            return folder
    return None


async def _document(request: web.Request) -> web.Response:
    return web.Response(text=openapi_text(), content_type="application/yaml", charset="utf-8")


def _file(path: Path) -> web.RouteDef:
    async def handler(request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers=_KEEP)

    return web.get(f"/docs/assets/{path.name}", handler)


async def _page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(_HERE / "page.html", headers=_PAGE_HEADERS)


def documentation_routes() -> list[web.RouteDef]:
    """Without Swagger UI's files the page says so; the document itself is always there."""
    routes = [web.get("/docs", _page), web.get("/docs/openapi.yml", _document), _file(_HERE / "start.js")]
    folder = _swagger_folder()
    if folder is None:
        log.warning("the package flask-swagger-ui is missing; /docs shows a link only")
        return routes
    return routes + [_file(folder / name) for name in _SWAGGER]
