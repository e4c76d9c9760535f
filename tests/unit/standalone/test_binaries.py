"""An explicit path goes before the wheels, and what is missing is said with what to do."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from standalone import binaries


def test_an_explicit_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finders: tuple[tuple[str, Callable[[], Path]], ...] = (
        ("EMBEDDED_VALKEY_SERVER", binaries.valkey_server),
        ("EMBEDDED_REDIS_SERVER", partial(binaries.valkey_server, "redis")),
        ("EMBEDDED_POSTGRES_BIN", binaries.postgres_directory),
        ("EMBEDDED_CADDY", binaries.caddy),
    )
    for variable, find in finders:
        monkeypatch.setenv(variable, str(tmp_path))
        assert find() == tmp_path
        monkeypatch.setenv(variable, str(tmp_path / "none"))
        with pytest.raises(binaries.BinaryNotFoundError, match=f"{variable} is .*none, which does not exist"):
            find()


def test_without_wheels_the_system_is_asked_and_then_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(binaries.BinaryNotFoundError, match=r"no program for Valkey: install .*EMBEDDED_VALKEY_SERVER"):
        binaries.valkey_server()
    server = tmp_path / "redis-server"
    server.touch(mode=0o755)
    assert binaries.valkey_server() == server
    assert binaries.valkey_server("redis") == server
