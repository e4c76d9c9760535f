"""How Redis is reached: by itself, by TLS, through sentinels."""

from __future__ import annotations

import re
import ssl
from datetime import timedelta

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.settings.declaring import (
    CommaList,
    Duration,
    Settings,
    host_and_port,
)
from shared.tls import FULL, ISSUER, NOTHING, FileNames, client_context

_REDIS_FILES = FileNames("REDIS_TLS_CA_FILE", "REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE")


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
