"""What the measurements run on: real servers, the services and the raw limits as processes, each on its core.

Where there are two cores or more, what is measured has one to itself and everything else (servers, senders, clients) has
the others. Otherwise a figure would say more about who shares a core with whom than about the code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.settings import DatabaseSettings, RedisSettings
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
MEASURED = {_CORES[0]} if len(_CORES) > 1 else set()
OTHERS = set(_CORES[1:])
EVERY = set(_CORES)

UNPACED = {
    "RATE_PROFILE": "manual",
    "RATE_LIMIT_DELAY_MIN": "0",
    "RATE_LIMIT_DELAY_MAX": "0",
    "TYPING_DELAY_MIN": "0",
    "TYPING_DELAY_MAX": "0",
    "NATURAL_BREAK_INTERVAL": "0",
    "LOG_LEVEL": "warning",
}
"""Settings without any pause: what is left is the cost of the code."""


class Stores(RedisSettings, DatabaseSettings):
    """The settings of both stores, read from the environment that ``stores`` has set."""


def pin(pid: int, cores: set[int]) -> None:
    """Keeps a process, and what it starts from now on, on these cores; an empty set leaves it where it is."""
    if cores:
        os.sched_setaffinity(pid, cores)


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers, a folder that goes with them, and the environment that leads services to them."""

    valkey: EmbeddedValkey
    postgres: EmbeddedPostgres
    folder: Path
    environment: dict[str, str]


@contextmanager
def servers(cores: set[int] = OTHERS, append_only: bool = False) -> Iterator[Servers]:
    """An empty Valkey (``append_only``: it has its entries again after a restart) and a migrated, durable Postgres. The
    environment is also set in this process."""
    pin(0, cores)
    with tempfile.TemporaryDirectory(prefix="paceline-bench-") as folder:
        root = Path(folder)
        with (
            EmbeddedValkey(root / "valkey", append_only=append_only) as valkey,
            EmbeddedPostgres(root / "postgres", durable=True) as postgres,
        ):
            environment = {
                "DATABASE_HOST": postgres.host,
                "DATABASE_PORT": str(postgres.port),
                "DATABASE_NAME": "postgres",
                "DATABASE_USER": postgres.user,
                "DATABASE_PASSWORD": postgres.password,
                "DATABASE_SSL_MODE": "disable",
                "REDIS_HOST": valkey.host,
                "REDIS_PORT": str(valkey.port),
                "REDIS_PASSWORD": valkey.password,
                "FILE_STORAGE_ROOT": str(root / "files"),
            }
            os.environ.update(environment)
            subprocess.run([sys.executable, "-m", "migrations"], check=True, stdout=subprocess.DEVNULL)
            yield Servers(valkey, postgres, root, environment)


@contextmanager
def stores(cores: set[int] = OTHERS) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder and the environment of ``servers``."""
    with servers(cores) as running:
        yield running.folder, running.environment


@contextmanager
def process(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None, cores: set[int] = OTHERS
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a process; terminated at the end, killed after 30 s."""
    running = subprocess.Popen([sys.executable, "-m", module, *arguments], env=os.environ | (environment or {}))
    try:
        pin(running.pid, cores)
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


async def output_of(module: str, *arguments: str, cores: set[int] = MEASURED) -> list[float]:
    """Runs a program of ``bench.raw`` to its end: the numbers that it prints. Raises RuntimeError when it fails."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=subprocess.PIPE, env=os.environ
    )
    pin(running.pid, cores)
    output, _ = await running.communicate()
    if running.returncode:
        raise RuntimeError(f"{module} ended with {running.returncode}")
    return [float(number) for number in output.split()]


async def listening(port: int) -> None:
    """Returns when something accepts connections there."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return


@dataclass(frozen=True, slots=True)
class Spent:
    """``cpu``: seconds, user and system; ``peak``: bytes of memory."""

    cpu: float
    peak: int


def spent(pid: int) -> Spent:
    """What a process has taken so far."""
    measured = psutil.Process(pid)
    times = measured.cpu_times()
    peak = 0
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return Spent(times.user + times.system, peak * 1024)


def spent_by(name: str) -> Spent:
    """What all processes of that name that this one has started have taken so far, those that have ended included.
    ``peak``: of the largest."""
    cpu, peak = 0.0, 0
    for started in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, OSError):
            if started.name() != name:
                continue
            taken, times = spent(started.pid), started.cpu_times()
            cpu += taken.cpu + times.children_user + times.children_system
            peak = max(peak, taken.peak)
    return Spent(cpu, peak)


def forget_peak(pid: int) -> int:
    """Lets a process's peak of memory begin anew; the bytes that it has now. Linux only."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return spent(pid).peak
