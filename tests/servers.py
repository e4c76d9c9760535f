"""What tests run against: real servers, a migrated database each, real services as processes.

Everything listens on the loopback interface and dies with pytest, also when that is killed.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from standalone.child_process import ChildProcess
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from standalone.ports import free_port
from tests.warm_start import WarmProcess, is_warm

ROOT = Path(__file__).parent.parent
TEMPLATE = "paceline_template"
READY_DEADLINE = 30.0  # seconds; a service is ready in about one, two cores shared by two test processes need slack

# The setting that names the port of each program; everything else gets its port by its arguments.
PORT_SETTINGS = {
    "services.gateway": "API_PORT",
    "services.dispatcher": "DISPATCHER_PORT",
    "services.scheduler": "SCHEDULER_PORT",
    "services.monitor": "MONITOR_PORT",
}


@dataclass(frozen=True)
class Database:
    """One database of the embedded Postgres."""

    host: str
    port: int
    name: str
    user: str
    password: str

    @property
    def dsn(self) -> str:
        """For asyncpg."""
        return f"postgresql://{self.user}:{quote(self.password)}@{self.host}:{self.port}/{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """The DATABASE_* settings that lead here."""
        return {
            "DATABASE_HOST": self.host,
            "DATABASE_PORT": str(self.port),
            "DATABASE_NAME": self.name,
            "DATABASE_USER": self.user,
            "DATABASE_PASSWORD": self.password,
            "DATABASE_SSL_MODE": "disable",
        }


def base_environment() -> dict[str, str]:
    """What a process needs from ours: nothing that could be a setting of a service."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


def database_of(postgres: EmbeddedPostgres, name: str) -> Database:
    """A database by its name."""
    return Database(postgres.host, postgres.port, name, postgres.user, postgres.password)


def migrate(database: Database, root: Path = ROOT) -> None:
    """Run the real migrations, or those of another `root`. Raises AssertionError with their output."""
    done = subprocess.run(
        [sys.executable, "-m", "migrations"],
        cwd=root,
        env=base_environment() | database.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"python -m migrations ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"


def create_template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that the databases of tests are copies of."""
    postgres.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate(database_of(postgres, TEMPLATE))
    return TEMPLATE


def heal(server: EmbeddedValkey | EmbeddedPostgres) -> None:
    """Bring a server back that a test has frozen or killed."""
    server.resume()
    if not server.process.running:
        server.start()


class HasAddress(Protocol):
    """A server with a password."""

    host: str
    port: int
    password: str


def redis_client(server: HasAddress) -> redis.Redis:
    """A plain client for looking at what is there; close it (`with`)."""
    return redis.Redis(
        host=server.host,
        port=server.port,
        password=server.password,
        legacy_responses=False,
        retry=Retry(NoBackoff(), 0),  # ten by default: seconds for an answer that is an error
    )


def take_all_keys(server: EmbeddedValkey) -> list[str]:
    """The names of all keys; then removes them."""
    with redis_client(server) as client:
        keys = sorted(key.decode() for key in client.scan_iter(count=1000))
        client.flushall()
    return keys


class ServiceProcess:
    """`python -m <module>` as a process of its own, its log in a file."""

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str],
        directory: Path,
        *,
        arguments: tuple[str, ...] = (),
        port: int | None = None,
        ready_path: str = "/ready",
        python: str | Path = sys.executable,
        root: Path = ROOT,
        warm: bool = False,
    ) -> None:
        """A service gets a free port and a directory for its files; `{port}` in an argument becomes the port.

        Another `python` or `root` (where the packages lie) runs a copy. `warm`: forked where that is the same.
        """
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = f"{module.rpartition('.')[2]}-{self.port}"
        self._ready_url = self.url + ready_path
        own = {}
        if module in PORT_SETTINGS:
            files = directory / f"{self.name}-files"
            files.mkdir(parents=True, exist_ok=True)
            # No edge sends anything to it, unless a test says so.
            own = {PORT_SETTINGS[module]: str(self.port), "FILE_STORAGE_ROOT": str(files), "DRAIN_TIME": "0"}
        whole = base_environment() | own | dict(environment)
        forked = warm and python == sys.executable and root == ROOT and is_warm(module, whole)
        self.process = (WarmProcess if forked else ChildProcess)(
            self.name,
            [python, "-m", module, *(argument.replace("{port}", str(self.port)) for argument in arguments)],
            log=directory / f"{self.name}.log",
            environment=whole,
            directory=root,
        )

    @property
    def pid(self) -> int:
        """Process id, for faults."""
        return self.process.pid

    def launch(self) -> None:
        """Start it without waiting for anything."""
        self.process.start()

    async def start(self, deadline: float = READY_DEADLINE) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        await self.ready(deadline)

    async def ready(self, deadline: float = READY_DEADLINE) -> None:
        """Wait until `GET /ready` answers 200. Raises ChildFailedError with the tail of the log."""
        end = time.monotonic() + deadline
        answer = "no answer"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                if not self.process.running:
                    raise self.process.failure(f"ended with {self.process.exit_code}")
                try:
                    async with session.get(self._ready_url) as response:
                        if response.status == 200:
                            return
                        answer = f"{response.status} {(await response.text())[:500]}"
                except (aiohttp.ClientError, TimeoutError) as error:
                    answer = repr(error)
                if time.monotonic() > end:
                    raise self.process.failure(f"was not ready after {deadline:.0f} s (last: {answer})")
                await asyncio.sleep(0.05)

    async def stop(self, grace: float = 30.0) -> int:
        """SIGTERM, and wait for its end; killed and a failure when it takes longer than `grace` seconds."""
        self.process.send(signal.SIGTERM)
        return await self.ended(grace)

    async def ended(self, timeout: float = 30.0) -> int:
        """Wait for its end and return its exit code."""
        try:
            return await asyncio.to_thread(self.process.wait, timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise self.process.failure(f"was still there after {timeout:.0f} s") from None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def log_text(self) -> str:
        """All it has written so far."""
        return self.process.log.read_text(errors="replace") if self.process.log.exists() else ""


# What the fixture `start_service` gives: see there.
StartService = Callable[..., Coroutine[Any, Any, ServiceProcess]]
