"""Who may call: Basic login, compared in constant time, wrong ones throttled by address; nothing that a foreign page makes a
browser send.

Browsers add a Basic login to any request by themselves, so a page elsewhere could post a form here. A request that changes
something is refused when its Origin or Sec-Fetch-Site says that it comes from another site, unless that is allowed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr
from prometheus_client import Counter

from shared.runtime.envelope import ApiError, answer
from shared.runtime.login_throttle import LoginThrottle
from shared.runtime.request_identity import identity_of
from shared.settings import ListenSettings

OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})
_failed_logins = Counter("paceline_failed_logins_total", "Requests with a wrong login")
_SEC_FETCH_SITE = istr("Sec-Fetch-Site")
_FORWARDED_HOST = istr("X-Forwarded-Host")
_FORWARDED_PORT = istr("X-Forwarded-Port")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def login_check(settings: ListenSettings) -> Callable[[web.Request], bool]:
    """Answers whether a request carries the login of the settings, or none is asked for. Raises ApiError 429 where its
    address has tried too many different wrong ones; a right one is not looked at then either, or guessing would go on."""
    user = _digest(settings.dashboard_username)
    password = _digest(settings.dashboard_password.get_secret_value())
    pair = f"{settings.dashboard_username}:{settings.dashboard_password.get_secret_value()}"
    usual = b"Basic " + base64.b64encode(pair.encode("utf-8", "surrogatepass"))
    throttle = LoginThrottle()

    def carries_login(request: web.Request) -> bool:
        if not settings.enable_auth:
            return True
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        if not header:
            return False
        identity = identity_of(request)
        address = identity.client
        wait = throttle.wait(address)
        if wait and throttle.knows(address, header):
            # Tried before and wrong, which this answer does not tell anew.
            return False
        if wait:
            raise ApiError(
                429,
                "TOO_MANY_REQUESTS",
                "too many wrong logins from this address",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        # The header as every client writes it, in place of decoding and hashing it each time. It depends on the whole
        # login, and the time that comparing takes tells nothing of where it differs.
        if hmac.compare_digest(header.encode("utf-8", "surrogateescape"), usual):
            identity.caller = settings.dashboard_username
            return True
        given = _basic_login(header)
        # Both are compared, whichever is wrong, so that the time tells nothing.
        right = hmac.compare_digest(_digest(given[0]), user) & hmac.compare_digest(_digest(given[1]), password)
        if right:
            identity.caller = settings.dashboard_username
        else:
            throttle.failed(address, header)
            _failed_logins.inc()
        return right

    return carries_login


def login(settings: ListenSettings, open_paths: Iterable[str] = ()) -> Middleware:
    """A middleware that asks for the login of the settings on all but the open paths (exact)."""
    free = OPEN_PATHS | frozenset(open_paths)
    carries_login = login_check(settings)
    realm = settings.dashboard_realm.replace('"', "'")

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in free or request.method == "OPTIONS" or carries_login(request):
            return await handler(request)
        raise ApiError(
            401,
            "AUTHENTICATION_ERROR",
            "the login is missing or wrong",
            headers={"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'},
        )

    return middleware


def _basic_login(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def same_site(allowed_origins: Iterable[str] = ()) -> Middleware:
    """A middleware that refuses changes asked for by foreign pages and answers CORS for the allowed origins."""
    allowed = frozenset(origin.rstrip("/") for origin in allowed_origins)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN, "").rstrip("/")
        if origin and (origin in allowed or "*" in allowed):
            if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
                return web.Response(status=204, headers=_cors(origin) | _PREFLIGHT)
            response = await handler(request)
            if not response.prepared:
                response.headers.update(_cors(origin))
            return response
        if request.method not in _SAFE_METHODS and _is_foreign(request, origin):
            return answer(403, "FORBIDDEN", "a page of another site may not do this; allow its origin in CORS_ORIGINS")
        return await handler(request)

    return middleware


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Device-Id, X-Request-Id, traceparent",
    "Access-Control-Max-Age": "600",
}


def _cors(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Retry-After, Idempotency-Replayed, X-Request-Id",
        "Vary": "Origin",
    }


def _is_foreign(request: web.Request, origin: str) -> bool:
    # What the browser itself says of the page goes before what can be compared: proxies change Host, no page can set this.
    if site := request.headers.get(_SEC_FETCH_SITE):
        return site not in ("same-origin", "none")
    # Browsers leave it out where neither TLS nor loopback is between.
    if not origin:
        return False
    page = _authority(origin)
    return page is None or page not in _own_authorities(request, urlsplit(origin).scheme)


_DEFAULT_PORTS = {"http": 80, "https": 443}


def _authority(url: str) -> tuple[str, int | None] | None:
    """Host and port of an address; the port of its scheme where none is written. None: it has no host, such as ``null``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname.rstrip("."), port or _DEFAULT_PORTS.get(parts.scheme)


def _own_authorities(request: web.Request, scheme: str) -> set[tuple[str, int | None] | None]:
    """Under which hosts and ports the browser may know us. Behind a proxy Host is the browser's, or the proxy's own word for
    us and X-Forwarded-Host the browser's: a foreign page can set neither. The scheme is the page's, as ours is not told."""
    headers = request.headers
    hosts = [headers.get(hdrs.HOST, ""), *headers.get(_FORWARDED_HOST, "").split(",")]
    found = {_authority(f"{scheme}://{host.strip()}") for host in hosts if host.strip()}
    if re.fullmatch(r"[0-9]{1,5}", port := headers.get(_FORWARDED_PORT, "").strip()):
        # Where Host comes through without the port that the browser uses.
        found |= {(one[0], int(port)) for one in found if one is not None}
    return found - {None}
