"""A program as our child: its output in a log file, gone when we are gone, stopped and frozen by its own process id.

On Linux the kernel signals the child when its parent dies, even by SIGKILL (PR_SET_PDEATHSIG); elsewhere a shell waits
on a pipe that closes with us. The kernel means the *thread* that started the child: start children from a thread that
lives as long as they shall. Each child has a session of its own, so that Ctrl-C reaches us alone and we stop in order.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


class ChildFailedError(RuntimeError):
    """A child did not come up or ended by itself; the text ends with the tail of its log."""


class ChildProcess:
    """One program with its arguments; may be started again after it has ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        stdin: bytes = b"",
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`environment` replaces ours when given. `stop_signal` asks it to end, `death_signal` comes when we die."""
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self._environment = environment
        self._directory = directory
        self._stdin = stdin
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns before it is ready. Raises ChildFailedError when the program cannot be run at all."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self._end_watcher()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE if self._stdin else subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=None if self._environment is None else dict(self._environment),
                    cwd=self._directory,
                    start_new_session=True,
                    preexec_fn=_die_with_parent(self._death_signal),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise ChildFailedError(f"{self.name} cannot be started: {error}") from error
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(self._stdin)
        if _prctl is None:
            self._watcher = _watch_pipe(self._process.pid, self._death_signal)

    @property
    def running(self) -> bool:
        """Whether it is there (a frozen one is)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the current or last run."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Signal exactly this process; nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most `timeout` seconds (then subprocess.TimeoutExpired), and return its exit code."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = self._process.wait(timeout)
        self._end_watcher()
        return code

    def stop(self, grace: float = 10.0) -> int | None:
        """Ask it to end, kill it after `grace` seconds; None when it was never started."""
        if self._process is None:
            return None
        self.send(self._stop_signal)
        self.send(signal.SIGCONT)  # a frozen process would answer no other signal
        try:
            return self.wait(grace)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        """SIGKILL, and wait until it is gone; None when it was never started."""
        if self._process is None:
            return None
        self.send(signal.SIGKILL)
        return self.wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP); it stands still when this returns."""
        self.send(signal.SIGSTOP)
        if self.running:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self.send(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log, for an error message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 200 * lines))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, what: str) -> ChildFailedError:
        """An error that says what happened to this child, with the tail of its log."""
        return ChildFailedError(f"{self.name} {what}; the end of {self.log}:\n{self.log_tail()}")

    def _end_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if _prctl is None:
        return None
    prctl, parent = _prctl, os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # we died between fork and prctl: no signal will come any more
            os._exit(1)

    return before_exec


def _watch_pipe(pid: int, number: signal.Signals) -> subprocess.Popen[bytes]:
    """Best effort where the kernel has no death signal: our end of the pipe closes with us, then the shell signals."""
    script = f"read -r _; kill -{int(number)} {pid}"
    return subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
