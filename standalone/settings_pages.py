"""``python -m standalone.settings_pages``: write .env.example and docs/configuration.md anew from the settings classes.

A setting is declared once, where it is read; these pages only repeat it. A test compares them with what is committed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from services.dispatcher.settings import DispatcherSettings
from services.gateway.settings import GatewaySettings, UploadSettings
from services.monitor.settings import MonitorSettings
from services.scheduler.settings import SchedulerSettings
from shared import settings as shared_settings
from shared.settings import Settings

ROOT = Path(__file__).parent.parent
SERVICES: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "dispatcher": DispatcherSettings,
    "scheduler": SchedulerSettings,
    "monitor": MonitorSettings,
}
GROUPS: list[tuple[str, type[Settings]]] = [
    ("WhatsApp accounts", shared_settings.EndpointSettings),
    ("Postgres", shared_settings.DatabaseSettings),
    ("Redis or Valkey", shared_settings.RedisSettings),
    ("Listening and login", shared_settings.ListenSettings),
    ("Listening and login", shared_settings.DrainSettings),
    ("Pace", shared_settings.PacingSettings),
    ("Circuit breaker", shared_settings.BreakerSettings),
    ("Feedback per account", shared_settings.FeedbackSettings),
    ("Unknown outcomes", shared_settings.UnknownSettings),
    ("Files and remote media", shared_settings.FileSettings),
    ("Files and remote media", shared_settings.FileTypeSettings),
    ("Files and remote media", UploadSettings),
    ("Files and remote media", shared_settings.RemoteMediaSettings),
    ("Logs", shared_settings.LogSettings),
]
NO_DEFAULT = {"database_host", "database_password", "dashboard_password", "whatsapp_endpoints", "whatsapp_auths"}
"""What .env.example leaves open for the operator to fill in, uncommented."""


@dataclass(frozen=True, slots=True)
class SettingLine:
    variable: str
    kind: str
    default: str
    sentence: str
    services: tuple[str, ...]


def duration_text(value: timedelta) -> str:
    """As in Go: 2m, 30s, 1h30m, 500ms; 0 is ``0``."""
    rest = round(value.total_seconds() * 1000)
    text = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            text += f"{count}{unit}"
    return text or "0"


def _default_text(value: Any) -> str:
    if value is PydanticUndefined:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    if get_origin(annotation) is list:
        return "comma list"
    while get_args(annotation):
        annotation = get_args(annotation)[0]
    names = {
        bool: "true or false",
        int: "whole number",
        float: "number",
        timedelta: "duration",
        SecretStr: "secret",
        str: "text",
    }
    return names.get(annotation, "text") if isinstance(annotation, type) else "text"


def _lines(group: type[Settings], services: dict[str, type[Settings]]) -> Iterator[SettingLine]:
    for name, field in group.model_fields.items():
        users = tuple(service for service, settings in services.items() if name in settings.model_fields)
        yield SettingLine(
            name.upper(), _kind(field), _default_text(field.get_default()), field.description or "", users
        )


def groups() -> list[tuple[str, list[SettingLine]]]:
    """Every setting once, under the heading of its group; each service's own ones last."""
    found: dict[str, list[SettingLine]] = {}
    seen: set[str] = set()
    own = [(f"{service.capitalize()} only", settings) for service, settings in SERVICES.items()]
    for title, group in [*GROUPS, *own]:
        for line in _lines(group, SERVICES):
            if line.variable not in seen:
                seen.add(line.variable)
                found.setdefault(
                    title if len(line.services) == 1 or group not in SERVICES.values() else "More", []
                ).append(line)
    return list(found.items())


def configuration_page() -> str:
    parts = [
        "# Configuration",
        "",
        "<!-- Written by `python -m standalone.settings_pages`; change the settings classes instead. -->",
        "",
        "All settings are environment variables. A value that is wrong, settings that contradict each other, and a name with",
        "a slip in it stop the service at its start with the variable's name and what would be right. Durations are written",
        "as in Go (`500ms`, `30s`, `2m`, `1h30m`); `0` switches a pause off. An empty variable counts as not set. The same",
        "variables may be given to every service; each reads what it needs.",
    ]
    for title, lines in groups():
        parts += [
            "",
            f"## {title}",
            "",
            "| variable | type | default | what it does | read by |",
            "|---|---|---|---|---|",
        ]
        for line in lines:
            default = f"`{line.default}`" if line.default else "–"
            users = "all" if len(line.services) == len(SERVICES) else ", ".join(line.services)
            parts.append(f"| `{line.variable}` | {line.kind} | {default} | {line.sentence} | {users} |")
    return "\n".join(parts) + "\n"


def example_file() -> str:
    parts = [
        "# Copy to .env and fill in. What is commented out shows its default.",
        "# Written by `python -m standalone.settings_pages`; docs/configuration.md says the same as tables.",
    ]
    for title, lines in groups():
        parts += ["", f"## {title}"]
        for line in lines:
            parts.append(f"# {line.sentence} [{line.kind}]")
            open_ = line.variable.lower() in NO_DEFAULT
            parts.append(f"{line.variable}=" if open_ else f"# {line.variable}={line.default}")
    return "\n".join(parts) + "\n"


PAGES = {ROOT / "docs" / "configuration.md": configuration_page, ROOT / ".env.example": example_file}


def main() -> int:
    for path, page in PAGES.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(), encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
