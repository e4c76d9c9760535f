"""The passwords of one installation: made up once, kept in a file that only its owner reads."""

import os
import secrets
from pathlib import Path

NAMES = (
    "DASHBOARD_PASSWORD",
    "DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "SIMULATOR_PASSWORD",
    "WHATSAPP_WEBHOOK_SECRET",
)


def load_or_make(file: Path) -> dict[str, str]:
    """The passwords in the file, `NAME=value` a line; those that are missing are made up and written."""
    known: dict[str, str] = {}
    if file.exists():
        known = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    made = {name: secrets.token_urlsafe(18) for name in NAMES if not known.get(name)}
    if made:
        known |= made
        # Written beside and renamed: a crash in between must not lose the password of data that exist.
        unfinished = file.with_name(file.name + ".unfinished")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            output.writelines(f"{name}={value}\n" for name, value in sorted(known.items()))
            output.flush()
            os.fsync(output.fileno())
        unfinished.rename(file)
    return known
