"""Manifests, built once."""

from pathlib import Path

import pytest

from tests.contracts.deploy.manifests import Manifests, build


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """The services alone."""
    return build("base", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    """The overlay for a first try, stores included."""
    return build("overlays/local", tmp_path_factory.mktemp("local"))


@pytest.fixture(params=["base", "overlays/local"])
def manifests(request: pytest.FixtureRequest, base: Manifests, local: Manifests) -> Manifests:
    """Each of them."""
    return base if request.param == "base" else local


@pytest.fixture
def manifest_file(manifests: Manifests, tmp_path: Path) -> Path:
    """Each of them, as a file."""
    file = tmp_path / "manifests.yaml"
    file.write_text(manifests.text)
    return file
