"""Every service is replaced by its next version, one process after the other, while clients send through the real edge.

As in Kubernetes: the migrations of the next version run first; a new process is started and becomes ready; then its
predecessor gets SIGTERM and has the grace time of ``docker-compose.yml``. Clients keep their connections and repeat nothing,
so whatever goes wrong at the edge is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import durationpy
import orjson
import redis.asyncio

from standalone.binaries import caddy
from standalone.child_process import ChildProcess
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from standalone.ports import free_port, is_free
from tests.chaos.judgement import leftovers, open_work
from tests.chaos.next_version import make_next_version
from tests.chaos.running_whole import LOGIN, QUEUE, SENDER_LOGIN
from tests.contracts.deploy.manifests import compose
from tests.servers import ROOT, ServiceProcess, base_environment, database_of, migrate

ORDER = ("gateway", "scheduler", "monitor", "dispatcher")
"""The worst one: writers of a new version's entries before anybody who can read them."""
REPLICAS = {"gateway": 2, "scheduler": 2, "monitor": 2, "dispatcher": 2}
CAMPAIGN = 400
_NEWCOMER = "account-new"
"""An account that the settings of the next version name and those of the old do not."""
_REST = 120.0
"""Seconds until nothing may be open any more."""

SETTINGS = {
    "RATE_PROFILE": "bulk",
    "RATE_DELAY_MEAN_MS": "250",
    "RATE_DELAY_JITTER_MS": "50",
    "RATE_BURST_LIMIT": "0",
    "RATE_LIMIT_DELAY_MIN": "20ms",
    "RATE_LIMIT_DELAY_MAX": "40ms",
    "TYPING_DELAY_MIN": "100ms",
    "TYPING_DELAY_MAX": "200ms",
    "BULK_TYPING_DELAY_MIN": "100ms",
    "BULK_TYPING_DELAY_MAX": "200ms",
    "DISPATCHER_DEAD_AFTER": "10s",
    "BULK_CHUNK_SIZE": "50",
    "REDIS_QUEUE_NAME": QUEUE,
    "DASHBOARD_USERNAME": LOGIN[0],
    "DASHBOARD_PASSWORD": LOGIN[1],
    # Longer than the edge keeps an idle connection; what the services have by themselves.
    "DRAIN_TIME": "5s",
}


@dataclass(slots=True)
class Load:
    """What clients saw in so many ``seconds``. ``phones``: of all messages that were accepted."""

    requests: int = 0
    server_errors: list[str] = field(default_factory=list)
    connection_errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0
    phones: list[str] = field(default_factory=list)
    campaigns: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stopped:
    """A process that was replaced: seconds from SIGTERM to its end, and its exit code (None: it was killed)."""

    service: str
    seconds: float
    exit_code: int | None


@dataclass(slots=True)
class Outcome:
    """``wrong``: sentences about what must not be, none where all is well. ``by_newcomer``: sends of the account that only
    the next version knows."""

    load: Load
    stopped: list[Stopped]
    wrong: list[str]
    by_newcomer: int


class Deployment:
    """The servers, the edge, and the processes of both versions."""

    def __init__(
        self, directory: Path, accounts: int, clients: int, say: Callable[[str], None], rest: float = 0.25
    ) -> None:
        """``rest``: seconds that a client waits before it begins anew."""
        self._directory = directory
        self._devices = [f"account-{number}" for number in range(accounts)]
        self._clients = clients
        self._rest = rest
        self._say = say
        self._thread = ThreadPoolExecutor(1, "servers")
        self._numbers = count()
        self._ending = asyncio.Event()
        self._processes: list[ServiceProcess] = []
        self._running: dict[str, list[ServiceProcess]] = {}
        self.load = Load()
        self.stopped: list[Stopped] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Deployment]:
        """The old version runs behind the edge while this is open."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._thread.shutdown)
            await self._start_servers(stack)
            free = iter(_lasting_ports())
            ports = {service: [next(free) for _ in range(2 * REPLICAS[service])] for service in ORDER}
            self._ports = {service: iter(numbers) for service, numbers in ports.items()}
            self._next = await asyncio.to_thread(make_next_version, self._directory / "next")
            await self._start_edge(stack, ports)
            stack.callback(self._kill)
            for service in ORDER:
                self._running[service] = [self._launched(service, ROOT) for _ in range(REPLICAS[service])]
            await asyncio.gather(*(process.ready(60) for process in self._processes))
            timeout = aiohttp.ClientTimeout(total=30)
            login = {"Authorization": aiohttp.encode_basic_auth(*LOGIN)}
            self._session = await stack.enter_async_context(
                aiohttp.ClientSession(self._edge_url, headers=login, timeout=timeout)
            )
            self._say("the old version is ready")
            yield self

    async def roll_out(self) -> Outcome:
        """Replaces everything under load, lets it come to rest, and judges."""
        async with self._offering():
            await self._warm()
            await asyncio.to_thread(migrate, self._database, self._next)
            for service in ORDER:
                for _ in range(REPLICAS[service]):
                    await self._replace(service)
            # What comes now, the next version alone has to do with.
            await self._warm()
        return await self._judged()

    async def _start_servers(self, stack: contextlib.AsyncExitStack) -> None:
        in_thread = asyncio.get_running_loop().run_in_executor
        self._valkey = EmbeddedValkey(self._directory / "valkey")
        self._postgres = EmbeddedPostgres(self._directory / "postgres", durable=False)
        stack.callback(self._postgres.kill)
        stack.callback(self._valkey.kill)
        await in_thread(self._thread, self._valkey.start)
        await in_thread(self._thread, self._postgres.start)
        await in_thread(self._thread, self._postgres.execute, f"create database {QUEUE}")
        self._database = database_of(self._postgres, QUEUE)
        await asyncio.to_thread(migrate, self._database)
        self._simulator = ServiceProcess(
            "simulator",
            {},
            self._directory,
            arguments=(
                *("--listen", "127.0.0.1:{port}", "--devices", ",".join([*self._devices, _NEWCOMER])),
                *("--basic-auth", SENDER_LOGIN, "--latency", "150ms"),
            ),
            ready_path="/health",
        )
        stack.callback(self._simulator.kill)
        await self._simulator.start()

    async def _start_edge(self, stack: contextlib.AsyncExitStack, ports: dict[str, list[int]]) -> None:
        """The edge knows the addresses of both versions from the start, as a name that leads to all of them would."""
        port = free_port()
        self._edge_url = f"http://127.0.0.1:{port}"
        home = str(self._directory / "caddy")
        edge = ChildProcess(
            "edge",
            [caddy(), "run", "--config", ROOT / "deploy" / "Caddyfile", "--adapter", "caddyfile"],
            log=self._directory / "edge.log",
            environment=base_environment()
            | {
                "EDGE_ADDRESS": f"http://:{port}",
                "EDGE_BIND": "127.0.0.1",
                "GATEWAY_ADDRESS": " ".join(f"127.0.0.1:{number}" for number in ports["gateway"]),
                "MONITOR_ADDRESS": " ".join(f"127.0.0.1:{number}" for number in ports["monitor"]),
                "XDG_CONFIG_HOME": home,
                "XDG_DATA_HOME": home,
            },
        )
        # Started by the thread that lives as long as it, since it dies with its parent thread.
        await asyncio.get_running_loop().run_in_executor(self._thread, edge.start)
        stack.callback(edge.kill)

    def _launched(self, service: str, root: Path) -> ServiceProcess:
        devices = self._devices if root == ROOT else [*self._devices, _NEWCOMER]
        environment = (
            SETTINGS
            | self._database.environment
            | {
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(self._valkey.port),
                "REDIS_PASSWORD": self._valkey.password,
                "WHATSAPP_ENDPOINTS": ",".join([self._simulator.url] * len(devices)),
                "WHATSAPP_AUTHS": ",".join([SENDER_LOGIN] * len(devices)),
                "WHATSAPP_DEVICE_IDS": ",".join(devices),
            }
        )
        process = ServiceProcess(
            f"services.{service}", environment, self._directory, port=next(self._ports[service]), root=root
        )
        process.launch()
        self._processes.append(process)
        return process

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()

    async def _replace(self, service: str) -> None:
        successor = self._launched(service, self._next)
        await successor.ready(60)
        old = self._running[service].pop(0)
        grace: float = durationpy.from_str(compose()["services"][service]["stop_grace_period"]).total_seconds()
        begun = time.monotonic()
        old.process.send(signal.SIGTERM)
        try:
            code: int | None = await old.ended(grace)
        except RuntimeError:
            code = None
        self.stopped.append(Stopped(service, time.monotonic() - begun, code))
        self._say(f"{service} replaced; the old one ended with {code} after {self.stopped[-1].seconds:.1f} s")

    @contextlib.asynccontextmanager
    async def _offering(self) -> AsyncIterator[None]:
        begun = time.monotonic()
        tasks = [asyncio.create_task(self._client()) for _ in range(self._clients)]
        tasks.append(asyncio.create_task(self._campaigns()))
        try:
            yield
        finally:
            self._ending.set()
            await asyncio.gather(*tasks)
            self.load.seconds = time.monotonic() - begun

    async def _warm(self) -> None:
        """Waits until every client has got some answers."""
        wanted = self.load.requests + 10 * self._clients
        while self.load.requests < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _client(self) -> None:
        """Sends a text, looks it up, looks at the statistics, and begins anew as soon as it has the answers."""
        while not self._ending.is_set():
            [phone] = self._phones(1)
            body = {"phone": phone, "message": f"text {phone}", "on_unknown": "hold"}
            results = await self._call(
                "POST", "/api/send/message", json=body, headers={"Idempotency-Key": f"request-{phone}"}
            )
            if results is not None:
                self.load.phones.append(phone)
                await self._call("GET", f"/api/messages/{results['message_id']}")
            await self._call("GET", "/api/statistics")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._rest)

    async def _campaigns(self) -> None:
        """One campaign runs all the time: the next begins when the last is nearly done."""
        while not self._ending.is_set():
            phones = self._phones(CAMPAIGN)
            results = await self._call("POST", "/api/send/message", json={"phone": phones, "message": "to all"})
            if results is None:
                continue
            self.load.phones += phones
            token = results["campaign_token"]
            self.load.campaigns.append(token)
            while not self._ending.is_set():
                seen = await self._call("GET", f"/api/campaigns/{token}")
                if seen is not None and seen["counts"]["sent"] > CAMPAIGN * 3 // 4:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), 0.5)

    def _phones(self, size: int) -> list[str]:
        return [f"1555{next(self._numbers):07d}" for _ in range(size)]

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        """The results; None where there was no success."""
        self.load.requests += 1
        begun = time.monotonic()
        try:
            async with self._session.request(method, path, **options) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.load.connection_errors.append(f"{_now()} {method} {path}: {error!r}")
            return None
        finally:
            self.load.slowest = max(self.load.slowest, time.monotonic() - begun)
        if response.status >= 500:
            self.load.server_errors.append(f"{_now()} {method} {path}: {response.status} {body[:200]!r}")
            return None
        if response.status >= 400:
            self.load.refused.append(f"{method} {path}: {response.status} {body[:200]!r}")
            return None
        return orjson.loads(body)["results"]

    async def _judged(self) -> Outcome:
        connection = await asyncpg.connect(self._database.dsn)
        client = redis.asyncio.Redis(
            host=self._valkey.host,
            port=self._valkey.port,
            password=self._valkey.password,
            decode_responses=True,
            legacy_responses=False,
        )
        try:
            end = time.monotonic() + _REST
            while (left := await open_work(connection) | await leftovers(client)) and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            rows = await connection.fetch(
                "select id, phone_key, status, crashes, possible_duplicate from messages where status <> 'sent'"
                " or crashes > 0 or possible_duplicate"
            )
            accepted = {row["phone_key"] for row in await connection.fetch("select phone_key from messages")}
        finally:
            await client.aclose()
            await connection.close()
        async with self._session.get(f"{self._simulator.url}/simulator/ledger") as response:
            lines = orjson.loads(await response.read())["entries"]
        sends = [line for line in lines if "presence" not in line["kind"]]
        taken: dict[str, int] = {}
        for line in sends:
            phone = line["phone"].partition("@")[0]
            taken[phone] = taken.get(phone, 0) + bool(line["taken"])
        wrong = [f"{name} left over: {number}" for name, number in left.items()]
        wrong += [f"message {row['id']} is {dict(row)}" for row in rows]
        wrong += [f"accepted and not there: {phone}" for phone in self.load.phones if phone not in accepted]
        wrong += [f"lost: {phone}" for phone in self.load.phones if not taken.get(phone)]
        wrong += [f"doubled: {phone}, {number} times" for phone, number in taken.items() if number > 1]
        wrong += list(self._errors_logged())
        return Outcome(self.load, self.stopped, wrong, sum(line["device"] == _NEWCOMER for line in sends))

    def _errors_logged(self) -> Iterator[str]:
        """What a service logged with a trace: there is nothing in a rollout that it should not know."""
        for process in self._processes:
            for line in process.log_text().splitlines():
                if '"exception":' in line:
                    entry = orjson.loads(line)
                    last = (entry["exception"].strip().splitlines() or [""])[-1]
                    yield f"{process.name}: {entry['event']}: {last[:200]}"


def _lasting_ports() -> list[int]:
    """Many, below those that the kernel gives to outgoing connections: some are listened on a minute from now only."""
    return [port for port in random.sample(range(20_000, 32_000), 200) if is_free(port)]


def _now() -> str:
    """To find what the logs say of that moment."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
