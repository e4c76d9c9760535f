"""The settings of the gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import phonenumbers
from pydantic import Field, SecretStr, create_model, field_validator, model_validator

from services.gateway.optout_words import plain
from shared.messages import KINDS, Kind
from shared.runtime.service import ServiceSettings
from shared.settings import (
    CommaList,
    DatabaseSettings,
    DrainSettings,
    Duration,
    EndpointSettings,
    FileSettings,
    FileTypeSettings,
    PacingSettings,
    RedisSettings,
    RemoteMediaSettings,
    Settings,
    UnknownSettings,
)


def _upload_sizes() -> dict[str, Any]:
    """MAX_<KIND>_SIZE for each kind of message with a file."""
    sizes: dict[str, Any] = {}
    for kind, traits in KINDS.items():
        if (file := traits.file) is not None:
            sentence = f"Bytes of an uploaded {kind.value}, at most"
            if file.refuses_larger:
                sentence += f"; the sender takes {file.most_bytes:,}"
            sizes[file.size_setting] = (int, Field(file.most_bytes, ge=1, description=sentence))
    return sizes


if TYPE_CHECKING:
    UploadSettings = Settings
else:
    UploadSettings = create_model("UploadSettings", __base__=Settings, **_upload_sizes())


class GatewaySettings(
    ServiceSettings,
    DrainSettings,
    DatabaseSettings,
    RedisSettings,
    EndpointSettings,
    PacingSettings,
    UnknownSettings,
    FileSettings,
    FileTypeSettings,
    RemoteMediaSettings,
    UploadSettings,
):
    api_port: int = Field(8080, ge=1, le=65535, description="Port of the gateway")
    enable_cors: bool = Field(True, description="Answer browsers on pages of the origins in CORS_ORIGINS")
    cors_origins: CommaList = Field(
        default=[],
        description="Origins of pages that may use the API, such as https://app.example.com, comma separated",
    )
    default_region: str = Field(
        "", description="Country (ISO code such as ID) of numbers with a leading 0; empty: they are refused"
    )
    bulk_chunk_size: int = Field(500, ge=1, le=100_000, description="Messages in a chunk of a campaign")
    max_recipients: int = Field(100_000, ge=1, le=1_000_000, description="Recipients of one request, at most")
    max_body_size: int = Field(
        16_000_000, ge=10_000, description="Bytes of a request's fields, at most; uploads have their own limits"
    )
    body_timeout: Duration = Field(
        timedelta(minutes=5), description="A request's body, its upload included, has to arrive within this"
    )
    media_max_total: int = Field(
        5 * 1024**3,
        ge=1,
        description="Bytes of all media kept in Postgres together, at most; beyond it uploads get 507",
    )
    transactional_expires_after: Duration = Field(
        timedelta(hours=24),
        description="Single sends that could not begin within this expire, unless they say otherwise",
    )
    bulk_expires_after: Duration = Field(
        timedelta(days=7), description="The same for the messages of campaigns; one retried gets 7 days more"
    )

    whatsapp_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Key of the sender's webhooks (the same variable there), without which receipts and STOP are not taken",
    )
    optout_words: CommaList = Field(
        default=[],
        description="Further words with which a person ends campaigns, beside STOP and its like in many languages",
    )

    def upload_limit(self, kind: Kind) -> int:
        """Bytes of a file that is uploaded with such a message, at most; 0 where it has none."""
        file = KINDS[kind].file
        return int(getattr(self, file.size_setting)) if file else 0

    @field_validator("whatsapp_webhook_secret")
    @classmethod
    def _secret_is_own(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() == "secret":
            raise ValueError("set one of your own; everybody knows the sender's default")
        return value

    @field_validator("optout_words")
    @classmethod
    def _words(cls, value: list[str]) -> list[str]:
        for word in value:
            if not plain(word):
                raise ValueError(f"'{word}' is no word")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            # "*" would let any page use the login that the browser keeps.
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise ValueError(f"'{origin}' is not an origin such as https://app.example.com")
        return value

    @field_validator("default_region")
    @classmethod
    def _known_region(cls, value: str) -> str:
        region = value.strip().upper()
        if region and region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"'{value}' is not a country's two-letter ISO code such as ID")
        return region

    @model_validator(mode="after")
    def _longer_than_nothing(self) -> GatewaySettings:
        for name in ("transactional_expires_after", "bulk_expires_after", "body_timeout"):
            if not getattr(self, name):
                raise ValueError(f"{name.upper()}: it must be longer than 0")
        return self
