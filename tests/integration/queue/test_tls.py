"""TLS to Redis: an authority of one's own, a certificate of ours, a wrong name. A front speaks it for the server."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from shared.errors import QueueUnavailable, SettingError
from shared.messages import Lane
from shared.queue.connection import QueueConnection
from shared.queue.streams import stream_length
from shared.queue.waking import waking
from shared.settings import RedisSettings, load
from standalone.embedded_valkey import EmbeddedValkey
from tests.integration.queue.rota import NOW, build, dispatcher, done, entry, put
from tests.redis_servers import Sentinels
from tests.server_front import ServerFront

Front = Callable[..., Awaitable[ServerFront]]
Connect = Callable[..., QueueConnection]


class Files:
    """An authority, what it has issued, and a stranger's, as files."""

    def __init__(self, directory: Path) -> None:
        self.authority, stranger = trustme.CA(), trustme.CA()
        self.directory = directory
        self.ca = self._write("ca.pem", self.authority.cert_pem)
        self.strange_ca = self._write("strange-ca.pem", stranger.cert_pem)
        self.cert, self.key = self._issue("client", self.authority)
        self.strange_cert, self.strange_key = self._issue("strange-client", stranger)
        self.nonsense = directory / "nonsense.pem"
        self.nonsense.write_text("no certificate")

    def _issue(self, name: str, authority: trustme.CA) -> tuple[str, str]:
        issued = authority.issue_cert(f"{name}.example")
        return (
            self._write(f"{name}.pem", *issued.cert_chain_pems),
            self._write(f"{name}.key", issued.private_key_pem),
        )

    def _write(self, name: str, *parts: trustme.Blob) -> str:
        path = self.directory / name
        path.write_bytes(b"".join(part.bytes() for part in parts))
        return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
async def front(redis_server: EmbeddedValkey, files: Files) -> AsyncIterator[Front]:
    """``await front("127.0.0.1", asks=True)``: a front with a certificate for a name; ``asks`` for one of the client's."""
    async with AsyncExitStack() as stack:

        async def start(name: str, *, asks: bool = False, expired: bool = False, port: int = 0) -> ServerFront:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            not_after = datetime.now(UTC) - timedelta(days=1) if expired else None
            files.authority.issue_cert(name, not_after=not_after).configure_cert(context)
            if asks:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(files.ca)
            return await stack.enter_async_context(ServerFront(redis_server.host, port or redis_server.port, context))

        yield start


@pytest.fixture
async def connect(redis_server: EmbeddedValkey, queue_name: str) -> AsyncIterator[Connect]:
    opened = []

    def make(front: ServerFront, host: str = "127.0.0.1", **settings: object) -> QueueConnection:
        values = {"redis_host": host, "redis_port": front.port, "redis_password": redis_server.password}
        queue = QueueConnection(RedisSettings(**values | {"redis_queue_name": queue_name} | settings))
        opened.append(queue)
        return queue

    yield make
    for queue in opened:
        await queue.close()


async def works(queue: QueueConnection) -> None:
    await build(queue, ["a/0"])
    woken = asyncio.Event()
    async with waking(queue, woken), asyncio.timeout(20):
        await woken.wait()
        woken.clear()
        await put(queue, entry())
        await woken.wait()
    [taken] = (await dispatcher(queue, "a").take(1, NOW)).assignments
    await dispatcher(queue, "a").settle([done(taken)], NOW)
    assert await stream_length(queue, Lane.TRANSACTIONAL) == 0
    assert await queue.problem() == ""


async def test_an_authority_of_ones_own(front: Front, connect: Connect, files: Files) -> None:
    await works(connect(await front("127.0.0.1"), redis_tls=True, redis_tls_ca_file=files.ca))


async def test_a_host_name(front: Front, connect: Connect, files: Files) -> None:
    await works(connect(await front("localhost"), "localhost", redis_tls=True, redis_tls_ca_file=files.ca))


async def test_a_certificate_of_ours(front: Front, connect: Connect, files: Files) -> None:
    ours = {"redis_tls_cert_file": files.cert, "redis_tls_key_file": files.key}
    asking = await front("127.0.0.1", asks=True)
    await works(connect(asking, redis_tls=True, redis_tls_ca_file=files.ca, **ours))


async def test_less_may_be_checked(front: Front, connect: Connect, files: Files) -> None:
    other = await front("redis.example")
    await works(connect(other, redis_tls=True, redis_tls_ca_file=files.ca, redis_tls_verify="ca"))
    assert await connect(other, redis_tls=True, redis_tls_verify="none").problem() == ""


async def refused(queue: QueueConnection) -> str:
    with pytest.raises(QueueUnavailable) as found:
        await queue.problem()
    return found.value.reason


async def test_what_is_wrong_is_told(front: Front, connect: Connect, files: Files) -> None:
    right, asking = await front("127.0.0.1"), await front("127.0.0.1", asks=True)
    trusting = {"redis_tls": True, "redis_tls_ca_file": files.ca}
    strange = {"redis_tls_cert_file": files.strange_cert, "redis_tls_key_file": files.strange_key}
    assert "REDIS_TLS_CA_FILE" in await refused(connect(right, redis_tls=True)), "the system does not know it"
    assert "REDIS_TLS_CA_FILE" in await refused(connect(right, redis_tls=True, redis_tls_ca_file=files.strange_ca))
    assert "another host name" in await refused(connect(await front("redis.example"), "localhost", **trusting))
    assert "not for this address" in await refused(connect(await front("redis.example"), **trusting))
    assert "run out" in await refused(connect(await front("127.0.0.1", expired=True), **trusting))
    assert "REDIS_TLS_CERT_FILE" in await refused(connect(asking, **trusting))
    assert "REDIS_TLS_CERT_FILE" in await refused(connect(asking, **trusting, **strange))
    assert "REDIS_TLS=true" in await refused(connect(right)), "we speak plainly, it wants TLS"


async def test_a_plain_server_is_told(redis_server: EmbeddedValkey, connect: Connect, files: Files) -> None:
    async with ServerFront(redis_server.host, redis_server.port) as plain:
        told = await refused(connect(plain, redis_tls=True, redis_tls_ca_file=files.ca))
        assert "REDIS_TLS" in told


async def test_a_renewed_certificate_is_taken_up(front: Front, connect: Connect, files: Files) -> None:
    """The authority is replaced in the same file while we run."""
    queue = connect(await front("127.0.0.1"), redis_tls=True, redis_tls_ca_file=files.strange_ca)
    await refused(queue)
    files.authority.cert_pem.write_to_path(files.strange_ca)
    assert await queue.problem() == ""
    shutil.copy(files.nonsense, files.strange_ca)
    queue.way.leave()
    assert "REDIS_TLS_CA_FILE" in await refused(queue)


async def test_sentinels_behind_tls(
    front: Front, connect: Connect, files: Files, redis_server: EmbeddedValkey, tmp_path: Path, queue_name: str
) -> None:
    with Sentinels(redis_server, tmp_path, count=1, password="of-sentinels") as sentinels:
        before = await front("127.0.0.1", port=sentinels.servers[0].port)
        settings = RedisSettings(
            redis_sentinels=[f"127.0.0.1:{before.port}"],
            redis_sentinel_master=sentinels.name,
            redis_sentinel_password=SecretStr("of-sentinels"),
            redis_tls=True,
            redis_tls_ca_file=files.ca,
            redis_password=redis_server.password,
            redis_queue_name=queue_name,
        )
        queue = QueueConnection(settings)
        # The sentinel names the plain server itself, which shows that it was asked by TLS.
        assert "REDIS_TLS" in await refused(queue)
        await queue.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"REDIS_TLS_CA_FILE": "{missing}"}, "REDIS_TLS_CA_FILE"),
        ({"REDIS_TLS_CA_FILE": "{nonsense}"}, "REDIS_TLS_CA_FILE"),
        ({"REDIS_TLS_CERT_FILE": "{cert}"}, "REDIS_TLS_KEY_FILE"),
        ({"REDIS_TLS_KEY_FILE": "{key}"}, "REDIS_TLS_CERT_FILE"),
        ({"REDIS_TLS_CERT_FILE": "{cert}", "REDIS_TLS_KEY_FILE": "{strange_key}"}, "REDIS_TLS_KEY_FILE"),
        ({"REDIS_TLS_CERT_FILE": "{nonsense}", "REDIS_TLS_KEY_FILE": "{key}"}, "REDIS_TLS_CERT_FILE"),
        ({"REDIS_TLS_CERT_FILE": "{cert}", "REDIS_TLS_KEY_FILE": "{missing}"}, "REDIS_TLS_KEY_FILE"),
        ({"REDIS_TLS_VERIFY": "none", "REDIS_TLS_CA_FILE": "{ca}"}, "REDIS_TLS_CA_FILE"),
        ({"REDIS_TLS_VERIFY": "maybe"}, "REDIS_TLS_VERIFY"),
        ({"REDIS_TLS": "perhaps"}, "REDIS_TLS"),
    ],
)
def test_files_that_cannot_be_used_are_named_at_the_start(
    files: Files, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], named: str
) -> None:
    for name, value in ({"REDIS_TLS": "true"} | change).items():
        path = value.format(missing=files.directory / "missing.pem", **vars(files))
        monkeypatch.setenv(name, path)
    with pytest.raises(SettingError, match=named):
        load(RedisSettings)
