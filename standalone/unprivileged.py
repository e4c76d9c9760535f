"""How to run Postgres, which refuses to run as root.

An ordinary user runs it directly. Root runs it in a user namespace of its own, where root's files belong to an
ordinary user: nobody is created, no file changes hands. Where containers forbid user namespaces it runs as `nobody`,
who keeps of root's powers only the one to pass closed directories (a checkout under /root is closed to others).
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Way = Literal["direct", "namespace", "nobody"]


class CannotDropRootError(RuntimeError):
    """We are root and have no way to run a program as somebody else."""


@dataclass(frozen=True)
class Launch:
    """How to run a program without being root, and who owns its files."""

    way: Way
    prefix: tuple[str, ...]
    uid: int
    gid: int

    def command(self, command: Sequence[str | Path], death_signal: str = "TERM") -> list[str]:
        """The command with what goes before it. Changing the user clears the death signal, so `nobody` sets it anew."""
        prefix = (*self.prefix, "--pdeathsig", death_signal) if self.way == "nobody" else self.prefix
        return [*prefix, *(str(part) for part in command)]

    def own(self, directory: Path) -> None:
        """Give a directory, with all in it, to who will run (Postgres takes only a data directory that it owns)."""
        if self.way == "direct":
            return
        for path in (directory, *directory.rglob("*")):
            status = path.lstat()
            if (status.st_uid, status.st_gid) != (self.uid, self.gid):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def launch_for(program: Path) -> Launch:
    """The first way that works for this program here. Raises CannotDropRootError."""
    return _launch_for(program, os.geteuid())


@cache
def _launch_for(program: Path, euid: int) -> Launch:
    if euid != 0:
        return DIRECT
    failures = []
    for candidate in (in_namespace(), as_nobody()):
        try:
            subprocess.run(candidate.command([program, "--version"]), check=True, capture_output=True, timeout=30)
        except subprocess.CalledProcessError as error:
            failures.append(f"{candidate.prefix[0]}: {error.stderr.decode(errors='replace').strip()}")
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{candidate.prefix[0]}: {error}")
        else:
            return candidate
    raise CannotDropRootError(f"Postgres does not run as root; run this as an ordinary user ({'; '.join(failures)})")


DIRECT = Launch("direct", (), -1, -1)


def in_namespace() -> Launch:
    """A user namespace in which root's files are those of user 1000."""
    return Launch("namespace", ("unshare", "-U", "--map-user=1000", "--map-group=1000"), os.geteuid(), os.getegid())


def as_nobody() -> Launch:
    """The user `nobody`, with the one capability that opens directories."""
    nobody = pwd.getpwnam("nobody")
    prefix = (
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    return Launch("nobody", prefix, nobody.pw_uid, nobody.pw_gid)
