"""Settings: each declared once, with its variable's name, type, default, sentence and check.

A service composes its own class out of the groups here (``services/<name>/settings.py``). A setting's variable is its
field name in capitals. ``load`` raises SettingError, which names every wrong variable and says what would be right.
``.env.example`` and ``docs/configuration.md`` are generated from these classes.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import durationpy
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import SettingError
from shared.media.file_types import FileTypes
from shared.messages import OnUnknown
from shared.setting_names import misspelt
from shared.tls import FULL, ISSUER, NOTHING, FileNames, client_context

SHIPPED_PASSWORD = "admin"  # noqa: S105 - the default that must not leave the machine


def _duration(value: object) -> object:
    if isinstance(value, str):
        if value.strip() == "0":
            return timedelta(0)
        try:
            parsed = durationpy.from_str(value.strip())
        except Exception as error:
            raise ValueError("a duration such as 500ms, 30s, 2m or 1h30m is wanted") from error
        if parsed < timedelta(0):
            raise ValueError("a duration cannot be negative")
        return parsed
    return value


def _comma_list(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value.strip() else []
    return value


def host_and_port(address: str, default: int) -> tuple[str, int]:
    """Of ``host``, ``host:port``, ``[::1]:port``; a port that is none is 0."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]") or (":" in host and not host.endswith("]")):
        return address.strip("[]"), default
    return host.strip("[]"), int(port) if port.isascii() and port.isdigit() else 0


Duration = Annotated[timedelta, BeforeValidator(_duration)]
CommaList = Annotated[list[str], NoDecode, BeforeValidator(_comma_list)]


def seconds(duration: timedelta) -> float:
    return duration.total_seconds()


def milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


class Settings(BaseSettings):
    """Read from the environment alone; empty counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)


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
_REDIS_FILES = FileNames("REDIS_TLS_CA_FILE", "REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE")


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


class RedisSettings(Settings):
    redis_host: str = Field("localhost", description="Host of Redis (6.2 or newer) or Valkey")
    redis_port: int = Field(6379, ge=1, le=65535, description="Port of Redis")
    redis_username: str = Field("", description="User of Redis, if it has users")
    redis_password: SecretStr = Field(SecretStr(""), description="Password of Redis")
    redis_database: int = Field(0, ge=0, description="Number of the Redis database")
    redis_tls: bool = Field(False, description="Talk TLS to Redis, and to its sentinels")
    redis_tls_ca_file: str = Field(
        "", description="Certificates (PEM) of the authorities that are trusted; empty: those of the system"
    )
    redis_tls_cert_file: str = Field("", description="Our own certificate (PEM), where Redis asks its clients for one")
    redis_tls_key_file: str = Field("", description="Its key (PEM), without a password")
    redis_tls_verify: str = Field(
        FULL, description="What is checked of Redis' certificate: full (issuer and host name), ca (the issuer) or none"
    )
    redis_sentinels: CommaList = Field(
        default=[], description="Addresses host:port of Redis Sentinels, comma separated, in place of REDIS_HOST"
    )
    redis_sentinel_master: str = Field("", description="Name under which the sentinels know the primary")
    redis_sentinel_username: str = Field("", description="User of the sentinels, if they have users")
    redis_sentinel_password: SecretStr = Field(SecretStr(""), description="Password of the sentinels")
    redis_pool_size: int = Field(20, ge=2, description="Connections to Redis, at most")
    redis_dial_timeout: Duration = Field(timedelta(seconds=5), description="Time to connect to Redis")
    redis_read_timeout: Duration = Field(timedelta(seconds=3), description="Time for an answer of Redis")
    redis_queue_name: str = Field(
        "pending_messages", description="Prefix of all keys; two installations on one Redis need two names"
    )
    redis_consumer_group: str = Field("workers", description="Consumer group of the streams")
    feed_high_water: int = Field(
        1000, ge=1, description="Campaigns are fed into Redis only while its bulk stream is shorter than this"
    )

    @field_validator("redis_queue_name", "redis_consumer_group")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", value):
            raise ValueError("letters, digits, '_', '-' and '.' are wanted")
        return value

    @field_validator("redis_host")
    @classmethod
    def _host_alone(cls, value: str) -> str:
        if "/" in value or "@" in value:
            # Not repeated: such an address may hold the password.
            raise ValueError(
                "a host name alone is wanted; port, login, database and TLS have settings of their own: REDIS_PORT, "
                "REDIS_USERNAME, REDIS_PASSWORD, REDIS_DATABASE, REDIS_TLS"
            )
        return value

    @field_validator("redis_sentinels")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        for address in value:
            host, port = host_and_port(address, 26379)
            if not re.fullmatch(r"[A-Za-z0-9_.:-]+", host) or not 1 <= port <= 65535:
                raise ValueError("addresses such as sentinel-1:26379 are wanted, comma separated")
        return value

    @field_validator("redis_tls_verify")
    @classmethod
    def _known_check(cls, value: str) -> str:
        if value not in (FULL, ISSUER, NOTHING):
            raise ValueError("full, ca or none is wanted")
        return value

    @model_validator(mode="after")
    def _redis_agrees(self) -> RedisSettings:
        """Refuses what would be heeded by nobody."""
        files = ("redis_tls_ca_file", "redis_tls_cert_file", "redis_tls_key_file", "redis_tls_verify")
        unheeded = [name for name in files if getattr(self, name) and name in self.model_fields_set]
        if unheeded and not self.redis_tls:
            raise ValueError(f"{unheeded[0].upper()}: it is heeded only with REDIS_TLS=true")
        if bool(self.redis_tls_cert_file) != bool(self.redis_tls_key_file):
            missing = "REDIS_TLS_KEY_FILE" if self.redis_tls_cert_file else "REDIS_TLS_CERT_FILE"
            raise ValueError(f"{missing}: a certificate and its key are wanted together")
        if self.redis_tls_verify == NOTHING and self.redis_tls_ca_file:
            raise ValueError("REDIS_TLS_CA_FILE: with REDIS_TLS_VERIFY=none nobody looks at it")
        self._sentinels_agree()
        self.redis_tls_context()
        return self

    def _sentinels_agree(self) -> None:
        if self.redis_sentinels:
            if not self.redis_sentinel_master:
                raise ValueError("REDIS_SENTINEL_MASTER: the name under which the sentinels know the primary is wanted")
            for name in ("redis_host", "redis_port"):
                if name in self.model_fields_set:
                    raise ValueError(f"{name.upper()}: leave it out, the sentinels in REDIS_SENTINELS say it")
            return
        own = {"redis_sentinel_master", "redis_sentinel_username", "redis_sentinel_password"}
        for name in sorted(own & self.model_fields_set):
            raise ValueError(f"{name.upper()}: it is heeded only with REDIS_SENTINELS")

    def redis_sentinel_addresses(self) -> list[tuple[str, int]]:
        return [host_and_port(address, 26379) for address in self.redis_sentinels]

    def redis_tls_context(self) -> ssl.SSLContext | None:
        """None: plain. Raises ValueError with the setting whose file cannot be used."""
        if not self.redis_tls:
            return None
        files = (self.redis_tls_ca_file, self.redis_tls_cert_file, self.redis_tls_key_file)
        return client_context(_REDIS_FILES, *files, verify=self.redis_tls_verify)


class EndpointSettings(Settings):
    whatsapp_base_url: str = Field("", description="Base URL of the one sender (GOWA), such as http://gowa:3000")
    whatsapp_auth: SecretStr = Field(
        SecretStr(""), description="Its login: user:password, or a header value of a scheme and one token (Bearer …)"
    )
    whatsapp_endpoints: CommaList = Field(
        default=[], description="Base URLs of several accounts, comma separated, in place of WHATSAPP_BASE_URL"
    )
    whatsapp_auths: Annotated[SecretStr, Field(description="Their logins, comma separated, as many")] = SecretStr("")
    whatsapp_device_ids: CommaList = Field(
        default=[], description="Their device ids (X-Device-Id), comma separated, as many; empty parts allowed"
    )
    endpoint_concurrency: int = Field(
        1, ge=1, le=100, description="Sends in flight per account; the sender serialises them, so leave it at 1"
    )
    whatsapp_connect_timeout: Duration = Field(timedelta(seconds=5), description="Time to connect to a sender")
    whatsapp_text_timeout: Duration = Field(
        timedelta(seconds=70), description="Time for the answer to a text; the sender itself may take 45 s and more"
    )
    whatsapp_media_timeout: Duration = Field(timedelta(seconds=180), description="Time for the answer to media")

    @model_validator(mode="after")
    def _lists_agree(self) -> EndpointSettings:
        urls = self.whatsapp_endpoints or ([self.whatsapp_base_url] if self.whatsapp_base_url else [])
        name = "WHATSAPP_ENDPOINTS" if self.whatsapp_endpoints else "WHATSAPP_BASE_URL"
        if not urls:
            raise ValueError("WHATSAPP_ENDPOINTS (or WHATSAPP_BASE_URL): at least one sender is wanted")
        for url in urls:
            if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", url):
                raise ValueError(
                    f"{name}: '{url.split('@')[-1]}' is not an http(s) URL without login; put the login into WHATSAPP_AUTHS"
                )
        wrong = [*self._of_one_or_several(), *self._unequal(len(urls))] or self._twice(urls)
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _of_one_or_several(self) -> Iterator[str]:
        """One sender has its variables, several have theirs; half of either would be dropped silently."""
        if self.whatsapp_endpoints and self.whatsapp_base_url:
            yield "WHATSAPP_BASE_URL: WHATSAPP_ENDPOINTS is set too; name all accounts there, or one here"
        if self.whatsapp_endpoints and self.whatsapp_auth.get_secret_value():
            yield "WHATSAPP_AUTH: it is for WHATSAPP_BASE_URL; the logins of WHATSAPP_ENDPOINTS are WHATSAPP_AUTHS"
        if not self.whatsapp_endpoints and self.whatsapp_auths.get_secret_value():
            yield "WHATSAPP_AUTHS: it is for WHATSAPP_ENDPOINTS; the login of WHATSAPP_BASE_URL is WHATSAPP_AUTH"

    def _unequal(self, accounts: int) -> Iterator[str]:
        auths = self.auth_list()
        if self.whatsapp_endpoints and auths and len(auths) != accounts:
            yield f"WHATSAPP_AUTHS: {len(auths)} logins for {accounts} endpoints"
        if self.whatsapp_device_ids and len(self.whatsapp_device_ids) != accounts:
            yield f"WHATSAPP_DEVICE_IDS: {len(self.whatsapp_device_ids)} ids for {accounts} endpoints"

    def _twice(self, urls: list[str]) -> list[str]:
        """One account twice would have twice its pace, or be taken for one and have its second login dropped."""
        accounts = [
            (url.rstrip("/").lower(), device)
            for url, device in zip(urls, self.whatsapp_device_ids or [""] * len(urls), strict=True)
        ]
        return [
            f"WHATSAPP_ENDPOINTS: {url} is there {count} times with the device id '{device}'; WHATSAPP_DEVICE_IDS must tell "
            "its accounts apart"
            for (url, device), count in Counter(accounts).items()
            if count > 1
        ]

    @field_validator("whatsapp_connect_timeout", "whatsapp_text_timeout", "whatsapp_media_timeout")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if not value:
            # 0 would mean to wait for ever.
            raise ValueError("it must be longer than 0")
        return value

    def url_list(self) -> list[str]:
        return self.whatsapp_endpoints or [self.whatsapp_base_url]

    def auth_list(self) -> list[str]:
        """One login per endpoint, or none at all."""
        if not self.whatsapp_endpoints:
            single = self.whatsapp_auth.get_secret_value()
            return [single] if single else []
        parts = _comma_list(self.whatsapp_auths.get_secret_value())
        return parts if isinstance(parts, list) else []


class PacingSettings(Settings):
    """Defaults of the rate profile; what is set at run time goes before them."""

    rate_profile: str = Field("manual", description="manual (few messages) or bulk (campaigns); may change at run time")
    rate_limit_delay_min: Duration = Field(timedelta(seconds=2), description="Shortest pause after a message")
    rate_limit_delay_max: Duration = Field(timedelta(seconds=5), description="Longest pause after a message")
    typing_delay_min: Duration = Field(timedelta(seconds=1), description="Shortest time shown as typing")
    typing_delay_max: Duration = Field(timedelta(seconds=3), description="Longest time shown as typing")
    bulk_typing_delay_min: Duration = Field(
        timedelta(seconds=3), description="Shortest typing time of campaigns in profile bulk"
    )
    bulk_typing_delay_max: Duration = Field(
        timedelta(seconds=8), description="Longest typing time of campaigns in profile bulk"
    )
    typing_presence: bool = Field(True, description="Show the recipient that the account is typing")
    natural_break_interval: int = Field(
        50, ge=0, description="Profile manual: campaigns take a break after so many messages of an account; 0: never"
    )
    natural_break_duration_min: Duration = Field(timedelta(seconds=30), description="Shortest break")
    natural_break_duration_max: Duration = Field(timedelta(minutes=1), description="Longest break")
    rate_delay_mean_ms: int = Field(10000, ge=0, description="Profile bulk: mean pause after a message, milliseconds")
    rate_delay_jitter_ms: int = Field(5000, ge=0, description="Profile bulk: the pause is the mean plus or minus this")
    rate_burst_limit: int = Field(20, ge=0, description="Profile bulk: cooldown after so many messages; 0: never")
    rate_cooldown_seconds: int = Field(
        210, ge=0, description="Profile bulk: the cooldown lasts this to 60 s longer, seconds; 0: never"
    )

    hourly_cap: int = Field(0, ge=0, description="Messages of an account in any hour, at most; 0: no cap")
    daily_cap: int = Field(0, ge=0, description="Messages of an account in any 24 hours, at most; 0: no cap")
    transactional_reserve: float = Field(
        0.1, ge=0, lt=1, description="Share of the caps that campaigns leave to single sends"
    )
    warmup_first_day: int = Field(
        0, ge=0, description="Daily cap of an account on its first day; it grows day by day to DAILY_CAP; 0: no warm-up"
    )
    warmup_days: int = Field(14, ge=1, le=365, description="Days of the warm-up")
    quiet_hours: str = Field(
        "",
        description="Campaigns send nothing in these hours of the recipient's day, such as 21:00-08:00; empty: never quiet",
    )
    recipient_gap: Duration = Field(
        timedelta(0),
        le=timedelta(days=1),
        description="Shortest time between two campaign messages to one person; 0: none",
    )

    @field_validator("quiet_hours")
    @classmethod
    def _two_times(cls, value: str) -> str:
        if value and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value):
            raise ValueError("two times of the day such as 21:00-08:00 are wanted")
        if value and value[:5] == value[6:]:
            raise ValueError("it begins when it ends, so nothing would be quiet; leave it empty for that")
        return value

    def quiet_minutes(self) -> tuple[int, int]:
        """(from, until) in minutes of the day; equal: never quiet."""
        if not self.quiet_hours:
            return 0, 0
        begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in self.quiet_hours.split("-"))
        return begin, end

    @model_validator(mode="after")
    def _ranges(self) -> PacingSettings:
        if self.rate_profile not in ("manual", "bulk"):
            raise ValueError("RATE_PROFILE: manual or bulk is wanted")
        for low, high in (
            ("rate_limit_delay_min", "rate_limit_delay_max"),
            ("typing_delay_min", "typing_delay_max"),
            ("bulk_typing_delay_min", "bulk_typing_delay_max"),
            ("natural_break_duration_min", "natural_break_duration_max"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low.upper()}: it is longer than {high.upper()}")
        for name in ("typing_delay_max", "bulk_typing_delay_max"):
            if getattr(self, name) > timedelta(minutes=1):
                raise ValueError(f"{name.upper()}: 1m is the most")
        if self.rate_delay_jitter_ms > self.rate_delay_mean_ms:
            raise ValueError("RATE_DELAY_JITTER_MS: it is more than RATE_DELAY_MEAN_MS")
        return self


class BreakerSettings(Settings):
    circuit_breaker_enabled: bool = Field(True, description="Take an account that keeps failing out of the rota")
    circuit_breaker_failure_threshold: int = Field(3, ge=1, description="Failures in a row that open the breaker")
    circuit_breaker_success_threshold: int = Field(2, ge=1, description="Successes that close it again")
    circuit_breaker_open_timeout: Duration = Field(timedelta(minutes=2), description="Time before a trial")
    circuit_breaker_half_open_timeout: Duration = Field(
        timedelta(seconds=30), description="A trial without an answer for so long opens the breaker again"
    )


class FeedbackSettings(Settings):
    feedback_enabled: bool = Field(
        True, description="Slow an account that turns bad, then suspend it; off: those it holds are released"
    )
    feedback_window: Duration = Field(
        timedelta(minutes=30),
        ge=timedelta(seconds=1),
        le=timedelta(hours=24),
        description="Attempts of this time are judged together; who was slowed is judged again after as long",
    )
    feedback_min_sample: int = Field(
        15, ge=2, le=500, description="Fewer attempts, or messages that could have been delivered, are not judged"
    )
    feedback_error_share: float = Field(
        0.3, ge=0, le=1, description="Share of attempts that fail from which an account is bad, 0 to 1; 0: not judged"
    )
    feedback_delivered_share: float = Field(
        0.5, ge=0, le=1, description="Share of messages delivered below which an account is bad, 0 to 1; 0: not judged"
    )
    feedback_slow_factor: int = Field(
        3, ge=1, le=100, description="Pauses between campaign messages of a slowed account are that many times as long"
    )
    feedback_suspension: Duration = Field(
        timedelta(hours=6),
        ge=timedelta(seconds=1),
        description="A suspension by feedback ends by a trial after this; each further one lasts twice as long, a day at most",
    )
    feedback_trial_size: int = Field(
        10, ge=1, le=500, description="Messages that must go well on trial until an account is as the others again"
    )
    silent_drop_after: Duration = Field(
        timedelta(hours=6),
        description="A message sent so long ago without a receipt counts as undelivered; 0: none does",
    )


class UnknownSettings(Settings):
    unknown_check_delay: Duration = Field(
        timedelta(seconds=75), description="An outcome that is not known is looked up after this (text)"
    )
    unknown_check_delay_media: Duration = Field(timedelta(seconds=240), description="The same for media")
    unknown_check_limit: Duration = Field(
        timedelta(minutes=30), description="How long looking up is repeated while the account cannot be reached"
    )
    on_unknown_bulk: OnUnknown = Field(
        OnUnknown.HOLD, description="Campaigns: hold (ends as unknown) or resend (may double)"
    )
    on_unknown_transactional: OnUnknown = Field(
        OnUnknown.RESEND, description="Single sends: resend (may double) or hold (ends as unknown)"
    )

    def check_seconds(self) -> dict[str, float]:
        """Seconds from an unknown outcome to its check, by kind of message."""
        media = seconds(self.unknown_check_delay_media)
        return {"message": seconds(self.unknown_check_delay), "image": media, "file": media}


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
        description="Addresses or networks of edges whose X-Forwarded-For is believed; wrong logins are throttled by client",
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
        description="image_url and file_url: fetch (we fetch and upload them) or pass (the sender fetches them itself)",
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


S = TypeVar("S", bound=BaseSettings)


def load(settings_class: type[S]) -> S:
    """The settings out of the environment. Raises SettingError with a line for each variable that is wrong."""
    known = [name.upper() for name in settings_class.model_fields]
    given = [name for name, value in os.environ.items() if value]
    lines = [f"{name}: there is no such setting; {meant} is meant?" for name, meant in misspelt(given, known)]
    try:
        settings = settings_class()
    except ValidationError as error:
        for problem in error.errors():
            text = str(problem["msg"]).removeprefix("Value error, ")
            if problem["type"] == "missing":
                text = "it must be set"
            # A check over several settings names its variable itself.
            name = "_".join(str(part) for part in problem["loc"]).upper()
            lines.append(f"{name}: {text}" if name else text)
        raise SettingError("\n".join(lines)) from None
    if lines:
        raise SettingError("\n".join(lines))
    return settings
