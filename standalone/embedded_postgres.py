"""A Postgres of our own on the loopback interface, for one machine and for tests.

Created and ready in about a second, in 0.1 s when its data exist. It listens on TCP alone, asks for a password
(SCRAM), and dies with the process that started it. `durable=False` gives up the disk's promises for speed, never the
semantics that programs see: `synchronous_commit` stays on.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil

from standalone.binaries import postgres_directory
from standalone.child_process import ChildFailedError, ChildProcess
from standalone.ports import free_port
from standalone.unprivileged import Launch, launch_for

HOST = "127.0.0.1"
START_DEADLINE = 60.0  # seconds; recovery after a crash may take a while, a plain start takes 0.1 s
STOP_GRACE = 30.0  # seconds for the last checkpoint
PORT_ATTEMPTS = 5  # a port that was free may be taken by somebody else before the server binds it

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Compiling costs more than it gives for statements of milliseconds.
    "jit": "off",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


class EmbeddedPostgres:
    """A Postgres server: `with EmbeddedPostgres(directory) as postgres: postgres.dsn()`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        user: str = "paceline",
        password: str | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        launch: Launch | None = None,
    ) -> None:
        """Port 0 takes a free one and keeps it over restarts. Data that exist need the password they were made with.

        `settings` are further server parameters; `launch` overrides how root steps down. Raises BinaryNotFoundError,
        CannotDropRootError.
        """
        self.host = HOST
        self.port = port
        self.user = user
        self.data_dir = data_dir.absolute()
        self._cluster = self.data_dir / "cluster"
        if password is None and self._cluster.exists():
            raise ValueError(f"{self._cluster} exists: its password is needed")
        self.password = password or secrets.token_urlsafe(24)
        self._any_port = port == 0
        self._settings = _SETTINGS | ({} if durable else _NOT_DURABLE) | dict(settings or {})
        self._binaries = postgres_directory()
        self._launch = launch or launch_for(self._binaries / "postgres")
        self._process: ChildProcess | None = None

    def start(self) -> None:
        """Create the data where there are none, start, return when it takes connections.

        Raises ChildFailedError with the tail of its log.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not self._cluster.exists():
            self._create()
        self._await_predecessor()
        self._launch.own(self._cluster)
        for last in (*[False] * (PORT_ATTEMPTS - 1), True):
            if self._any_port and self.port == 0:
                self.port = free_port(self.host)
            parameters = self._settings | {"port": str(self.port)}
            options = [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]
            process = self._process = ChildProcess(
                "Postgres",
                self._launch.command([self._binaries / "postgres", "-D", self._cluster, *options], "INT"),
                log=self.data_dir / "server.log",
                environment=_environment(),
                directory=self.data_dir,
                stop_signal=signal.SIGINT,  # "fast": ends sessions and does not wait for clients to leave
                death_signal=signal.SIGINT,
            )
            process.start()
            if self._is_ready():
                return
            self.kill()
            if last or not (self._any_port and "in use" in process.log_tail()):
                raise process.failure("did not come up")
            self.port = 0

    def stop(self) -> None:
        """End it with a checkpoint; clients are disconnected."""
        if self._process is not None:
            for process in self._tree():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
            self._process.stop(STOP_GRACE)

    def kill(self) -> None:
        """SIGKILL, the postmaster first, then its sessions; `start()` recovers on the same port."""
        if self._process is None:
            return
        tree = self._tree()
        self._process.kill()
        # Left alone they would notice after a second, and a new postmaster refuses to start beside them.
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(tree, timeout=10)

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server, its sessions included: connections stay, no answers come."""
        self.process.pause()  # the postmaster first, so that no new child appears
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    time.sleep(0.001)

    def resume(self) -> None:
        """Let it go on."""
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        self.process.resume()

    @property
    def process(self) -> ChildProcess:
        """The running postmaster as a child."""
        if self._process is None:
            raise RuntimeError("Postgres was never started")
        return self._process

    def dsn(self, database: str = "postgres") -> str:
        """Address with user and password, for clients that take one string."""
        return f"postgresql://{self.user}:{quote(self.password)}@{self.host}:{self.port}/{quote(database)}"

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run statements through psql and return the rows, fields separated by `|`. Raises RuntimeError."""
        return self._ask("psql", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", text=sql)

    def schema(self, database: str, *options: str) -> str:
        """All that was made in a database, but for its rows, as statements: the same text for the same schema. `options` are
        further ones of pg_dump. Raises RuntimeError."""
        lines = self._ask("pg_dump", database, "--schema-only", *options).splitlines()
        # Since 17.6 a random word in two lines keeps psql from more than it should do.
        return "\n".join(line for line in lines if not re.match(r"\\(un)?restrict ", line))

    def _ask(self, program: str, database: str, *arguments: str, text: str = "") -> str:
        """What a client of this server prints. Raises RuntimeError."""
        done = subprocess.run(
            [self._binaries / program, *arguments],
            input=text,
            env=_environment()
            | {
                "PGHOST": self.host,
                "PGPORT": str(self.port),
                "PGUSER": self.user,
                "PGPASSWORD": self.password,
                "PGDATABASE": database,
                "PGCONNECT_TIMEOUT": "10",
            },
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def _create(self) -> None:
        """Make the data directory under another name and rename it, so that a half-made one is never used."""
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self.data_dir / "password.unfinished"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self.password)
            done = subprocess.run(
                self._launch.command(
                    [
                        self._binaries / "initdb",
                        f"--pgdata={unfinished}",
                        f"--username={self.user}",
                        f"--pwfile={password_file}",
                        "--auth=scram-sha-256",
                        "--encoding=UTF8",
                        f"--locale={'C.UTF-8' if sys.platform == 'linux' else 'C'}",
                        "--no-sync",
                        "--no-instructions",
                    ]
                ),
                capture_output=True,
                text=True,
                env=_environment(),
                cwd=self.data_dir,
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise ChildFailedError(f"Postgres could not create its data in {self.data_dir}:\n{done.stderr.strip()}")
        unfinished.rename(self._cluster)

    def _await_predecessor(self) -> None:
        """Wait for a server whose parent was killed a moment ago: it is ending, and refuses a second one beside it."""
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.NoSuchProcess, psutil.TimeoutExpired):
            predecessor = psutil.Process(int((self._cluster / "postmaster.pid").read_text().splitlines()[0]))
            if str(self._cluster) in predecessor.cmdline():
                predecessor.wait(STOP_GRACE)

    def _is_ready(self) -> bool:
        """Wait for the line that the postmaster writes into its pid file when it takes connections."""
        deadline = time.monotonic() + START_DEADLINE
        pid_file = self._cluster / "postmaster.pid"
        while self.process.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                lines = pid_file.read_text(errors="replace").splitlines()
                if len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready":
                    return True
            time.sleep(0.005)
        return False

    def _tree(self) -> list[psutil.Process]:
        """The postmaster's children: sessions and background processes."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _environment() -> dict[str, str]:
    """Ours without PG* variables, which would lead initdb and psql elsewhere, and with messages in one language."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C.UTF-8" if sys.platform == "linux" else "C"}
