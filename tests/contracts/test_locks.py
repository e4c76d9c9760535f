"""The locks name no address, and that of npm has a hash for every package; pip itself refuses one without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements"
NPM = REQUIREMENTS / "npm"


@pytest.mark.parametrize("name", ["package.json", "lock.json"])
def test_what_comes_from_npm_is_exact_and_names_no_address(name: str) -> None:
    text = (NPM / name).read_text(encoding="utf-8")
    assert "://" not in text
    wanted = json.loads(text).get("devDependencies") or json.loads(text)["packages"][""]["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


def test_every_package_of_npm_has_its_hash_and_is_the_one_that_is_wanted() -> None:
    packages = json.loads((NPM / "lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = json.loads((NPM / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert packages.pop("")["devDependencies"] == wanted
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_what_comes_from_pypi_names_no_address(path: Path) -> None:
    assert "://" not in path.read_text(encoding="utf-8")
