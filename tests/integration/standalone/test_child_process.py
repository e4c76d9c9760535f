"""A child never outlives its parent, whichever way the system offers."""

import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from standalone.child_process import ChildFailedError, ChildProcess
from tests.servers import ROOT

PARENT = textwrap.dedent(
    """
    import sys, threading
    from pathlib import Path
    from standalone import child_process

    if sys.argv[2] == "pipe":
        child_process._prctl = None
    child = child_process.ChildProcess("child", ["sleep", "600"], log=Path(sys.argv[1]) / "log")
    child.start()
    print(child.pid, flush=True)
    threading.Event().wait()
    """
)


@pytest.mark.parametrize(
    "way", [pytest.param("signal", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone")), "pipe"]
)
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path, way: str) -> None:
    program = [sys.executable, "-c", PARENT, str(tmp_path), way]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        family = psutil.Process(parent.pid).children()
        assert len(family) == (1 if way == "signal" else 2)
        parent.kill()
    assert psutil.wait_procs([child, *family], timeout=30)[1] == []


def test_the_watching_shell_ends_with_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standalone.child_process._prctl", None)
    child = ChildProcess("child", ["sleep", "600"], log=tmp_path / "log")
    with child:
        family = psutil.Process().children()
        shells = [process for process in family if process.ppid() == psutil.Process().pid and process.name() == "sh"]
        assert shells
    assert psutil.wait_procs(shells, timeout=10)[1] == []


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ChildFailedError, match="no-such cannot be started"):
        ChildProcess("no-such", [tmp_path / "no-such"], log=tmp_path / "log").start()


def test_a_frozen_child_stops_when_asked(tmp_path: Path) -> None:
    child = ChildProcess("child", ["sleep", "600"], log=tmp_path / "log")
    with child:
        child.pause()
        assert psutil.Process(child.pid).status() == psutil.STATUS_STOPPED
        assert child.stop() == -15
