"""Each Dockerfile keeps to the rules of its kind; what it needs gets past .dockerignore."""

import pytest

from tests.contracts.deploy.dockerfile import NAMES, Dockerfile
from tests.contracts.deploy.manifests import tool
from tests.servers import PORT_SETTINGS, ROOT


@pytest.fixture(params=NAMES)
def dockerfile(request: pytest.FixtureRequest) -> Dockerfile:
    return Dockerfile(request.param)


def test_every_dockerfile_is_looked_at() -> None:
    found = {path.parent.name for folder in ("services", "migrations") for path in (ROOT / folder).rglob("Dockerfile")}
    assert found == set(NAMES)


def test_the_linter_has_nothing_to_say(dockerfile: Dockerfile) -> None:
    assert tool("hadolint", dockerfile.path) == ""


def test_it_runs_as_a_numbered_user_without_a_shell(dockerfile: Dockerfile) -> None:
    user, _, group = dockerfile.last("USER").text.partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert dockerfile.module
    assert dockerfile.last("STOPSIGNAL").text == "SIGTERM"


def test_it_installs_only_what_its_own_lock_names(dockerfile: Dockerfile) -> None:
    assert dockerfile.requirements == ROOT / "requirements" / f"{dockerfile.name}.txt"
    assert {"--no-deps", "--require-hashes"} <= set(dockerfile.pip_arguments)


def test_a_service_gets_only_its_own_code_and_listens_on_its_own_port(dockerfile: Dockerfile) -> None:
    sources = {source for source, _ in dockerfile.copied()} - {f"requirements/{dockerfile.name}.txt"}
    if dockerfile.name == "migrations":
        assert sources == {"shared/", "migrations/"}
        return
    assert sources == {"shared/", "services/__init__.py", f"services/{dockerfile.name}/"}
    probe = dockerfile.last("HEALTHCHECK").text
    assert f"'{PORT_SETTINGS[dockerfile.module]}') or {dockerfile.last('EXPOSE').text})" in probe
    # The monitor's /health tells of the whole, which may be down while the monitor is well.
    assert f"'GET', '{'/ready' if dockerfile.name == 'monitor' else '/health'}'" in probe


def test_what_it_copies_gets_past_dockerignore(dockerfile: Dockerfile) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines, ".env and data must stay out of builds"
    let_in = tuple(line[1:] for line in lines if line.startswith("!"))
    for source, _ in dockerfile.copied():
        assert source.startswith(let_in)
        assert (ROOT / source).exists()
