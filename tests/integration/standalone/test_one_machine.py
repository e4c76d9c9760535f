"""`python -m standalone` as a user runs it: everything comes up, answers at one address, and goes again."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.servers import ROOT, base_environment

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("one machine")]


class Standalone:
    """The running program and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""

    def until(self, text: str) -> None:
        """Read up to a line with this text."""
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
        return self.process.wait(120)

    def found(self, pattern: str) -> str:
        """The part in brackets of what it said."""
        match = re.search(pattern, self.said)
        assert match is not None, self.said
        return match[1]

    def get(self, path: str, login: str = "") -> tuple[int, str]:
        """Ask at the address that it printed."""
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
        request = urllib.request.Request(self.found(r"dashboard +(http://\S+?)/\n") + path, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def standalone(*arguments: str, **settings: str) -> Iterator[Standalone]:
    command = [sys.executable, "-m", "standalone", *arguments, "--env-file", os.devnull]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=base_environment() | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Standalone(process)
        finally:
            process.kill()


def test_up_runs_until_told_and_keeps_its_data(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    up = ("up", "--ports", "auto", "--data-dir", str(directory), "--dispatchers", "1")
    logins = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with standalone(*up) as run:
            run.until("Ctrl-C stops it")
            user, password = run.found(r"login +(.+)\n").split(" / ")
            logins.append((user, password))
            assert run.get("/ready")[0] == 404, "each service says so on its own port"
            # Ready is each service by itself; the whole is when Redis is rebuilt and a dispatcher has been heard of.
            while run.get("/health")[0] != 200:
                assert run.process.poll() is None
            assert run.get("/api/campaigns")[0] == 401
            status, body = run.get("/api/campaigns", f"{user}:{password}")
            assert (status, json.loads(body)["code"]) == (200, "SUCCESS")
            with standalone(*up) as second:
                assert second.ended() == 1
                assert f"is in use by process {run.process.pid}" in second.said
            children = psutil.Process(run.process.pid).children(recursive=True)
            run.process.send_signal(number)
            assert run.ended() == 0
            assert psutil.wait_procs(children, timeout=30)[1] == []
            assert "killing" not in run.said
    assert logins[0] == logins[1]
    # Nothing secret went into a log.
    made = dict(line.split("=") for line in (directory / "credentials").read_text().splitlines())
    for log in directory.rglob("*.log"):
        assert not [name for name, secret in made.items() if secret in log.read_text(errors="replace")], log


def test_nothing_outlives_an_up_that_is_killed(tmp_path: Path) -> None:
    with standalone("up", "--ports", "auto", "--data-dir", str(tmp_path)) as run:
        run.until("Ctrl-C stops it")
        children = psutil.Process(run.process.pid).children(recursive=True)
        assert len(children) > 8
        run.process.kill()
        assert psutil.wait_procs(children, timeout=30)[1] == []


def test_a_wrong_setting_is_said_with_its_name(tmp_path: Path) -> None:
    with standalone("up", "--ports", "auto", "--data-dir", str(tmp_path), LOG_LEVEL="loud") as run:
        assert run.ended() == 1
        assert re.search("LOG_LEVEL.*debug, info, warning or error", run.said)


def test_the_demo_of_a_small_campaign_succeeds(tmp_path: Path) -> None:
    recipients = tmp_path / "recipients.csv"
    numbers = [*range(100, 119), 199]
    recipients.write_text("phone\n" + "".join(f"+12025550{number}\n" for number in numbers))
    with standalone("demo", "--data-dir", str(tmp_path / "data"), "--recipients", str(recipients)) as run:
        assert run.ended() == 0, run.said
    assert "every recipient came to an end, each message was taken once" in run.said
    assert "20 of 20 ended" in run.said
    delivered, read = run.found(r"receipts: (\d+) delivered"), run.found(r"receipts: \d+ delivered, (\d+) read")
    assert delivered == read == run.found(r"20 of 20 ended \(.*?(\d+) sent")
