"""Reads a Dockerfile: what it copies, installs, sets and runs."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.servers import ROOT

NAMES = ("gateway", "dispatcher", "scheduler", "monitor", "migrations")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continuation lines joined, and the number of its stage from 0."""

    stage: int
    name: str
    text: str

    @property
    def arguments(self) -> list[str]:
        """The words of the exec form (JSON). Raises ValueError in shell form."""
        return cast(list[str], json.loads(self.text))


class Dockerfile:
    """One image of ours, by the name of its service."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = ROOT / ("migrations" if name == "migrations" else f"services/{name}") / "Dockerfile"
        self.instructions = _read(self.path)

    def last(self, name: str) -> Instruction:
        """The instruction of that name that holds in the image. Raises IndexError when there is none."""
        final = self.instructions[-1].stage
        return [one for one in self.instructions if one.name == name and one.stage == final][-1]

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        python, option, module = self.last("CMD").arguments
        assert (python, option) == ("python", "-m")
        return module

    @property
    def environment(self) -> dict[str, str]:
        """Its variables, without PATH."""
        pairs = (word.partition("=") for word in shlex.split(self.last("ENV").text))
        return {key: value for key, _, value in pairs if key != "PATH"}

    def copied(self) -> list[tuple[str, str]]:
        """Source and target of what comes out of the repository, all stages."""
        plain = [one.text.split() for one in self.instructions if one.name == "COPY" and "--from" not in one.text]
        return [(source, target) for *sources, target in plain for source in sources]

    @property
    def requirements(self) -> Path:
        """The lock that it installs."""
        (path,) = [source for source, target in self.copied() if target == "/requirements.txt"]
        return ROOT / path

    @property
    def pip_arguments(self) -> list[str]:
        """What pip is called with."""
        runs = [one.arguments for one in self.instructions if one.name == "RUN"]
        (pip,) = [words for words in runs if words[0] == "pip"]
        return pip[1:]


def _read(path: Path) -> list[Instruction]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    instructions = []
    stage = -1
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, text = line.partition(" ")
        stage += name == "FROM"
        instructions.append(Instruction(stage, name, text.strip()))
    return instructions
