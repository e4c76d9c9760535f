"""The settings that lead to Postgres: hosts, TLS, and what contradicts itself."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from shared.errors import SettingError
from shared.settings import DatabaseSettings, load


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DatabaseSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_HOST", "db")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files by what is in them."""
    authority, other = trustme.CA(), trustme.CA()
    leaf = authority.issue_cert("paceline")
    authority.cert_pem.write_to_path(tmp_path / "root")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "certificate")
    leaf.private_key_pem.write_to_path(tmp_path / "key")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both")
    other.issue_cert("paceline").private_key_pem.write_to_path(tmp_path / "other_key")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n")
    return {path.name: str(path) for path in tmp_path.iterdir()} | {"folder": str(tmp_path), "nothing": "/nowhere/x"}


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        ("db", [("db", 5432)]),
        ("db:6000", [("db", 6000)]),
        ("db-1,db-2:6000, db-3 ", [("db-1", 5432), ("db-2", 6000), ("db-3", 5432)]),
        ("10.0.0.1:1,10.0.0.2", [("10.0.0.1", 1), ("10.0.0.2", 5432)]),
        ("::1", [("::1", 5432)]),
        ("[::1]", [("::1", 5432)]),
        ("[2001:db8::7]:6000,db", [("2001:db8::7", 6000), ("db", 5432)]),
        ("/run/postgresql", [("/run/postgresql", 5432)]),
        ("bücher.example", [("bücher.example", 5432)]),
    ],
)
def test_hosts(monkeypatch: pytest.MonkeyPatch, value: str, hosts: list[tuple[str, int]]) -> None:
    monkeypatch.setenv("DATABASE_HOST", value)
    settings = load(DatabaseSettings)
    assert settings.database_hosts() == hosts
    arguments = settings.connect_arguments()
    assert list(zip(arguments["host"], arguments["port"], strict=True)) == hosts


@pytest.mark.parametrize(
    "value",
    ["db,", ",db", "db,,db", ",", "db:", "db:0", "db:65536", "db:tcp", "[::1", "[::1]x", "postgresql://db/x", "a b", "u@db",
     "a..b", "x" * 64],
)  # fmt: skip
def test_what_is_no_host(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DATABASE_HOST", value)
    with pytest.raises(SettingError, match=r"^DATABASE_HOST: "):
        load(DatabaseSettings)


@pytest.mark.parametrize(
    ("mode", "given", "name"),
    [
        ("require", {"DATABASE_SSL_ROOT_CERT": "root"}, "DATABASE_SSL_ROOT_CERT"),
        ("disable", {"DATABASE_SSL_ROOT_CERT": "root"}, "DATABASE_SSL_ROOT_CERT"),
        ("prefer", {"DATABASE_SSL_ROOT_CERT": "root"}, "DATABASE_SSL_ROOT_CERT"),
        ("verify-ca", {}, "DATABASE_SSL_ROOT_CERT"),
        ("verify-ca", {"DATABASE_SSL_ROOT_CERT": "nothing"}, "DATABASE_SSL_ROOT_CERT"),
        ("verify-full", {"DATABASE_SSL_ROOT_CERT": "empty"}, "DATABASE_SSL_ROOT_CERT"),
        ("verify-full", {"DATABASE_SSL_ROOT_CERT": "text"}, "DATABASE_SSL_ROOT_CERT"),
        ("verify-full", {"DATABASE_SSL_ROOT_CERT": "key"}, "DATABASE_SSL_ROOT_CERT"),
        ("verify-full", {"DATABASE_SSL_ROOT_CERT": "folder"}, "DATABASE_SSL_ROOT_CERT"),
        ("disable", {"DATABASE_SSL_CERT": "both"}, "DATABASE_SSL_CERT"),
        ("allow", {"DATABASE_SSL_CERT": "both"}, "DATABASE_SSL_CERT"),
        ("require", {"DATABASE_SSL_CERT": "certificate"}, "DATABASE_SSL_CERT"),
        ("require", {"DATABASE_SSL_CERT": "nothing"}, "DATABASE_SSL_CERT"),
        ("require", {"DATABASE_SSL_KEY": "key"}, "DATABASE_SSL_KEY"),
        ("require", {"DATABASE_SSL_CERT": "certificate", "DATABASE_SSL_KEY": "nothing"}, "DATABASE_SSL_KEY"),
        ("require", {"DATABASE_SSL_CERT": "certificate", "DATABASE_SSL_KEY": "other_key"}, "DATABASE_SSL_CERT"),
    ],
)
def test_what_contradicts_itself_or_cannot_be_used_names_its_setting(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], mode: str, given: dict[str, str], name: str
) -> None:
    monkeypatch.setenv("DATABASE_SSL_MODE", mode)
    for setting, file in given.items():
        monkeypatch.setenv(setting, files[file])
    with pytest.raises(SettingError) as found:
        load(DatabaseSettings)
    [line] = str(found.value).splitlines()
    names, _, told = line.partition(": ")
    assert name in names.split(", ")
    assert len(told) > 20


@pytest.mark.parametrize(
    ("mode", "verify", "names"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_what_each_mode_checks(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], mode: str, verify: ssl.VerifyMode, names: bool
) -> None:
    monkeypatch.setenv("DATABASE_SSL_MODE", mode)
    monkeypatch.setenv("DATABASE_SSL_CERT", files["certificate"])
    monkeypatch.setenv("DATABASE_SSL_KEY", files["key"])
    if mode != "require":
        monkeypatch.setenv("DATABASE_SSL_ROOT_CERT", files["root"])
    [context] = load(DatabaseSettings).database_tls()
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (verify, names)


@pytest.mark.parametrize(
    ("mode", "ways"), [("disable", [False]), ("allow", [False, True]), ("prefer", [True, False]), ("require", [True])]
)
def test_in_which_order_a_mode_tries(monkeypatch: pytest.MonkeyPatch, mode: str, ways: list[bool]) -> None:
    monkeypatch.setenv("DATABASE_SSL_MODE", mode)
    assert [bool(way) for way in load(DatabaseSettings).database_tls()] == ways


def test_verify_full_alone_trusts_whom_the_system_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_SSL_MODE", "verify-full")
    monkeypatch.delenv("HOME", raising=False)
    [context] = load(DatabaseSettings).database_tls()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.get_ca_certs() == ssl.create_default_context().get_ca_certs()
