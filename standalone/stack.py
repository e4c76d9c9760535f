"""One installation in one directory: its servers, migrations, simulator, services and edge, started in order.

The directory holds everything that stays: `credentials`, `valkey/`, `postgres/`, `logs/`, `tmp/`. One process at a time
uses it.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from standalone import credentials
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from standalone.process_plan import (
    DATABASE,
    ROOT,
    Endpoint,
    Plan,
    Policy,
    Simulation,
    StopTurn,
    choose_ports,
)
from standalone.supervisor import Supervisor

MIGRATION_DEADLINE = 120.0  # seconds
READY_DEADLINE = 60.0  # seconds for all services together; on two cores they need about five


class DirectoryInUseError(RuntimeError):
    """Another process runs an installation out of this directory."""


@contextlib.contextmanager
def sole_user(directory: Path) -> Iterator[None]:
    """Hold the directory; the lock goes with the process, however that ends. Raises DirectoryInUseError."""
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(0o700)  # texts and phone numbers are in it
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise DirectoryInUseError(f"{directory} is in use by process {holder}; end that first") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class Stack:
    """The installation in a directory, before, while and after it runs."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        dispatchers: int,
        ports: Policy,
        simulation: Simulation | None,
        say: Callable[[str], None],
    ) -> None:
        """Nothing is started yet. Raises PortTakenError, BinaryNotFoundError, CannotDropRootError."""
        self._say = say
        self.logs = directory / "logs"
        self.supervisor = Supervisor(self.logs, ROOT, say)
        made = credentials.load_or_make(directory / "credentials")
        self.valkey = EmbeddedValkey(directory / "valkey", password=made["REDIS_PASSWORD"], append_only=True)
        self.postgres = EmbeddedPostgres(directory / "postgres", password=made["DATABASE_PASSWORD"])
        self._directory = directory
        self._settings = settings
        self._credentials = made
        self._ports = choose_ports(settings, dispatchers, ports)
        self._simulation = simulation

    @property
    def plan(self) -> Plan:
        """The programs; complete once the servers have their ports."""
        return Plan(
            directory=self._directory,
            settings=self._settings,
            credentials=self._credentials,
            ports=self._ports,
            redis=Endpoint(self.valkey.host, self.valkey.port, self.valkey.password),
            postgres=Endpoint(self.postgres.host, self.postgres.port, self.postgres.password),
            postgres_user=self.postgres.user,
            simulation=self._simulation,
        )

    async def start(self) -> Plan:
        """Start all and return when each is ready. Raises ChildFailedError."""
        began = time.monotonic()
        for log in self.logs.glob("*.log"):
            log.unlink()  # those of the last run; the servers' own logs stay with their data
        self.supervisor.start_server(self.valkey, StopTurn.SERVERS)
        self._say(f"Valkey is ready on port {self.valkey.port}")
        self.supervisor.start_server(self.postgres, StopTurn.SERVERS)
        self._say(f"Postgres is ready on port {self.postgres.port}")
        if not self.postgres.execute(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):  # noqa: S608
            self.postgres.execute(f"CREATE DATABASE {DATABASE}")
        plan = self.plan
        await self.supervisor.run(plan.migrations(), MIGRATION_DEADLINE)
        self._say("the database has the newest schema")
        simulator = plan.simulator()
        programs = [*([simulator] if simulator else []), *plan.services(), plan.edge()]
        for program in programs:
            self.supervisor.start(program)
        await self.supervisor.ready(programs, READY_DEADLINE)
        self._say(f"all is ready after {time.monotonic() - began:.1f} s; logs are in {self.logs}")
        return plan
