"""What a service listens on, logs, and keeps as files."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.media.file_types import FileTypes
from shared.settings.declaring import (
    SHIPPED_PASSWORD,
    CommaList,
    Duration,
    Settings,
)


class LogSettings(Settings):
    log_level: str = Field("info", description="debug, info, warning or error")
    log_format: str = Field("json", description="json (one object a line) or text (for a terminal)")

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("debug, info, warning or error is wanted")
        return value.lower()

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in ("json", "text"):
            raise ValueError("json or text is wanted")
        return value


class ListenSettings(Settings):
    api_host: str = Field(
        "127.0.0.1",
        description="Address on which a service listens; 0.0.0.0: all of IPv4, :: or *: all of IPv4 and IPv6",
    )
    enable_auth: bool = Field(True, description="Ask for a login; off only where nobody else can reach the port")
    dashboard_username: str = Field("admin", description="User of API and dashboard")
    dashboard_password: SecretStr = Field(
        SecretStr(SHIPPED_PASSWORD), description="Its password; the shipped one works on loopback only"
    )
    dashboard_realm: str = Field("Paceline", description="Realm shown by the browser's login box")
    trusted_proxies: CommaList = Field(
        default=["127.0.0.0/8", "::1"],
        description="Addresses or networks of edges whose X-Forwarded-For is believed, in logs and where logins are throttled",
    )
    header_timeout: Duration = Field(
        timedelta(seconds=60),
        gt=timedelta(0),
        description="A connection whose first request has not come by then is ended; checked every 5s",
    )
    shutdown_grace: Duration = Field(timedelta(seconds=20), description="Time for requests in hand at a stop")

    @field_validator("dashboard_username")
    @classmethod
    def _no_colon(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("a login ends the user's name at its first ':', so it cannot have one")
        return value

    @field_validator("dashboard_realm")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("it stands in a header, so it cannot have line breaks or control characters")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"'{network}' is neither an address nor a network such as 10.0.0.0/8") from None
        return value

    @model_validator(mode="after")
    def _password_is_own(self) -> ListenSettings:
        if not self.enable_auth or self.dashboard_password.get_secret_value() != SHIPPED_PASSWORD:
            return self
        if not is_loopback(self.api_host):
            raise ValueError(
                f"DASHBOARD_PASSWORD: set one of your own; the shipped password is refused on API_HOST={self.api_host}, "
                "which others can reach"
            )
        return self


class DrainSettings(Settings):
    drain_time: Duration = Field(
        timedelta(seconds=5),
        description="At SIGTERM go on answering for so long, not ready any more, until edges have noticed; 0: stop at once",
    )


class FileSettings(Settings):
    file_storage_root: str = Field("tmp", description="Folder for uploads under way and media being sent")


class FileTypeSettings(Settings):
    file_types: CommaList = Field(
        default=[],
        description="Further types of files to take, by extension, with a content type if wanted: apk,stp=model/step; *: any "
        "but programs and web pages, which have to be named",
    )

    @field_validator("file_types")
    @classmethod
    def _readable_types(cls, value: list[str]) -> list[str]:
        FileTypes(value)
        return value


class RemoteMediaSettings(Settings):
    remote_media: str = Field(
        "fetch",
        description="Files given by their address: fetch (we fetch and upload them) or pass (the sender fetches them itself)",
    )
    remote_media_allow: CommaList = Field(
        default=[], description="Hosts or networks (CIDR) allowed in such URLs though they are not public"
    )

    @field_validator("remote_media_allow")
    @classmethod
    def _hosts_or_networks(cls, value: list[str]) -> list[str]:
        for item in value:
            try:
                ipaddress.ip_network(item, strict=False)
            except ValueError:
                if not re.fullmatch(r"[^\s/:@?#]+", item) or re.fullmatch(r"[\d.]+", item):
                    raise ValueError(
                        f"'{item}' is neither a host's name without port nor a network such as 10.0.0.0/8"
                    ) from None
        return value

    @field_validator("remote_media")
    @classmethod
    def _known_way(cls, value: str) -> str:
        if value not in ("fetch", "pass"):
            raise ValueError("fetch or pass is wanted")
        return value


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
