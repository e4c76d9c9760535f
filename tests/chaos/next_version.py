"""A copy of the services in which is changed what may change from one version to the next.

Scripts have other texts (and so other names in Redis), entries have another version and one more field, the schema is
expanded by one more migration and every function has another text. The next version reads what the one before wrote; the other
way round is not promised.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.servers import ROOT

MIGRATION = "9999_next_version.sql"
_EXPANSION = """\
alter table messages add column of_next_version text;
alter table campaigns add column of_next_version integer not null default 0;
alter table control add column of_next_version boolean not null default false;
create table of_next_version (id bigint primary key);
"""


def make_next_version(target: Path) -> Path:
    """Writes it to ``target``. Raises AssertionError where the code has no longer what would be changed."""
    for package in ("services", "shared", "migrations"):
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__", "static"))
    # Pages and scripts of the dashboard, which nobody opens here, but which are read at the start.
    shutil.copytree(ROOT / "services/gateway/web/static", target / "services/gateway/web/static")
    for script in (target / "shared/queue/lua").glob("*.lua"):
        _change(script, rf"^-- {script.stem}, version \d+:", f"-- {script.stem}, version 999:")
    _change(target / "shared/queue/lua/take.lua", r"fields\[index \+ 1\] == '1'", "tonumber(fields[index + 1]) <= 999")
    messages = target / "shared/messages/entry.py"
    _change(messages, r'ENTRY_VERSION = "1"', 'ENTRY_VERSION = "999"')
    _change(messages, r'if fields\["v"\] != ENTRY_VERSION:', 'if int(fields["v"]) > int(ENTRY_VERSION):')
    _change(messages, r'fields = \{"v": ENTRY_VERSION, ', 'fields = {"v": ENTRY_VERSION, "of_next_version": "1", ')
    _change(target / "shared/database/connection.py", r'SCHEMA = "[^"]*"', f'SCHEMA = "{MIGRATION}"')
    (target / "migrations" / MIGRATION).write_text(_EXPANSION, encoding="utf-8")
    for definition in (target / "migrations" / "functions").glob("*.sql"):
        _change(definition, r"\Z", "-- of the next version\n")
    return target


def _change(file: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, lambda _: text, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1, f"{file.name} has {count} times what should be changed: {pattern}"
    file.write_text(changed, encoding="utf-8")
