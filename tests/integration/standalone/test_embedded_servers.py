"""The embedded servers start, come back, and never outlive the process that started them."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from standalone import unprivileged
from standalone.child_process import ChildFailedError
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from standalone.ports import free_port
from standalone.unprivileged import Launch
from tests.servers import ROOT, redis_client

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to step down")


@pytest.fixture(params=["valkey", "redis"])
def valkey(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "valkey", append_only=True, flavour=request.param) as server:
        yield server


@pytest.fixture(params=["here", pytest.param("namespace", marks=as_root), pytest.param("nobody", marks=as_root)])
def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    launches: dict[str, Callable[[], Launch]] = {
        "namespace": unprivileged.in_namespace,
        "nobody": unprivileged.as_nobody,
    }
    launch = launches[request.param]() if request.param in launches else None
    if launch is not None:
        probe = subprocess.run(launch.command(["/bin/true"]), capture_output=True)
        if probe.returncode != 0:
            pytest.skip(f"not possible on this machine: {probe.stderr.decode()}")
    with EmbeddedPostgres(tmp_path / "postgres", durable=False, launch=launch) as server:
        yield server


def test_valkey_asks_for_its_password_and_loses_nothing_over_a_restart(valkey: EmbeddedValkey) -> None:
    with redis_client(valkey) as client:
        client.set("kept", "yes")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    port = valkey.port
    valkey.restart()
    assert valkey.port == port
    with redis_client(valkey) as client:
        assert client.get("kept") == b"yes"
    valkey.password = "another"
    with redis_client(valkey) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_valkey_comes_back_after_being_killed(valkey: EmbeddedValkey) -> None:
    pid = valkey.process.pid
    valkey.kill()
    assert not psutil.pid_exists(pid)
    assert valkey.process.exit_code == -signal.SIGKILL
    valkey.start()
    with redis_client(valkey) as client:
        assert client.ping()


def test_a_frozen_valkey_does_not_answer_until_it_goes_on(valkey: EmbeddedValkey) -> None:
    valkey.pause()
    assert psutil.Process(valkey.process.pid).status() == psutil.STATUS_STOPPED
    valkey.resume()
    with redis_client(valkey) as client:
        assert client.ping()


def test_a_taken_port_is_said(valkey: EmbeddedValkey, tmp_path: Path) -> None:
    second = EmbeddedValkey(tmp_path / "second", port=valkey.port)
    with pytest.raises(ChildFailedError, match="in use"):
        second.start()


def test_postgres_runs_without_root_and_keeps_its_data(postgres: EmbeddedPostgres) -> None:
    assert postgres.execute("SHOW data_directory") == str(postgres.data_dir / "cluster")
    assert postgres.execute("SHOW synchronous_commit; SHOW password_encryption") == "on\nscram-sha-256"
    postgres.execute("CREATE TABLE kept (v int); INSERT INTO kept VALUES (7)")
    postgres.restart()
    assert postgres.execute("SELECT v FROM kept") == "7"
    postgres.password = "another"
    with pytest.raises(RuntimeError, match="password authentication failed"):
        postgres.execute("SELECT 1")


def test_postgres_recovers_after_being_killed(postgres: EmbeddedPostgres) -> None:
    postgres.execute("CREATE TABLE kept (v int); INSERT INTO kept VALUES (7)")
    family = [postgres.process.pid, *(child.pid for child in psutil.Process(postgres.process.pid).children())]
    postgres.kill()
    assert [pid for pid in family if psutil.pid_exists(pid)] == []
    postgres.start()
    assert postgres.execute("SELECT v FROM kept") == "7"


def test_all_of_postgres_freezes_and_goes_on(postgres: EmbeddedPostgres) -> None:
    postmaster = psutil.Process(postgres.process.pid)
    postgres.pause()
    assert {process.status() for process in (postmaster, *postmaster.children())} == {psutil.STATUS_STOPPED}
    postgres.resume()
    assert postgres.execute("SELECT 1") == "1"
    postgres.pause()
    postgres.stop()
    assert postgres.process.exit_code == 0


def test_a_half_made_data_directory_is_made_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "cluster.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert server.execute("SELECT 1") == "1"
    assert not unfinished.exists()
    assert not list(tmp_path.glob("password*"))


def test_a_postgres_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, durable=False, settings={"shared_buffers": "nonsense"})
    with pytest.raises(ChildFailedError, match="invalid value for parameter"):
        server.start()
    assert not server.process.running


@as_root
def test_data_change_hands_when_root_steps_down_in_another_way(tmp_path: Path) -> None:
    password = "p"
    for launch in (unprivileged.as_nobody(), unprivileged.in_namespace(), unprivileged.as_nobody()):
        if subprocess.run(launch.command(["/bin/true"]), capture_output=True).returncode != 0:
            pytest.skip(f"{launch.way} is not possible on this machine")
        with EmbeddedPostgres(tmp_path, durable=False, password=password, launch=launch) as server:
            assert server.execute("SELECT 1") == "1"


def test_data_that_exist_need_their_password(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    with pytest.raises(ValueError, match="password"):
        EmbeddedPostgres(tmp_path)


PARENT = textwrap.dedent(
    """
    import os, sys, threading
    from pathlib import Path
    from standalone.embedded_postgres import EmbeddedPostgres
    from standalone.embedded_valkey import EmbeddedValkey
    from standalone import unprivileged

    launch = unprivileged.as_nobody() if sys.argv[2] == "nobody" else None
    with (
        EmbeddedValkey(Path(sys.argv[1]) / "valkey") as valkey,
        EmbeddedPostgres(Path(sys.argv[1]) / "postgres", durable=False, launch=launch) as postgres,
    ):
        print(os.geteuid(), valkey.process.pid, postgres.process.pid, flush=True)
        threading.Event().wait()
    """
)


@pytest.mark.parametrize(
    "way", ["here", pytest.param("nobody", marks=as_root), pytest.param("ordinary user", marks=as_root)]
)
def test_servers_die_with_a_parent_that_is_killed(tmp_path: Path, way: str) -> None:
    prefix: tuple[str, ...] = ()
    if way == "ordinary user":
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is missing")
        # The capability only opens the directories on the way to this checkout and its interpreter.
        prefix = unprivileged.as_nobody().prefix
        shutil.chown(tmp_path, "nobody")
    program = [*prefix, sys.executable, "-c", PARENT, str(tmp_path), way]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        uid, *pids = map(int, parent.stdout.readline().split())
        servers = [psutil.Process(pid) for pid in pids]
        family = [*servers, *servers[1].children(recursive=True)]
        assert len(family) > len(servers)
        parent.kill()
    assert uid == (65534 if way == "ordinary user" else os.geteuid())
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def test_a_port_lost_to_somebody_else_is_chosen_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedValkey(tmp_path / "first") as first:
        offers = iter([first.port, free_port(), first.port, free_port()])
        monkeypatch.setattr("standalone.embedded_valkey.free_port", lambda host: next(offers))
        monkeypatch.setattr("standalone.embedded_postgres.free_port", lambda host: next(offers))
        with (
            EmbeddedValkey(tmp_path / "second") as second,
            EmbeddedPostgres(tmp_path / "third", durable=False) as third,
        ):
            assert first.port not in (second.port, third.port)
