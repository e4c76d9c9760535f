"""The page, and the headers that keep it from running or asking for anything that is not ours."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web

from services.gateway.send_requests import DURATIONS, MAX_TEXT
from services.gateway.settings import GatewaySettings
from services.gateway.web.static_files import StaticFiles
from shared.messages import Kind

_HERE = Path(__file__).parent

# No inline script or style is allowed, so text that slips into the page unescaped could still do nothing. `blob:` is for
# the preview of a picture that the user has chosen.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}

_DURATION_NAMES = {0: "Off", 86_400: "24 hours", 604_800: "7 days", 7_776_000: "90 days"}


_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def _root(request: web.Request) -> str:
    """What begins the page's addresses. They are relative to the page, so that a proxy may have it below a path and take that
    off. X-Forwarded-Prefix, where it says that path, makes them right also at the path without a slash at its end."""
    prefix = request.headers.get("X-Forwarded-Prefix", "").strip().rstrip("/")
    return f"{prefix}/" if _PREFIX.fullmatch(prefix) else "./"


def add_pages(app: web.Application, settings: GatewaySettings) -> None:
    """Adds ``/``, ``/dashboard`` and ``/static/…`` to the application."""
    files = StaticFiles(_HERE / "static")
    environment = aiohttp_jinja2.setup(
        app, loader=jinja2.FileSystemLoader(_HERE / "templates"), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    # Globals, since a context processor would put a plain string key on each request.
    environment.globals["static"] = files.address
    context = {
        "realm": settings.dashboard_realm,
        "max_text": MAX_TEXT,
        "upload_limits": {kind.value: settings.upload_limit(kind) for kind in Kind},
        "durations": [(value, _DURATION_NAMES[value]) for value in DURATIONS],
    }

    async def dashboard(request: web.Request) -> web.Response:
        response = aiohttp_jinja2.render_template("dashboard.html", request, context | {"root": _root(request)})
        response.headers.update(_PAGE_HEADERS)
        return response

    app.router.add_get("/", dashboard)
    app.router.add_get("/dashboard", dashboard)
    app.router.add_get("/static/{version}/{name}", files.handle)
