"""Services as forks of a process that has imported them: `python -m <module>` without a second of imports.

A service takes more than a second of a processor to import what it needs, and some milliseconds for all else, so most of the
time of tests that start several went into imports. A fork is a process as any other: it has its own id, session, environment,
log and signals, and runs the module's own `__main__`. What asks for another interpreter, another root or another start of the
interpreter (`PYTHONPATH`, `LD_PRELOAD`) is started as always.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from standalone.child_process import ChildFailedError, ChildProcess

WARM = {
    "services.gateway": ("services.gateway.app", "services.gateway.settings"),
    "services.dispatcher": ("services.dispatcher.app", "services.dispatcher.settings"),
    "services.scheduler": ("services.scheduler.app", "services.scheduler.settings"),
    "services.monitor": ("services.monitor.app", "services.monitor.settings"),
    "simulator": ("simulator.app",),
}
"""What is imported before forking, by module."""
_OF_THE_INTERPRETER = ("PYTHON", "LD_", "MALLOC_")
_HARMLESS = frozenset({"PYTHONUNBUFFERED", "PYTHONFAULTHANDLER"})
_START_DEADLINE = 60.0  # seconds; all imports, on a machine that does other things
_POLL = 0.01
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def is_warm(module: str, environment: Mapping[str, str]) -> bool:
    """Whether a fork runs this as a new interpreter would."""
    special = any(name.startswith(_OF_THE_INTERPRETER) and name not in _HARMLESS for name in environment)
    return sys.platform == "linux" and module in WARM and not special


class _Nursery:
    """The process that forks, one for each of ours; it dies with us, and its children with it."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="paceline-warm-", ignore_cleanup_errors=True)
        folder = Path(self._directory.name)
        self.process = ChildProcess(
            "warm start",
            [sys.executable, "-m", "tests.warm_start", str(folder / "socket")],
            log=folder / "log",
            environment=environment,
            directory=root,
        )
        self.process.start()
        self._connection = self._connected(str(folder / "socket"))
        self._answers = self._connection.makefile("rb")
        self._lock = threading.Lock()

    def _connected(self, path: str) -> socket.socket:
        end = time.monotonic() + _START_DEADLINE
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(path)
                return connection
            except OSError as error:
                connection.close()
                if not self.process.running or time.monotonic() > end:
                    raise self.process.failure("does not listen") from error
                time.sleep(_POLL)

    def ask(self, **question: Any) -> Any:
        with self._lock:
            self._connection.sendall(json.dumps(question).encode() + b"\n")
            line = self._answers.readline()
        if not line:
            raise self.process.failure("is gone")
        return json.loads(line)["answer"]


_nursery: _Nursery | None = None


class _Fork:
    """A fork, with what ``ChildProcess`` asks of a ``subprocess.Popen``."""

    stdin = None

    def __init__(self, nursery: _Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._nursery.ask(poll=self.pid)
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        # It is no zombie's successor: its parent collects it only when it is asked.
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout or 0.0)
            time.sleep(_POLL)
        return code


class WarmProcess(ChildProcess):
    """A ChildProcess that is forked. `command` is [python, "-m", module, *arguments]."""

    def start(self) -> None:
        """Raises ChildFailedError."""
        global _nursery
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        assert self._environment is not None
        assert self._directory is not None
        if _nursery is None:
            kept = {name: self._environment[name] for name in _HARMLESS if name in self._environment}
            _nursery = _Nursery(self._directory, {"PATH": os.environ.get("PATH", os.defpath)} | kept)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        pid = _nursery.ask(
            module=self.command[2],
            arguments=self.command[3:],
            environment=dict(self._environment),
            directory=str(self._directory),
            log=str(self.log),
        )
        if not pid:
            raise ChildFailedError(f"{self.name} cannot be forked")
        self._process = _Fork(_nursery, pid)  # type: ignore[assignment]

    def pause(self) -> None:
        """Freeze it (SIGSTOP); it stands still when this returns."""
        self.send(signal.SIGSTOP)
        while self.running and psutil.Process(self.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(_POLL / 10)


def _serve(path: str) -> dict[str, Any] | None:
    """Forks what it is asked for. Answers in the child, with what to become; in the parent None, when nobody asks any more."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(1)
        connection, _ = listening.accept()
    with connection, connection.makefile("rb") as questions:
        ended: dict[int, int] = {}
        for line in questions:
            question = json.loads(line)
            answer: int | None
            if "poll" in question:
                answer = _exit_code(question["poll"], ended)
            else:
                answer = os.fork()
                if answer == 0:
                    return dict(question)
            connection.sendall(json.dumps({"answer": answer}).encode() + b"\n")
    return None


def _exit_code(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def _become(order: dict[str, Any], parent: int) -> None:
    """Ends with the module's end."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it died before: no signal will come any more
        os._exit(1)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["directory"])
    sys.argv = [order["module"], *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for needed in WARM.values():
        for name in needed:
            importlib.import_module(name)
    gc.collect()
    # What a child never changes stays shared with its parent.
    gc.freeze()
    ours = os.getpid()
    wanted = _serve(sys.argv[1])
    if wanted is not None:
        _become(wanted, ours)
