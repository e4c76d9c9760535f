"""The supervisor starts, watches and stops children in order, and leaves none behind however it ends."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from standalone.ports import free_ports
from tests.servers import ROOT

GRACE = "20"


class Run:
    """A running supervisor and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str], directory: Path, ports: list[int]) -> None:
        self.process = process
        self.directory = directory
        self.ports = ports
        self.said = ""

    def until(self, text: str) -> None:
        """Read its output up to a line with this text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if text in line:
                return
        pytest.fail(f"it never said {text!r}:\n{self.said}")

    def ended(self) -> int:
        """Read the rest and return the exit code."""
        assert self.process.stdout is not None
        self.said += self.process.stdout.read()
        return self.process.wait(60)

    def notes(self) -> list[str]:
        """What the stand-ins have noted: name and event."""
        return [line.rsplit(" ", 1)[0] for line in (self.directory / "notes").read_text().splitlines()]

    def children(self) -> list[psutil.Process]:
        """The processes that are there now."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def running(
    directory: Path, *children: tuple[str, int, list[str]], grace: str = GRACE, deadline: str = "30"
) -> Iterator[Run]:
    ports = free_ports(len(children))
    plan = json.dumps(
        [[name, port, turn, options] for (name, turn, options), port in zip(children, ports, strict=True)]
    )
    command = [sys.executable, "-m", "tests.integration.standalone.supervised", str(directory), plan, grace, deadline]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Run(process, directory, ports)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_turn_by_turn(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, ("server", 5, []), ("sender", 1, []), ("door", 0, [])) as run:
        run.until("all ready")
        run.process.send_signal(number)
        assert run.ended() == 0
        assert run.notes()[3:] == [
            "door told",
            "door ended",
            "sender told",
            "sender ended",
            "server told",
            "server ended",
        ]
        assert re.findall(r"stopping (\w+)\n", run.said) == ["door", "sender", "server"]


def test_a_second_signal_kills(tmp_path: Path) -> None:
    with running(tmp_path, ("server", 5, []), ("stubborn", 0, ["--ignore-sigterm"]), grace="300") as run:
        run.until("all ready")
        children = run.children()
        run.process.send_signal(signal.SIGINT)
        run.until("stopping stubborn")
        run.process.send_signal(signal.SIGINT)
        assert run.ended() == 130
        assert psutil.wait_procs(children, timeout=10)[1] == []


def test_a_child_that_does_not_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    with running(tmp_path, ("server", 5, []), ("stubborn", 0, ["--ignore-sigterm"]), grace="0.5") as run:
        run.until("all ready")
        run.process.send_signal(signal.SIGTERM)
        assert run.ended() == 0
        assert run.notes()[2:] == ["stubborn told", "server told", "server ended"]


def test_a_child_that_ends_by_itself_stops_all_with_its_log(tmp_path: Path) -> None:
    with running(tmp_path, ("server", 5, []), ("sender", 1, [])) as run:
        run.until("all ready")
        with suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{run.ports[1]}/fail")
        assert run.ended() == 1
        assert "sender ended with 3" in run.said
        assert "sender cannot go on" in run.said
        assert run.notes()[2:] == ["server told", "server ended"]


def test_a_child_that_fails_at_its_start_is_said_once(tmp_path: Path) -> None:
    with running(tmp_path, ("server", 5, []), ("sender", 1, ["--fail", "4"])) as run:
        assert run.ended() == 1
        assert run.said.count("sender ended with 4") == 1
        assert "all ready" not in run.said


def test_a_child_that_never_becomes_ready_is_named(tmp_path: Path) -> None:
    with running(tmp_path, ("server", 5, []), ("sender", 1, ["--never-ready"]), deadline="2") as run:
        assert run.ended() == 1
        assert "sender was not ready within 2 s" in run.said
        assert "503" in run.said


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, ("server", 5, []), ("stubborn", 0, ["--ignore-sigterm"])) as run:
        run.until("all ready")
        children = run.children()
        assert len(children) == 2
        run.process.kill()
        assert psutil.wait_procs(children, timeout=10)[1] == []
