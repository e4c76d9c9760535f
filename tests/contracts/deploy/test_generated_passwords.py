"""deploy/generate-env makes the passwords that are missing, leaves those that are there, and shows them to nobody."""

import subprocess
from pathlib import Path

from dotenv import dotenv_values

from tests.servers import ROOT

PASSWORDS = {"DASHBOARD_PASSWORD", "DATABASE_PASSWORD", "REDIS_PASSWORD", "WHATSAPP_WEBHOOK_SECRET"}


def _generate(file: Path) -> str:
    done = subprocess.run([ROOT / "deploy" / "generate-env", file], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_a_new_file_holds_strong_passwords_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    said = _generate(file)
    made = dotenv_values(file)
    assert made.keys() == PASSWORDS
    assert len({value for value in made.values() if value and len(value) == 32}) == len(PASSWORDS)
    assert file.stat().st_mode & 0o777 == 0o600
    assert not [value for value in made.values() if value and value in said]


def test_only_what_is_missing_empty_or_shipped_is_made(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nWHATSAPP_AUTHS='a:$b'\nDASHBOARD_PASSWORD=admin\nREDIS_PASSWORD=\nDATABASE_PASSWORD=own")
    _generate(file)
    text = file.read_text()
    made = dotenv_values(file)
    assert text.startswith("# mine\nWHATSAPP_AUTHS='a:$b'\n")
    assert made["DATABASE_PASSWORD"] == "own"
    assert made["DASHBOARD_PASSWORD"] not in (None, "", "admin")
    assert made["REDIS_PASSWORD"]
    assert all(text.count(f"{name}=") == 1 for name in PASSWORDS)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    _generate(file)
    before = file.read_text()
    assert _generate(file) == ""
    assert file.read_text() == before
