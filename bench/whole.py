"""All four services as processes beside real servers and a sender, for measurements of what they do together."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import asyncpg
import orjson

from bench.running import Servers, Stores, listening, process, servers
from shared.queue.connection import QueueConnection
from standalone.ports import free_port
from tests.servers import ServiceProcess

_LOGIN = ("bench", secrets.token_urlsafe(16))
_SENDER_LOGIN = "bench:sender"
_ACCEPTING = 32
"""Single sends on their way to the gateway at once."""


@dataclass(slots=True)
class Whole:
    """``devices``: the accounts' ids. Phones are used once, so that each stands for its message."""

    servers: Servers
    database: asyncpg.Pool
    queue: QueueConnection
    sender_url: str
    devices: list[str]
    settings: dict[str, str]
    session: aiohttp.ClientSession
    services: dict[str, list[ServiceProcess]] = field(default_factory=lambda: defaultdict(list))
    _numbers: Iterable[int] = field(default_factory=count)

    async def start(self, service: str, number: int = 1, **settings: str) -> None:
        """Starts so many of a service and returns when they are ready."""
        environment = self.servers.environment | {
            "WHATSAPP_ENDPOINTS": ",".join([self.sender_url] * len(self.devices)),
            "WHATSAPP_AUTHS": ",".join([_SENDER_LOGIN] * len(self.devices)),
            "WHATSAPP_DEVICE_IDS": ",".join(self.devices),
            "DASHBOARD_USERNAME": _LOGIN[0],
            "DASHBOARD_PASSWORD": _LOGIN[1],
        }
        started = []
        for _ in range(number):
            name = f"{service}{len(self.services[service])}"
            own = {"REDIS_CONSUMER_NAME": name}
            one = ServiceProcess(
                f"services.{service}", environment | self.settings | settings | own, self.servers.folder
            )
            one.launch()
            self.services[service].append(one)
            started.append(one)
        await asyncio.gather(*(one.ready(60) for one in started))

    def kill(self) -> None:
        for group in self.services.values():
            for one in group:
                one.kill()

    async def stop(self, service: str) -> None:
        """SIGTERM for all of a service; returns when they have ended."""
        for one in self.services[service]:
            one.process.send(signal.SIGTERM)
        for one in self.services.pop(service):
            await one.ended(60)

    def phones(self, number: int) -> list[str]:
        numbers = iter(self._numbers)
        return [f"1555{next(numbers):07d}" for _ in range(number)]

    async def accept_campaign(self, phones: Sequence[str]) -> str:
        """Its token. Raises RuntimeError when it is not accepted."""
        results = await self._post({"phone": list(phones), "message": "to all"})
        return str(results["campaign_token"])

    async def accept_texts(self, phones: Sequence[str]) -> None:
        """Single sends, one to each. Raises RuntimeError when one is not accepted."""
        left = iter(phones)

        async def lane() -> None:
            for phone in left:
                await self._post({"phone": phone, "message": f"to {phone}"})

        await asyncio.gather(*(lane() for _ in range(_ACCEPTING)))

    async def _post(self, body: dict[str, object]) -> Any:
        gateway = self.services["gateway"][0]
        async with self.session.post(f"{gateway.url}/api/send/message", json=body) as response:
            answer = await response.read()
            if response.status != 202:
                raise RuntimeError(f"the gateway answered {response.status}: {answer[:300]!r}")
            return orjson.loads(answer)["results"]

    async def ledger(self) -> list[dict[str, Any]]:
        """What has arrived at the simulated accounts, presence left out, in order of arrival."""
        async with self.session.get(f"{self.sender_url}/simulator/ledger") as response:
            lines: list[dict[str, Any]] = orjson.loads(await response.read())["entries"]
        return [line for line in lines if "presence" not in line["kind"]]

    async def answered(self) -> int:
        """Sends that the living dispatchers have had an answer to, by their own metrics."""
        total = 0
        for dispatcher in self.services["dispatcher"]:
            async with self.session.get(f"{dispatcher.url}/metrics") as response:
                text = await response.text()
            total += sum(
                int(float(number)) for number in re.findall(r"^paceline_answer_seconds_count\{.* (\S+)$", text, re.M)
            )
        return total

    async def open(self) -> int:
        """Messages that have not ended."""
        return int(
            await self.database.fetchval(
                "select count(*) from messages where status in ('queued', 'sending', 'retrying')", timeout=60
            )
        )


@asynccontextmanager
async def whole(
    accounts: int,
    settings: Mapping[str, str],
    simulated: bool = True,
    latency: str = "20ms",
    append_only: bool = False,
) -> AsyncIterator[Whole]:
    """Servers and a sender; services are started by ``Whole.start``. ``simulated`` False: a sender without a ledger that
    answers at once."""
    devices = [f"account-{number}" for number in range(accounts)]
    async with AsyncExitStack() as stack:
        running = stack.enter_context(servers(append_only=append_only, cores=set()))
        if simulated:
            simulator = ServiceProcess(
                "simulator",
                {},
                running.folder,
                arguments=(
                    *("--listen", "127.0.0.1:{port}", "--devices", ",".join(devices)),
                    *("--basic-auth", _SENDER_LOGIN, "--latency", latency),
                ),
                ready_path="/health",
            )
            stack.callback(simulator.kill)
            await simulator.start()
            url = simulator.url
        else:
            port = free_port()
            stack.enter_context(process("bench.raw.answering_stub", str(port), cores=set()))
            await listening(port)
            url = f"http://127.0.0.1:{port}"
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                headers={"Authorization": aiohttp.encode_basic_auth(*_LOGIN)}, timeout=aiohttp.ClientTimeout(total=120)
            )
        )
        queue = QueueConnection(Stores())
        stack.push_async_callback(queue.close)
        postgres = running.postgres
        database = await asyncpg.create_pool(
            host=postgres.host, port=postgres.port, user=postgres.user, password=postgres.password, database="postgres",
            min_size=1, max_size=2,
        )  # fmt: skip
        stack.push_async_callback(database.close)
        one = Whole(running, database, queue, url, devices, {"LOG_LEVEL": "warning", **settings}, session)
        stack.callback(one.kill)
        yield one
