"""The chaos program itself, for less than a minute a seed; ``make chaos`` runs it longer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, base_environment


@pytest.mark.parametrize("seed", [11, 12])
async def test_nothing_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", "--seconds", "20", "--seed", str(seed), "--verbose"),
        *("--dispatchers", "3", "--keep", str(tmp_path)),
        cwd=ROOT,
        env=base_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    print(output.decode(errors="replace"))
    assert process.returncode == 0
