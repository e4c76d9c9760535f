"""The scripts of ``lua/``, put together from their pieces.

A line ``-- include: clock`` stands for the text of ``include/clock.lua``, which may include others; what is there already
is not taken twice. Redis knows a script by a hash of its whole text, so a changed piece gives all that include it new names,
and those of the version before stay as they were beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"-- include: (\S+)")


class ScriptError(Exception):
    """A script cannot be put together. The text names it and the piece."""


@dataclass(frozen=True, slots=True)
class Script:
    """``places``: for each line of ``text``, the file and line that it came from."""

    text: str
    places: tuple[str, ...]

    def traced(self, said: str) -> str:
        """What Redis said of it, with lines of files in place of lines of the whole."""
        return re.sub(r"user_script: ?(\d+)", self._place, said)

    def _place(self, found: re.Match[str]) -> str:
        number = int(found[1])
        return self.places[number - 1] if 0 < number <= len(self.places) else found[0]


def load_scripts(folder: Path = FOLDER) -> dict[str, Script]:
    """All scripts of the folder by name. Raises ScriptError."""
    return {file.stem: _put_together(file) for file in sorted(folder.glob("*.lua"))}


def _put_together(file: Path) -> Script:
    lines = list(_lines(file, file.parent / "include", taken=set(), inside=()))
    return Script("".join(f"{line}\n" for line, _ in lines), tuple(place for _, place in lines))


def _lines(file: Path, pieces: Path, taken: set[str], inside: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each line with its place. ``taken``: pieces that are there already; ``inside``: those that this one is within, and
    the script before them."""
    way = (*inside, file.stem)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not (found := _INCLUDE.fullmatch(line.strip())):
            yield line, f"{file.name}:{number}"
            continue
        name = found[1]
        if name in way[1:]:
            raise ScriptError(f"{way[0]}.lua: pieces include each other in a circle: {' -> '.join((*way[1:], name))}")
        if not (piece := pieces / f"{name}.lua").is_file():
            raise ScriptError(f"{way[0]}.lua: {file.name} includes {name}, and there is no include/{name}.lua")
        if name not in taken:
            taken.add(name)
            yield from _lines(piece, pieces, taken, way)
