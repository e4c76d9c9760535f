"""Postgres by TLS: each mode, each way in which it can go wrong, and what is said then."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from shared.database.connection import Database
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings
from tests import servers
from tests.integration.conftest import settings_of_database
from tests.tls_front import TlsFront, tls_front

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def root(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "root.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def serving(certificate: trustme.LeafCert, client_authority: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if client_authority is not None:
        client_authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


Opens = Callable[..., AbstractAsyncContextManager[Database]]


@pytest.fixture
def opens(database: servers.Database) -> Opens:
    """``opens(front, DATABASE_SSL_MODE="require")``: a pool by way of the front."""

    @asynccontextmanager
    async def open_pool(front: TlsFront, mode: str, **settings: Any) -> AsyncIterator[Database]:
        plain = settings_of_database(replace(database, port=front.port))
        values = plain.model_dump() | {"database_ssl_mode": mode} | settings
        pool = await Database(DatabaseSettings(**values), 1, "test").open()
        yield pool
        await pool.close()

    return open_pool


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
async def test_every_mode_finds_its_way(
    mode: str, database: servers.Database, authority: trustme.CA, root: str, opens: Opens
) -> None:
    trust = {"database_ssl_root_cert": root} if mode.startswith("verify") else {}
    async with tls_front(database.host, database.port, serving(authority.issue_cert(HOST))) as front:
        async with opens(front, mode, **trust) as pool:
            assert await pool.fetchval("select 1") == 1
            assert await pool.problem() == ""
        assert bool(front.encrypted) == (mode not in ("disable", "allow"))


async def test_a_server_that_takes_only_tls_gets_it(
    database: servers.Database, authority: trustme.CA, opens: Opens
) -> None:
    async with tls_front(database.host, database.port, serving(authority.issue_cert(HOST)), wants_tls=True) as front:
        for mode in ("allow", "prefer", "require"):
            async with opens(front, mode) as pool:
                assert await pool.fetchval("select 1") == 1
        await fails(opens(front, "disable"), "DATABASE_SSL_MODE")


async def test_a_server_without_tls(database: servers.Database, root: str, opens: Opens) -> None:
    async with tls_front(database.host, database.port, None) as front:
        for mode in ("disable", "allow", "prefer"):
            async with opens(front, mode) as pool:
                assert await pool.fetchval("select 1") == 1
        await fails(opens(front, "require"), "it speaks no TLS, which DATABASE_SSL_MODE asks for")
        await fails(opens(front, "verify-ca", database_ssl_root_cert=root), "it speaks no TLS")


async def test_certificates_that_are_not_to_be_trusted(
    database: servers.Database, authority: trustme.CA, root: str, opens: Opens
) -> None:
    trusted = {"database_ssl_root_cert": root}
    gone = datetime.now(UTC) - timedelta(days=1)
    cases = [
        (trustme.CA().issue_cert(HOST), "verify-full", trusted, "DATABASE_SSL_ROOT_CERT"),
        (trustme.CA().issue_cert(HOST), "verify-ca", trusted, "DATABASE_SSL_ROOT_CERT"),
        (authority.issue_cert(HOST), "verify-full", {}, "DATABASE_SSL_ROOT_CERT"),
        (authority.issue_cert("db.example.org"), "verify-full", trusted, "another host than DATABASE_HOST"),
        (authority.issue_cert(HOST, not_after=gone), "verify-full", trusted, "not valid now"),
    ]
    for certificate, mode, trust, words in cases:
        async with tls_front(database.host, database.port, serving(certificate)) as front:
            await fails(opens(front, mode, **trust), words)
            async with opens(front, "require") as pool:
                assert await pool.fetchval("select 1") == 1, "require checks none, as in libpq"
    other = serving(authority.issue_cert("db.example.org"))
    async with (
        tls_front(database.host, database.port, other) as front,
        opens(front, "verify-ca", **trusted) as pool,
    ):
        assert await pool.fetchval("select 1") == 1, "verify-ca asks for no name"


async def test_a_server_that_asks_for_our_certificate(
    database: servers.Database, authority: trustme.CA, root: str, opens: Opens, tmp_path: Path
) -> None:
    ours = authority.issue_cert("paceline")
    both, certificate, key = tmp_path / "both.pem", tmp_path / "ours.pem", tmp_path / "ours.key"
    ours.private_key_and_cert_chain_pem.write_to_path(both)
    ours.cert_chain_pems[0].write_to_path(certificate)
    ours.private_key_pem.write_to_path(key)
    context = serving(authority.issue_cert(HOST), authority)
    async with tls_front(database.host, database.port, context) as front:
        await fails(opens(front, "require"), "DATABASE_SSL_CERT")
        for given in (
            {"database_ssl_cert": str(both)},
            {"database_ssl_cert": str(certificate), "database_ssl_key": str(key)},
        ):
            async with opens(front, "verify-full", database_ssl_root_cert=root, **given) as pool:
                assert await pool.fetchval("select 1") == 1


async def test_a_file_that_has_gone_since_the_start_is_named(
    database: servers.Database, authority: trustme.CA, opens: Opens, tmp_path: Path
) -> None:
    passing = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(passing)
    async with (
        tls_front(database.host, database.port, serving(authority.issue_cert(HOST))) as front,
        opens(front, "verify-full", database_ssl_root_cert=str(passing)) as pool,
    ):
        passing.unlink()
        with pytest.raises(DatabaseUnavailable, match="DATABASE_SSL_ROOT_CERT: "):
            await pool.fetchval("select 1")
        authority.cert_pem.write_to_path(passing)
        assert await pool.fetchval("select 1") == 1


@pytest.mark.parametrize("mode", ["prefer", "verify-full"])
async def test_no_home_is_needed(mode: str, database: servers.Database, authority: trustme.CA, root: str) -> None:
    async with tls_front(database.host, database.port, serving(authority.issue_cert(HOST))) as front:
        environment = servers.base_environment() | replace(database, port=front.port).environment
        environment |= {"DATABASE_SSL_MODE": mode}
        environment |= {"DATABASE_SSL_ROOT_CERT": root} if mode == "verify-full" else {}
        del environment["HOME"]
        for home in ({}, {"HOME": "/proc/1/root/nowhere"}):
            done = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "migrations"),
                cwd=servers.ROOT,
                env=environment | home,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            told, _ = await done.communicate()
            assert told.decode() == "the schema is up to date\n"


async def fails(pool: AbstractAsyncContextManager[Database], words: str) -> None:
    async with pool as opened:
        with pytest.raises(DatabaseUnavailable, match=words) as found:
            await opened.fetchval("select 1")
        assert HOST in str(found.value), "it says where"
        assert HOST not in found.value.reason
        with pytest.raises(DatabaseUnavailable, match=words):
            await opened.problem()
