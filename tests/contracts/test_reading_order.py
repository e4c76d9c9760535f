"""The head of each package tells in which order to read it, and leaves no module out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.servers import ROOT

TOPS = ("services", "shared", "simulator", "standalone")
PACKAGES = sorted(
    file.parent.relative_to(ROOT).as_posix() for top in TOPS for file in (ROOT / top).rglob("__init__.py")
)
NAMED = re.compile(r"(?<!`)`{1,2}([a-z_]+)/?`{1,2}")


def modules_of(package: Path) -> set[str]:
    files = {file.stem for file in package.glob("*.py") if not file.stem.startswith("__")}
    return files | {file.parent.name for file in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_names_its_modules(package: str) -> None:
    head = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""
    named = set(NAMED.findall(head)) | {path.split("/")[0] for path in re.findall(r"`([a-z_]+/[a-z_/]*)`", head)}
    assert modules_of(ROOT / package) - named == set(), f"the head of {package}/__init__.py does not name them"


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_names_is_there(package: str) -> None:
    head = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""
    there = {part for top in TOPS for file in (ROOT / top).rglob("*.py") for part in file.with_suffix("").parts}
    # Names of modules here have a word for each thing; names of functions and of routes have no underscore in these heads.
    assert {name for name in NAMED.findall(head) if "_" in name} <= there
