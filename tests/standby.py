"""A second Postgres that follows the first and may take over from it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from standalone.binaries import postgres_directory
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.unprivileged import launch_for
from tests.servers import Database, base_environment

_DEADLINE = 30.0


@contextmanager
def standby_of(primary: EmbeddedPostgres, data_dir: Path, *, synchronous: bool = True) -> Iterator[EmbeddedPostgres]:
    """A standby that streams from a running primary. ``synchronous``: what is acknowledged is on both."""
    data_dir.mkdir(parents=True)
    launch = launch_for(postgres_directory() / "postgres")
    launch.own(data_dir)
    copied = subprocess.run(
        launch.command(
            [
                postgres_directory() / "pg_basebackup",
                f"--pgdata={data_dir / 'cluster'}",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ]
        ),
        env=base_environment()
        | {
            "PGHOST": primary.host,
            "PGPORT": str(primary.port),
            "PGUSER": primary.user,
            "PGPASSWORD": primary.password,
            "PGAPPNAME": "standby",
        },
        cwd=data_dir,
        capture_output=True,
        text=True,
    )
    assert copied.returncode == 0, copied.stderr
    with EmbeddedPostgres(data_dir, user=primary.user, password=primary.password, durable=False) as standby:
        if synchronous:
            primary.execute("alter system set synchronous_standby_names = '*'")
            primary.execute("select pg_reload_conf()")
        stands(
            primary, "select state, sync_state from pg_stat_replication", f"streaming|{'' if synchronous else 'a'}sync"
        )
        yield standby


def stands(server: EmbeddedPostgres, question: str, answer: str = "t") -> None:
    """Waits until the server answers a statement so. Raises AssertionError."""
    end = time.monotonic() + _DEADLINE
    while (found := server.execute(question)) != answer:
        assert time.monotonic() < end, f"{question}: {found}"
        time.sleep(0.05)


def make_read_only(server: EmbeddedPostgres, read_only: bool = True) -> None:
    """As a demoted primary is, or one whose host has seen its disk fill up: sessions stay open and may not write."""
    server.execute(f"alter system set default_transaction_read_only = {'on' if read_only else 'off'}")
    server.execute("select pg_reload_conf()")
    stands(server, "show default_transaction_read_only", "on" if read_only else "off")


def of_either(database: Database, other: EmbeddedPostgres) -> Database:
    """The same database at whichever of the two may be written to: both hosts are listed."""
    return replace(database, host=f"{database.host}:{database.port},{other.host}:{other.port}")
