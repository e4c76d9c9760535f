"""Reads the SQL of a module: the statements of ``sql/<name>.sql`` by their names."""

from __future__ import annotations

import re
from pathlib import Path

_SQL = Path(__file__).parent / "sql"


def load_statements(name: str, folder: Path = _SQL) -> dict[str, str]:
    """The statements of ``<folder>/<name>.sql``, each after a line ``-- name: <name>``."""
    parts = re.split(r"^-- name: (\w+)\n", (folder / f"{name}.sql").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {key: text.strip() for key, text in zip(parts[1::2], parts[2::2], strict=True)}
