"""`python -m standalone schema`: what Postgres holds, as the migrations make it from nothing."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from standalone.embedded_postgres import EmbeddedPostgres
from standalone.process_plan import ROOT

_DATABASE = "paceline"


def run(options: argparse.Namespace) -> int:
    """Prints it as statements; without the partitions of months, which are like the tables that they are of."""
    with (
        tempfile.TemporaryDirectory(prefix="paceline-schema-") as folder,
        EmbeddedPostgres(Path(folder), durable=False) as postgres,
    ):
        postgres.execute(f"CREATE DATABASE {_DATABASE}")
        migrated = subprocess.run(
            [sys.executable, "-m", "migrations"],
            cwd=ROOT,
            env=os.environ | _address(postgres),
            stdout=subprocess.DEVNULL,
        )
        if migrated.returncode:
            return migrated.returncode
        print(postgres.schema(_DATABASE, "--no-owner", "--no-privileges", "--exclude-table=*_20*"))
    return 0


def _address(postgres: EmbeddedPostgres) -> dict[str, str]:
    return {
        "DATABASE_HOST": postgres.host,
        "DATABASE_PORT": str(postgres.port),
        "DATABASE_NAME": _DATABASE,
        "DATABASE_USER": postgres.user,
        "DATABASE_PASSWORD": postgres.password,
        "DATABASE_SSL_MODE": "disable",
    }
