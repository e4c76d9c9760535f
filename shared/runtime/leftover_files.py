"""The hourly janitor of every service: clears what a crash left in the folder for files under way."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from shared.runtime.background_loop import BackgroundLoop

log = structlog.get_logger()
_INTERVAL = 3600.0
# No upload or send lasts so long, so what is older belongs to a process that is gone.
_AGE = 3600.0


def clear_leftovers(root: Path, now: float, age: float = _AGE) -> int:
    """Removes files under ``root`` that nobody has changed for ``age`` seconds; returns how many. ``now``: Unix time."""
    cleared = 0
    for path in root.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < now - age:
                path.unlink()
                cleared += 1
        except FileNotFoundError:
            continue
    return cleared


def janitor(root: Path) -> BackgroundLoop:
    """The loop; the root need not exist."""

    async def step() -> None:
        cleared = await asyncio.to_thread(clear_leftovers, root, time.time())
        if cleared:
            log.info("leftover files cleared", files=cleared)

    return BackgroundLoop("media_janitor", _INTERVAL, step)
