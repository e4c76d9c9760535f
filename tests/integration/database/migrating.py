"""`python -m migrations` as a pod runs it, by the code of this version or by a copy in which something is changed."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from tests.servers import ROOT, base_environment

NUMBERED = sorted(file.name for file in (ROOT / "migrations").glob("[0-9]*.sql"))
FUNCTIONS = sorted(f"functions/{file.name}" for file in (ROOT / "migrations" / "functions").glob("*.sql"))
BEFORE = (Path(__file__).parent / "schema_before.sql").read_text(encoding="utf-8")
"""The last state that other migrations made."""


async def begin_migrating(environment: dict[str, str], root: Path = ROOT) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "migrations",
        cwd=root,
        env=base_environment() | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def migrate(environment: dict[str, str], root: Path = ROOT) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    process = await begin_migrating(environment, root)
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def applied(out: str) -> list[str]:
    """The files that a run says to have applied."""
    return [line.removeprefix("applied ") for line in out.splitlines() if line.startswith("applied ")]


def own_copy(target: Path) -> Path:
    """The code that migrates, to be changed; returns its folder of migrations."""
    for folder in ("migrations", "shared"):
        shutil.copytree(ROOT / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return target / "migrations"
