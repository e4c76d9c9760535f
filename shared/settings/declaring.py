"""What a setting is made of: its types, the class that reads it, and ``load``."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, TypeVar

import durationpy
from pydantic import BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import SettingError
from shared.setting_names import misspelt

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


def comma_list(value: object) -> object:
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
CommaList = Annotated[list[str], NoDecode, BeforeValidator(comma_list)]


def seconds(duration: timedelta) -> float:
    return duration.total_seconds()


def milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


class Settings(BaseSettings):
    """Read from the environment alone; empty counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)


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
