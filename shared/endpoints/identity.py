"""Which endpoints there are: one per WhatsApp account, with an id that two versions of the settings agree about."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shared.settings import EndpointSettings


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``id`` is a hash of base URL and device id, so it does not depend on the order of the settings. ``label`` is for
    people: host, path and device, without a login."""

    id: str
    base_url: str
    device_id: str
    authorization: str = field(repr=False, default="")

    @property
    def label(self) -> str:
        parts = urlsplit(self.base_url)
        where = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
        return f"{where} {self.device_id}".strip()

    def headers(self) -> dict[str, str]:
        """What every request to it carries. GOWA decodes the device id from URL form."""
        headers = {}
        if self.authorization:
            headers["Authorization"] = self.authorization
        if self.device_id:
            headers["X-Device-Id"] = self.device_id.replace("%", "%25").replace("+", "%2B")
        return headers


def endpoint_id(base_url: str, device_id: str) -> str:
    return hashlib.sha256(f"{base_url.rstrip('/').lower()}\n{device_id}".encode()).hexdigest()[:12]


_HEADER_VALUE = re.compile(r"(basic|bearer|digest|dpop|negotiate|oauth|token|apikey)\s+\S+", re.IGNORECASE)


def _authorization(login: str) -> str:
    """``user:password`` becomes Basic; a scheme and one token (``Basic …``, ``Bearer …``) is a whole header value, and so is
    what has no colon. A password may have blanks."""
    if ":" in login and not _HEADER_VALUE.fullmatch(login.strip()):
        return "Basic " + base64.b64encode(login.encode()).decode()
    return login.strip()


def endpoints_of(settings: EndpointSettings) -> dict[str, Endpoint]:
    """The endpoints of the settings by id. Two that are the same account would double its pace, so they are one."""
    urls = settings.url_list()
    logins = settings.auth_list() or [""] * len(urls)
    devices = settings.whatsapp_device_ids or [""] * len(urls)
    endpoints = {}
    for url, login, device in zip(urls, logins, devices, strict=True):
        identity = endpoint_id(url, device)
        endpoints[identity] = Endpoint(identity, url.rstrip("/"), device, _authorization(login))
    return endpoints
