"""Every variable that a manifest sets is a setting of ours, or stands here with its reason; every value is taken."""

import base64
import importlib
import re
from collections.abc import Iterator

import pytest

from shared.settings import Settings, load
from tests.contracts.deploy.dockerfile import NAMES, Dockerfile
from tests.contracts.deploy.manifests import COMPOSE, Manifests, compose

# Variables of programs that are not ours.
OTHERS = {
    "PYTHONDONTWRITEBYTECODE": "Python",
    "PYTHONUNBUFFERED": "Python",
    "PYTHONFAULTHANDLER": "Python",
    "POSTGRES_DB": "the image of Postgres",
    "POSTGRES_USER": "the image of Postgres",
    "POSTGRES_PASSWORD": "the image of Postgres",
    "REDISCLI_AUTH": "valkey-cli in the health check",
    "EDGE_ADDRESS": "deploy/Caddyfile",
    "EDGE_BIND": "deploy/Caddyfile",
    "GATEWAY_ADDRESS": "deploy/Caddyfile",
    "MONITOR_ADDRESS": "deploy/Caddyfile",
    "EDGE_TRUSTED_PROXIES": "deploy/Caddyfile",
    "EDGE_HOST": "where the edge can be reached, read by compose and by python -m standalone",
    "EDGE_PORT": "where the edge can be reached, read by compose and by python -m standalone",
}

SERVICES = [name for name in NAMES if name != "migrations"]


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The variables of all settings classes."""
    for service in SERVICES:
        importlib.import_module(f"services.{service}.settings")
    return {name.upper() for settings in _below(Settings) for name in settings.model_fields}


def _below(settings: type[Settings]) -> Iterator[type[Settings]]:
    for one in settings.__subclasses__():
        yield one
        yield from _below(one)


def test_compose_sets_settings(known: set[str]) -> None:
    named = {name for service in compose()["services"].values() for name in service.get("environment", {})}
    named |= set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text(encoding="utf-8")))
    assert named - known - OTHERS.keys() == set()


def test_manifests_set_settings(known: set[str], local: Manifests) -> None:
    named = {name for kind in ("ConfigMap", "Secret") for one in local.of(kind) for name in one["data"]}
    named |= {entry["name"] for _, pod in local.pods() for one in pod["containers"] for entry in one.get("env", [])}
    assert named - known - OTHERS.keys() == set()


def test_images_set_settings(known: set[str]) -> None:
    named = {name for image in NAMES for name in Dockerfile(image).environment}
    assert named - known - OTHERS.keys() == set()


def test_every_exception_is_needed(known: set[str]) -> None:
    texts = COMPOSE.read_text(encoding="utf-8") + "".join(Dockerfile(name).path.read_text() for name in NAMES)
    assert [name for name in OTHERS if name not in texts or name in known] == []


def _starts(service: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings: type[Settings] = getattr(
        importlib.import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    )
    load(settings)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_takes_the_values_of_the_overlay(
    service: str, local: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = local.named("Secret", "paceline-secrets")["data"]
    settings = local.named("ConfigMap", "paceline-settings")["data"]
    decoded = {name: base64.b64decode(value).decode() for name, value in secret.items()}
    _starts(service, settings | decoded, monkeypatch)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_takes_the_values_of_compose(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = compose()["services"][service]["environment"]
    given = {name: re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "own-password", str(value)) for name, value in written.items()}
    _starts(service, given | {"WHATSAPP_ENDPOINTS": "http://gowa:3000"}, monkeypatch)
