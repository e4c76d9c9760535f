"""What an image holds is enough to run: the copied files alone, the locked packages alone, nothing written beside them.

Each Dockerfile's own pip command runs into a fresh environment, from wheels that were fetched once for all of them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from standalone.embedded_postgres import EmbeddedPostgres
from tests.contracts.deploy.dockerfile import NAMES, Dockerfile
from tests.servers import ROOT, Database, StartService, base_environment, database_of

# One worker, so that the wheels are fetched once; a cold cache and a slow mirror need minutes.
pytestmark = [pytest.mark.xdist_group("images"), pytest.mark.timeout(600)]

SERVICES = [name for name in NAMES if name != "migrations"]


@pytest.fixture(scope="session")
def wheels(server_directory: Path) -> Path:
    """Every wheel of every image."""
    folder = server_directory / "wheels"
    locks = [word for name in NAMES for word in ("-r", str(Dockerfile(name).requirements))]
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
    _pip(["download", *options, *locks])
    return folder


class Image:
    """The files and the interpreter that a built image would have."""

    def __init__(self, dockerfile: Dockerfile, directory: Path, wheels: Path) -> None:
        self.dockerfile = dockerfile
        self.root = directory / "app"
        self.root.mkdir(parents=True)
        self._copy()
        environment = directory / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.python = environment / "bin" / "python"
        places = {"/opt/venv/bin/python": str(self.python), "/requirements.txt": str(dockerfile.requirements)}
        _pip([places.get(word, word) for word in dockerfile.pip_arguments], wheels)

    def _copy(self) -> None:
        for source, target in self.dockerfile.copied():
            if target.startswith("/"):
                continue  # the lock, of the stage before
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "Dockerfile")  # as .dockerignore says
                shutil.copytree(ROOT / source, self.root / target, ignore=ignored)
            else:
                (self.root / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, self.root / target)

    def files(self) -> set[Path]:
        """All files of ours that are there now."""
        return {path for path in self.root.rglob("*") if path.is_file()}


def _pip(arguments: list[str], wheels: Path | None = None) -> None:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)} if wheels else {}
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_gets_ready_with_what_its_image_holds(
    name: str, wheels: Path, server_directory: Path, tmp_path: Path, start_service: StartService
) -> None:
    image = Image(Dockerfile(name), server_directory / f"image-{name}", wheels)
    before = image.files()
    # The image's variables; the address is the loopback's here, and the folder for files is not there yet, as in /tmp.
    own = image.dockerfile.environment | {"API_HOST": "127.0.0.1", "FILE_STORAGE_ROOT": str(tmp_path / "tmp" / "files")}
    service = await start_service(image.dockerfile.module, python=image.python, root=image.root, **own)
    assert await service.stop() == 0
    assert image.files() == before, "the root of an image may be read-only"


def test_migrations_run_with_what_their_image_holds(
    wheels: Path, server_directory: Path, database: Database, postgres_server: EmbeddedPostgres
) -> None:
    image = Image(Dockerfile("migrations"), server_directory / "image-migrations", wheels)
    empty = f"{database.name}_empty"
    postgres_server.execute(f"CREATE DATABASE {empty}")
    try:
        done = subprocess.run(
            [image.python, "-m", image.dockerfile.module],
            cwd=image.root,
            env=base_environment() | image.dockerfile.environment | database_of(postgres_server, empty).environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        postgres_server.execute(f"DROP DATABASE {empty} WITH (FORCE)")
    assert done.returncode == 0, done.stderr
    assert "applied 0001" in done.stdout
