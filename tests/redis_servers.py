"""Several servers of Redis' protocol that belong together: a replica, and the sentinels that watch over both."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from standalone.binaries import valkey_server
from standalone.child_process import ChildProcess
from standalone.embedded_valkey import EmbeddedValkey
from standalone.ports import free_port
from tests.servers import redis_client

WATCHER = "watcher"
"""A user of the sentinels with the rights that docs/operations.md names, and their password."""
_DEADLINE = 30.0


@contextmanager
def replica_of(primary: EmbeddedValkey, directory: Path) -> Iterator[EmbeddedValkey]:
    """A running replica with the password of its primary."""
    settings = {"replicaof": f"{primary.host} {primary.port}", "masterauth": primary.password}
    replica = EmbeddedValkey(
        directory, password=primary.password, settings=settings | {"repl-diskless-sync-delay": "0"}
    )
    with replica, redis_client(primary) as client:
        # For when the roles change.
        client.config_set("masterauth", primary.password)
        client.config_set("repl-diskless-sync-delay", "0")
        yield replica


def become_replica(server: EmbeddedValkey, primary: EmbeddedValkey) -> None:
    """The server obeys ``primary`` from now on; its connections stay."""
    with redis_client(server) as client:
        client.replicaof(primary.host, primary.port)


def until_in_step(primary: EmbeddedValkey, replica: EmbeddedValkey) -> None:
    """Returns when the replica has all that the primary has now."""
    end = time.monotonic() + _DEADLINE
    with redis_client(primary) as one, redis_client(replica) as other:
        while True:
            here, there = one.info("replication"), other.info("replication")
            linked = there.get("master_link_status") == "up"
            if linked and there.get("master_repl_offset") == here.get("master_repl_offset"):
                return
            assert time.monotonic() < end, f"not in step: {here} {there}"
            time.sleep(0.02)


class Sentinels:
    """``with Sentinels(primary, directory, count=3) as sentinels``: processes that fail over within about two seconds."""

    name = "paceline"

    def __init__(self, primary: EmbeddedValkey, directory: Path, count: int, password: str) -> None:
        self._primary = primary
        self._count = count
        self.servers = [
            _Sentinel(primary, self.name, directory / f"sentinel-{number}", password, count // 2 + 1)
            for number in range(count)
        ]
        self._stack = ExitStack()

    @property
    def addresses(self) -> list[str]:
        return [f"{server.host}:{server.port}" for server in self.servers]

    def __enter__(self) -> Self:
        for server in self.servers:
            self._stack.enter_context(server)
        self._until_they_know_each_other()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _until_they_know_each_other(self) -> None:
        end = time.monotonic() + _DEADLINE
        with redis_client(self._primary) as client:
            replicas = client.info("replication")["connected_slaves"]
        for server in self.servers:
            with redis_client(server) as client:
                while True:
                    known = client.execute_command("SENTINEL MASTER", self.name)
                    found = int(known["num-other-sentinels"]), int(known["num-slaves"])
                    if found == (self._count - 1, replicas):
                        break
                    assert time.monotonic() < end, known
                    time.sleep(0.05)


class _Sentinel:
    """One of them; it writes what it learns into its configuration, so that is a file."""

    def __init__(self, primary: EmbeddedValkey, name: str, directory: Path, password: str, quorum: int) -> None:
        self.host, self.port, self.password = primary.host, free_port(primary.host), password
        directory.mkdir()
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"bind {self.host}\nport {self.port}\ndir {directory}\n"
            f"requirepass {password}\nsentinel sentinel-pass {password}\n"
            f"user {WATCHER} on >{password} -@all +sentinel|master +ping\n"
            f"sentinel monitor {name} {primary.host} {primary.port} {quorum}\n"
            f"sentinel auth-pass {name} {primary.password}\n"
            f"sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n"
        )
        self._process = ChildProcess(
            "Sentinel",
            [valkey_server(), configuration, "--sentinel"],
            log=directory / "sentinel.log",
            directory=directory,
            death_signal=signal.SIGTERM,
        )

    def __enter__(self) -> Self:
        self._process.start()
        end = time.monotonic() + _DEADLINE
        with redis_client(self) as client:
            while True:
                try:
                    client.ping()
                    return self
                except redis.exceptions.ConnectionError:
                    if not self._process.running or time.monotonic() > end:
                        raise self._process.failure("did not come up") from None
                    time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
