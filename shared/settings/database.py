"""How Postgres is reached."""

from __future__ import annotations

import re
import ssl
from typing import Any

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.settings.declaring import (
    Settings,
)
from shared.tls import FULL, ISSUER, NOTHING, FileNames, client_context


class DatabaseSettings(Settings):
    database_host: str = Field(
        description="Host of Postgres; or several, comma separated, each with :port where it differs: the first that may be"
        " written to is taken"
    )
    database_port: int = Field(5432, ge=1, le=65535, description="Port of Postgres")
    database_name: str = Field("postgres", description="Name of the database")
    database_user: str = Field("postgres", description="User of the database")
    database_password: SecretStr = Field(SecretStr(""), description="Password of that user")
    database_ssl_mode: str = Field(
        "require",
        description="disable, allow, prefer, require (no certificate is checked), verify-ca or verify-full, as in libpq",
    )
    database_ssl_root_cert: str = Field(
        "",
        description="File with the certificates (PEM) that may have signed that of Postgres, for verify-ca and verify-full;"
        " verify-full without it trusts those of the system",
    )
    database_ssl_cert: str = Field("", description="File with our own certificate (PEM), where Postgres asks for one")
    database_ssl_key: str = Field("", description="File with its key, unless DATABASE_SSL_CERT holds it too")
    database_statement_cache_size: int = Field(
        100,
        ge=0,
        description="Prepared statements kept per connection; 0 behind pgbouncer in transaction mode, which is also noticed",
    )

    @field_validator("database_host")
    @classmethod
    def _hosts(cls, value: str) -> str:
        for one in value.split(","):
            _database_host(one, 0)
        return value

    @field_validator("database_ssl_mode")
    @classmethod
    def _known_mode(cls, value: str) -> str:
        modes = ("disable", "allow", "prefer", "require", *_VERIFYING)
        if value not in modes:
            raise ValueError(f"one of {', '.join(modes)} is wanted")
        return value

    @model_validator(mode="after")
    def _certificates(self) -> DatabaseSettings:
        mode = f"DATABASE_SSL_MODE={self.database_ssl_mode}"
        if self.database_ssl_root_cert and self.database_ssl_mode not in _VERIFYING:
            raise ValueError(
                f"DATABASE_SSL_ROOT_CERT: {mode} checks no certificate; verify-full or verify-ca is wanted with it"
            )
        if self.database_ssl_mode == "verify-ca" and not self.database_ssl_root_cert:
            raise ValueError(f"DATABASE_SSL_ROOT_CERT: {mode} needs it; verify-full alone may do without")
        if self.database_ssl_cert and self.database_ssl_mode not in ("require", *_VERIFYING):
            raise ValueError(
                f"DATABASE_SSL_CERT: {mode} may connect without TLS; require, verify-ca or verify-full is wanted"
            )
        if self.database_ssl_key and not self.database_ssl_cert:
            raise ValueError("DATABASE_SSL_KEY: it says nothing without DATABASE_SSL_CERT")
        self.database_tls()
        return self

    def database_hosts(self) -> list[tuple[str, int]]:
        """(host, port) in the order of the setting."""
        return [_database_host(one, self.database_port) for one in self.database_host.split(",")]

    def database_tls(self) -> list[ssl.SSLContext | bool]:
        """What asyncpg takes as ``ssl``, in the order in which to try; False is without TLS. Raises ValueError naming the
        setting whose file cannot be used. Given a mode by its name asyncpg would look for certificates in the home of
        whoever runs this, and there may be none."""
        if self.database_ssl_mode == "disable":
            return [False]
        context = self._tls_context()
        if self.database_ssl_mode == "allow":
            return [False, context]
        return [context, False] if self.database_ssl_mode == "prefer" else [context]

    def _tls_context(self) -> ssl.SSLContext:
        files = (self.database_ssl_root_cert, self.database_ssl_cert, self.database_ssl_key)
        verify = {"verify-full": FULL, "verify-ca": ISSUER}.get(self.database_ssl_mode, NOTHING)
        context = client_context(_DATABASE_FILES, *files, verify=verify)
        context.set_alpn_protocols(["postgresql"])  # asked for since version 17 where TLS is begun without a request
        return context

    def login_arguments(self) -> dict[str, Any]:
        """Keyword arguments for asyncpg: who wants into which database."""
        return {
            "database": self.database_name,
            "user": self.database_user,
            "password": self.database_password.get_secret_value() or None,
        }

    def connect_arguments(self) -> dict[str, Any]:
        """Keyword arguments for asyncpg, for a connection to the first host that answers."""
        hosts = self.database_hosts()
        return self.login_arguments() | {
            "host": [host for host, _ in hosts],
            "port": [port for _, port in hosts],
            "ssl": self.database_tls()[0],
            "statement_cache_size": self.database_statement_cache_size,
        }


_VERIFYING = ("verify-ca", "verify-full")
_DATABASE_FILES = FileNames("DATABASE_SSL_ROOT_CERT", "DATABASE_SSL_CERT", "DATABASE_SSL_KEY")


def _database_host(text: str, default: int) -> tuple[str, int]:
    """Of ``host``, ``host:port``, an address of either kind, ``[address]:port`` or the path of a socket's folder. Raises
    ValueError."""
    text = text.strip()
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d+))?", text)
    host, port = bracketed.groups() if bracketed else (text, None)
    if not bracketed and text.count(":") == 1 and not text.startswith("/"):
        host, _, port = text.partition(":")
    if (
        not host
        or re.search(r"[\s@\[\]]|://", host)
        or (port is not None and not (port.isdigit() and 0 < int(port) < 65536))
    ):
        raise ValueError("a host such as db, db:5433 or [::1]:5433 is wanted, or several with commas between")
    try:
        if not host.startswith("/"):
            host.encode("idna")
    except UnicodeError:
        raise ValueError("that cannot be the name of a host") from None
    return host, default if port is None else int(port)
