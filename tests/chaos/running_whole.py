"""The whole under fire: real Valkey and Postgres behind proxies, services as processes, a simulated sender with a ledger."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import asyncpg
import orjson
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.endpoints.identity import endpoint_id
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.chaos.fault_proxy import FaultProxy
from tests.chaos.refusing_redis import heal_refusals
from tests.chaos.wall_clock import WallClock
from tests.servers import ServiceProcess, database_of, migrate

QUEUE = "chaos"
LOGIN = ("chaos", secrets.token_urlsafe(16))
SENDER_LOGIN = "gowa:pass"
LEAST_GAP = 0.2
"""Seconds between two sends of an account, whatever their lanes: the shortest pause and the shortest typing of SETTINGS. The
judge holds it against the ledger."""
TEXT_TIMEOUT = 5
ATTEMPT_DEADLINE = 5 + TEXT_TIMEOUT + 5
"""Seconds until an attempt without a verdict is unknown: START_LIMIT, the request, a margin."""

# Short wherever a setting allows it; what is a bound in the code stays: a lease that nobody settles lasts 95 s.
SETTINGS = {
    "RATE_PROFILE": "bulk",
    "RATE_DELAY_MEAN_MS": "130",
    "RATE_DELAY_JITTER_MS": "30",
    "RATE_BURST_LIMIT": "0",
    "RATE_LIMIT_DELAY_MIN": "100ms",
    "RATE_LIMIT_DELAY_MAX": "130ms",
    "TYPING_DELAY_MIN": "100ms",
    "TYPING_DELAY_MAX": "250ms",
    "BULK_TYPING_DELAY_MIN": "100ms",
    "BULK_TYPING_DELAY_MAX": "250ms",
    "RETRY_BASE_DELAY": "200ms",
    "CIRCUIT_BREAKER_OPEN_TIMEOUT": "1s",
    "CIRCUIT_BREAKER_HALF_OPEN_TIMEOUT": "5s",
    "UNKNOWN_CHECK_DELAY": "1s",
    "UNKNOWN_CHECK_DELAY_MEDIA": "1s",
    "UNKNOWN_REACHABLE_TIME": "1s",
    "WHATSAPP_TEXT_TIMEOUT": f"{TEXT_TIMEOUT}s",
    "WHATSAPP_MEDIA_TIMEOUT": f"{TEXT_TIMEOUT}s",
    "STUCK_MESSAGE_TIMEOUT": f"{TEXT_TIMEOUT + 90}s",
    "REDIS_READ_TIMEOUT": "1s",
    "REDIS_DIAL_TIMEOUT": "1s",
    "BULK_CHUNK_SIZE": "10",
    "SHUTDOWN_GRACE": "5s",
}
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Size:
    """How many there are of each; ``dead_after`` in seconds."""

    dispatchers: int = 4
    schedulers: int = 2
    gateways: int = 2
    accounts: int = 12
    dead_after: int = 10

    def members(self) -> dict[str, int]:
        return {"dispatcher": self.dispatchers, "scheduler": self.schedulers, "gateway": self.gateways, "monitor": 1}


@dataclass(slots=True)
class Member:
    """A service of the whole; ``in_fault`` while one fault has it, so that no second one meets it."""

    name: str
    process: ServiceProcess
    clock: WallClock
    in_fault: bool = False


@dataclass(frozen=True, slots=True)
class Killed:
    """A dispatcher that was killed at ``at`` (Unix seconds), and the messages that it had in hand and not begun."""

    dispatcher: str
    at: float
    waiting: list[str]


@dataclass(slots=True)
class Whole:
    """All that runs. ``in_thread`` is for what blocks: servers must be started by a thread that lives as long as they.
    ``hoards``: what was read by somebody who did nothing else."""

    size: Size
    directory: Path
    valkey: EmbeddedValkey
    postgres: EmbeddedPostgres
    simulator: ServiceProcess
    session: aiohttp.ClientSession
    proxies: dict[str, FaultProxy]
    members: dict[str, Member]
    thread: ThreadPoolExecutor
    kills: Counter[str] = field(default_factory=Counter)
    killed: list[Killed] = field(default_factory=list)
    hoards: list[Killed] = field(default_factory=list)
    postgres_away: list[tuple[float, float]] = field(default_factory=list)
    sender_frozen: list[tuple[float, float]] = field(default_factory=list)

    async def in_thread(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.thread, call, *arguments)

    def of(self, service: str) -> list[Member]:
        return [member for member in self.members.values() if member.name.startswith(service)]

    @property
    def devices(self) -> list[str]:
        return device_names(self.size)

    def endpoint(self, device: str) -> str:
        return endpoint_id(self.proxies["sender"].url, device)

    async def simulate(self, method: str, path: str, content: object = None) -> Any:
        """A call of the simulator's control API, past the proxy."""
        async with self.session.request(method, f"{self.simulator.url}/simulator/{path}", json=content) as response:
            body = orjson.loads(await response.read())
            assert response.status == 200, body
            return body

    async def connect(self) -> asyncpg.Connection:
        """A connection to Postgres past the proxy."""
        return await asyncpg.connect(database_of(self.postgres, QUEUE).dsn, timeout=5, command_timeout=30)

    async def set_read_only(self, wanted: bool) -> None:
        """All sessions of Postgres, old and new, as after a failover that left their server behind."""
        try:
            connection = await self.connect()
        except (OSError, asyncpg.PostgresError, TimeoutError):
            # It died meanwhile; the setting is taken back when everything is healed.
            return
        try:
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute(
                f"alter system {'set default_transaction_read_only = on' if wanted else 'reset default_transaction_read_only'}"
            )
            await connection.execute("select pg_reload_conf()")
        finally:
            await connection.close()

    def redis(self) -> redis.asyncio.Redis:
        """A client past the proxy; close it."""
        return redis.asyncio.Redis(
            host=self.valkey.host,
            port=self.valkey.port,
            password=self.valkey.password,
            decode_responses=True,
            legacy_responses=False,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )

    async def heal(self) -> None:
        """Everything runs and answers again."""
        for proxy in self.proxies.values():
            proxy.heal()
        for server in (self.valkey, self.postgres):
            await self.in_thread(server.resume)
            if not server.process.running:
                await self.in_thread(server.start)
        self.simulator.resume()
        await self.set_read_only(False)
        await heal_refusals(self.redis)
        await self.simulate("PUT", "mood", {"mood": "ok"})
        for member in self.members.values():
            member.clock.move(0)
            member.process.resume()
            if not member.process.process.running:
                member.process.launch()
        await asyncio.gather(*(member.process.ready(60) for member in self.members.values()))

    async def restart_dispatchers(self) -> int:
        """SIGTERM and a new start: what a dispatcher has in hand without knowing it (the reply to its take was lost) comes
        back when it is dead, instead of when its lease ends. Answers how many did not end by themselves."""
        late = 0
        for member in self.of("dispatcher"):
            late += not await self.terminated(member)
            member.process.launch()
        await asyncio.gather(*(member.process.ready(60) for member in self.of("dispatcher")))
        return late

    async def terminated(self, member: Member, grace: float = 40.0) -> bool:
        """SIGTERM, and whether it ended within the grace."""
        try:
            await member.process.stop(grace)
        except RuntimeError:
            return False
        return True


def device_names(size: Size) -> list[str]:
    return [f"account-{number}" for number in range(size.accounts)]


@contextlib.asynccontextmanager
async def running_whole(size: Size, directory: Path, say: Callable[[str], None]) -> Any:
    """Starts everything, gives the Whole, ends everything."""
    async with contextlib.AsyncExitStack() as stack:
        thread = ThreadPoolExecutor(1, "servers")
        stack.callback(thread.shutdown)
        in_thread = asyncio.get_running_loop().run_in_executor
        # With the append-only file a restart brings back (almost) everything, and a copy of it is an older replica.
        valkey = EmbeddedValkey(directory / "valkey", append_only=True)
        postgres = EmbeddedPostgres(directory / "postgres", durable=False)
        stack.callback(postgres.kill)
        stack.callback(valkey.kill)
        await in_thread(thread, valkey.start)
        await in_thread(thread, postgres.start)
        await in_thread(thread, postgres.execute, f"create database {QUEUE}")
        await in_thread(thread, migrate, database_of(postgres, QUEUE))
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), auth=None)
        )
        simulator = ServiceProcess(
            "simulator",
            {},
            directory,
            arguments=(
                *("--listen", "127.0.0.1:{port}", "--devices", ",".join(device_names(size))),
                *("--basic-auth", SENDER_LOGIN, "--latency", "40ms"),
            ),
            ready_path="/health",
        )
        stack.callback(simulator.kill)
        await simulator.start()
        targets = {"redis": valkey.port, "postgres": postgres.port, "sender": simulator.port}
        proxies = {
            name: await stack.enter_async_context(FaultProxy("127.0.0.1", port)) for name, port in targets.items()
        }
        environment = _environment(size, valkey, postgres, proxies)
        members: dict[str, Member] = {}
        for service, count in size.members().items():
            for number in range(count):
                name = f"{service}-{number}"
                clock = WallClock(directory / f"{name}.clock")
                own = {"REDIS_CONSUMER_NAME": name} | clock.environment
                process = ServiceProcess(f"services.{service}", environment | own, directory)
                stack.callback(process.kill)
                process.launch()
                members[name] = Member(name, process, clock)
        await asyncio.gather(*(member.process.ready(60) for member in members.values()))
        say(f"{len(members)} services are ready")
        yield Whole(size, directory, valkey, postgres, simulator, session, proxies, members, thread)


def _environment(
    size: Size, valkey: EmbeddedValkey, postgres: EmbeddedPostgres, proxies: dict[str, FaultProxy]
) -> dict[str, str]:
    database = database_of(postgres, QUEUE).environment | {"DATABASE_PORT": str(proxies["postgres"].port)}
    return (
        SETTINGS
        | database
        | {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(proxies["redis"].port),
            "REDIS_PASSWORD": valkey.password,
            "REDIS_QUEUE_NAME": QUEUE,
            "DISPATCHER_DEAD_AFTER": f"{size.dead_after}s",
            "WHATSAPP_ENDPOINTS": ",".join([proxies["sender"].url] * size.accounts),
            "WHATSAPP_AUTHS": ",".join([SENDER_LOGIN] * size.accounts),
            "WHATSAPP_DEVICE_IDS": ",".join(device_names(size)),
            "DASHBOARD_USERNAME": LOGIN[0],
            "DASHBOARD_PASSWORD": LOGIN[1],
        }
    )


class OlderCopy:
    """The append-only file of a Valkey as it was when this was made, for a failover to a replica that lags behind."""

    def __init__(self, valkey: EmbeddedValkey) -> None:
        self._live = valkey.data_dir / "appendonlydir"
        self._copy = valkey.data_dir / f"older-{time.monotonic_ns()}"
        self._valkey = valkey
        shutil.copytree(self._live, self._copy)

    def take_over(self) -> None:
        """The server dies, and another one with the older data answers on its port."""
        self._valkey.kill()
        shutil.rmtree(self._live)
        self._copy.rename(self._live)
        self._valkey.start()


def take_over_empty(valkey: EmbeddedValkey) -> None:
    """The server dies, and another one without any data answers on its port."""
    valkey.kill()
    shutil.rmtree(valkey.data_dir / "appendonlydir")
    valkey.start()
