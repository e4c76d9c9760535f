"""The wall clock of one process, to be moved while it runs. No clock of a host may decide anything."""

from __future__ import annotations

import struct
from pathlib import Path

_FOLDER = Path(__file__).parent / "moved_clock"


class WallClock:
    """``environment`` is for the process that shall have it; ``file`` is made here."""

    def __init__(self, file: Path, seconds: float = 0.0) -> None:
        self._file = file
        file.write_bytes(struct.pack("<d", seconds))
        self.environment = {"PYTHONPATH": str(_FOLDER), "MOVED_CLOCK": str(file)}

    def move(self, seconds: float) -> None:
        """From now on it is off by so many seconds; 0: it is right."""
        # In place: the process has the file mapped.
        with self._file.open("r+b") as file:
            file.write(struct.pack("<d", seconds))
