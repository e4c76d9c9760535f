"""A Valkey (or Redis) of our own on the loopback interface, for one machine and for tests.

Ready in about 0.05 s. It has a password, keeps everything it accepts (`noeviction`) and dies with the process that
started it. With `append_only` a restart finds every write that is a second old.
"""

import secrets
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from standalone.binaries import Flavour, valkey_server
from standalone.child_process import ChildProcess
from standalone.ports import free_port

HOST = "127.0.0.1"
START_DEADLINE = 30.0  # seconds; a large append-only file takes a while to read, an empty start 0.05 s
PORT_ATTEMPTS = 5  # a port that was free may be taken by somebody else before the server binds it


class EmbeddedValkey:
    """A server for Redis' protocol: `with EmbeddedValkey(directory) as valkey: valkey.port`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        password: str | None = None,
        append_only: bool = False,
        flavour: Flavour = "valkey",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Port 0 takes a free one and keeps it over restarts; without a password one is made up.

        `settings` are further lines of the server's configuration. Raises BinaryNotFoundError.
        """
        self.host = HOST
        self.port = port
        self.password = password or secrets.token_urlsafe(24)
        self.data_dir = data_dir.absolute()
        self._any_port = port == 0
        self._append_only = append_only
        self._settings = dict(settings or {})
        self._name = flavour.capitalize()
        self._binary = valkey_server(flavour)
        self._process: ChildProcess | None = None

    def start(self) -> None:
        """Start it and return when it answers. Raises ChildFailedError with the tail of its log."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for last in (*[False] * (PORT_ATTEMPTS - 1), True):
            if self._any_port and self.port == 0:
                self.port = free_port(self.host)
            process = self._process = ChildProcess(
                self._name,
                [self._binary, "-"],
                log=self.data_dir / "server.log",
                directory=self.data_dir,
                stdin=self._configuration().encode(),
                death_signal=signal.SIGTERM,
            )
            process.start()
            if self._answers():
                return
            process.kill()
            if last or not (self._any_port and "in use" in process.log_tail()):
                raise process.failure("did not come up")
            self.port = 0

    def stop(self) -> None:
        """End it; with `append_only` nothing is lost."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL; `start()` brings it back on the same port."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Stop and start on the same port; without `append_only` it comes back empty."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay, no answers come."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on."""
        self.process.resume()

    @property
    def process(self) -> ChildProcess:
        """The running server as a child."""
        if self._process is None:
            raise RuntimeError(f"{self._name} was never started")
        return self._process

    @property
    def url(self) -> str:
        """Address with the password, for clients that take one string."""
        return f"redis://:{self.password}@{self.host}:{self.port}/0"

    def _configuration(self) -> str:
        # By standard input and not as arguments: those can be read by everybody on the machine.
        lines = {
            "bind": self.host,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.data_dir}"',
            "appendonly": "yes" if self._append_only else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
        } | self._settings
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_DEADLINE
        while self.process.running and time.monotonic() < deadline:
            if self._ping():
                # Another server may have had the port: then ours has ended or is about to.
                return self.process.running
            time.sleep(0.005)
        return False

    def _ping(self) -> bool:
        """Whether it answers PONG; LOADING, while it reads its file, is not ready."""
        password = self.password.encode()
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n*1\r\n$4\r\nPING\r\n" % (len(password), password))
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

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
