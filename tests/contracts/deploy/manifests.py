"""The compose file and the built Kubernetes manifests as plain objects."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import ROOT

TOOLS = Path(sys.executable).parent
COMPOSE = ROOT / "docker-compose.yml"
K8S = ROOT / "deploy" / "k8s"

Object = dict[str, Any]


def tool(name: str, *arguments: str | Path) -> str:
    """What a program of the test environment prints. Raises AssertionError with its words when it fails."""
    done = subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def compose() -> Object:
    """The compose file, anchors resolved, variables as written."""
    read: Object = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return read


@dataclass(frozen=True)
class Manifests:
    """What kustomize makes of a folder."""

    text: str
    objects: list[Object]

    def of(self, kind: str) -> Iterator[Object]:
        """All of a kind."""
        return (one for one in self.objects if one["kind"] == kind)

    def named(self, kind: str, name: str) -> Object:
        """One by its name, without the hash of a generator. Raises ValueError when there is none."""
        (found,) = [one for one in self.of(kind) if one["metadata"]["name"].startswith(name)]
        return found

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Name and pod of everything that makes pods."""
        for one in self.objects:
            if "template" in one.get("spec", {}):
                yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def build(folder: str, directory: Path) -> Manifests:
    """Build a folder below deploy/k8s, in a copy that has passwords as deploy/generate-env makes them."""
    copy = directory / "k8s"
    shutil.copytree(K8S, copy, ignore=shutil.ignore_patterns(".env"))
    subprocess.run([ROOT / "deploy" / "generate-env", copy / "overlays/local/.env"], check=True, capture_output=True)
    text = tool("kubectl", "kustomize", copy / folder)
    return Manifests(text, list(yaml.safe_load_all(text)))
