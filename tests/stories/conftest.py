"""The whole of Paceline as a user has it: four services as processes, real servers, accounts that are simulated."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest

from shared.endpoints.identity import endpoint_id
from tests.servers import ServiceProcess, StartService

DEADLINE = 60.0  # seconds until a fact must have come true; most do within one

# A pace that lets a story of hundreds of messages end in seconds, with every rule still in force.
QUICK = {
    "RATE_PROFILE": "bulk",
    "RATE_DELAY_MEAN_MS": "30",
    "RATE_DELAY_JITTER_MS": "10",
    "RATE_BURST_LIMIT": "0",
    "RATE_LIMIT_DELAY_MIN": "10ms",
    "RATE_LIMIT_DELAY_MAX": "20ms",
    "TYPING_DELAY_MIN": "10ms",
    "TYPING_DELAY_MAX": "20ms",
    "BULK_TYPING_DELAY_MIN": "10ms",
    "BULK_TYPING_DELAY_MAX": "20ms",
    "RETRY_BASE_DELAY": "200ms",
    "CIRCUIT_BREAKER_OPEN_TIMEOUT": "1s",
    "CIRCUIT_BREAKER_HALF_OPEN_TIMEOUT": "5s",
    "UNKNOWN_CHECK_DELAY": "1s",
    "UNKNOWN_CHECK_DELAY_MEDIA": "1s",
    "UNKNOWN_REACHABLE_TIME": "1s",
    "WHATSAPP_TEXT_TIMEOUT": "5s",
    "WHATSAPP_MEDIA_TIMEOUT": "10s",
}


async def until(fact: Callable[[], Awaitable[Any]], what: str, deadline: float = DEADLINE) -> Any:
    """Waits until ``fact`` answers something true, and returns it. Raises AssertionError naming ``what``."""
    end = time.monotonic() + deadline
    while True:
        found = await fact()
        if found:
            return found
        assert time.monotonic() < end, f"not within {deadline:.0f} s: {what}"
        await asyncio.sleep(0.05)


@dataclass
class Paceline:
    """The running whole, and what a client and an operator can ask of it."""

    start: StartService
    session: aiohttp.ClientSession
    simulator: ServiceProcess
    gateway: ServiceProcess
    monitor: ServiceProcess
    scheduler: ServiceProcess
    devices: list[str]
    dispatchers: list[ServiceProcess] = field(default_factory=list)

    async def call(self, method: str, path: str, expect: int = 200, **options: Any) -> Any:
        """A call of the API; answers ``results``. Raises AssertionError with the answer when its status is another."""
        service = (
            self.monitor if path.startswith(("/api/statistics", "/api/endpoints/stats", "/health")) else self.gateway
        )
        async with self.session.request(method, service.url + path, **options) as response:
            body = orjson.loads(await response.read())
            assert response.status == expect, f"{method} {path}: {response.status} {body}"
            return body.get("results")

    async def health(self) -> dict[str, Any]:
        """The health of the whole, whatever its HTTP status."""
        async with self.session.get(self.monitor.url + "/health") as response:
            found: dict[str, Any] = orjson.loads(await response.read())
            return found

    async def message(self, message: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/api/messages/{message}")
        return found

    async def message_in(self, message: str, *statuses: str) -> dict[str, Any]:
        """The message, as soon as it is in one of the statuses."""

        async def there() -> dict[str, Any] | None:
            found = await self.message(message)
            return found if found["status"] in statuses else None

        found: dict[str, Any] = await until(there, f"message {statuses}")
        return found

    async def campaign(self, token: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/api/campaigns/{token}")
        return found

    async def campaign_in(self, token: str, *statuses: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await self.campaign(token)
            return found if found["status"] in statuses else None

        found: dict[str, Any] = await until(there, f"campaign {statuses}")
        return found

    async def messages_of(self, token: str, status: str = "") -> list[dict[str, Any]]:
        """All messages of a campaign, page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            parameters = (
                {"limit": "500"} | ({"status": status} if status else {}) | ({"cursor": cursor} if cursor else {})
            )
            page = await self.call("GET", f"/api/campaigns/{token}/messages", params=parameters)
            found += page["messages"]
            cursor = page["next_cursor"]
            if not cursor:
                return found

    async def message_of_campaign(self, token: str, status: str) -> dict[str, Any]:
        """A message of the campaign in this status, as soon as there is one."""

        async def there() -> dict[str, Any] | None:
            found = await self.messages_of(token, status)
            return found[0] if found else None

        found: dict[str, Any] = await until(there, f"a message {status}")
        return found

    async def simulate(self, method: str, path: str, **options: Any) -> Any:
        """A call of the simulator's control API."""
        async with self.session.request(method, f"{self.simulator.url}/simulator/{path}", **options) as response:
            body = orjson.loads(await response.read())
            assert response.status == 200, body
            return body

    async def sends(self) -> list[dict[str, Any]]:
        """What arrived at the accounts, presence left out."""
        lines: list[dict[str, Any]] = (await self.simulate("GET", "ledger"))["entries"]
        return [line for line in lines if line["kind"] not in ("chat-presence", "presence")]

    def endpoint(self, device: str) -> str:
        return endpoint_id(self.simulator.url, device)

    async def endpoint_figures(self, device: str) -> dict[str, Any]:
        endpoints = (await self.call("GET", "/api/endpoints/stats"))["endpoints"]
        return next(line for line in endpoints if line["id"] == self.endpoint(device))

    async def breaker_is(self, device: str, state: str) -> None:
        """Waits until the account's breaker is in this state, as the monitor tells it."""

        async def is_so() -> bool:
            return bool((await self.endpoint_figures(device))["circuit_breaker"]["state"] == state)

        await until(is_so, f"the breaker of {device} is {state}")

    async def account_closes(self, device: str) -> None:
        """Sends texts until the breaker of the account has closed again, as its trials succeed."""
        number = 0

        async def closed() -> bool:
            nonlocal number
            number += 1
            body = {"phone": f"1555011{number:04d}", "message": f"trial {number}"}
            await self.call("POST", "/api/send/message", 202, json=body)
            return bool((await self.endpoint_figures(device))["circuit_breaker"]["state"] == "closed")

        await until(closed, f"the breaker of {device} closes")

    async def add_dispatcher(self, **settings: str) -> ServiceProcess:
        dispatcher = await self.start("services.dispatcher", **settings)
        self.dispatchers.append(dispatcher)
        return dispatcher

    async def judge(self, allowed_doubles: int = 0) -> None:
        """What must hold in every story: nothing malformed, nothing doubled, one message in flight per account."""
        summary = await self.simulate("GET", "summary")
        malformed = [line["malformed"] for line in await self.sends() if line["malformed"]]
        assert summary["malformed"] == 0, malformed[:3]
        assert summary["doubles"] <= allowed_doubles, summary["double_lines"][:3]
        assert summary["max_in_flight"] <= 1


def phones(count: int, first: int = 0) -> list[str]:
    """Numbers of a range that is nobody's."""
    return [f"1555010{number:04d}" for number in range(first, first + count)]


def statuses(messages: list[dict[str, Any]]) -> Counter[str]:
    return Counter(message["status"] for message in messages)


@pytest.fixture
async def paceline(
    start_service: StartService, service_environment: dict[str, str]
) -> AsyncIterator[Callable[..., Awaitable[Paceline]]]:
    """``await paceline(devices=3, dispatchers=2, SETTING="value")`` starts the whole."""
    sessions: list[aiohttp.ClientSession] = []

    async def start(
        devices: int = 3,
        dispatchers: int = 1,
        latency: str = "20ms",
        sender_login: str = "user:password",
        **settings: str,
    ) -> Paceline:
        names = [f"account-{number}" for number in range(1, devices + 1)]
        simulator = await start_service(
            "simulator",
            arguments=(
                *("--listen", "127.0.0.1:{port}", "--devices", ",".join(names)),
                *("--basic-auth", sender_login, "--latency", latency),
            ),
            ready_path="/health",
        )
        service_environment.update(QUICK | settings)
        service_environment["WHATSAPP_ENDPOINTS"] = ",".join([simulator.url] * devices)
        service_environment["WHATSAPP_AUTHS"] = ",".join([sender_login] * devices)
        service_environment["WHATSAPP_DEVICE_IDS"] = ",".join(names)
        gateway, monitor, scheduler = await asyncio.gather(
            start_service("services.gateway"), start_service("services.monitor"), start_service("services.scheduler")
        )
        session = aiohttp.ClientSession(
            headers={
                "Authorization": aiohttp.encode_basic_auth(
                    service_environment["DASHBOARD_USERNAME"], service_environment["DASHBOARD_PASSWORD"]
                )
            }
        )
        sessions.append(session)
        whole = Paceline(start_service, session, simulator, gateway, monitor, scheduler, names)
        await asyncio.gather(*(whole.add_dispatcher() for _ in range(dispatchers)))
        return whole

    yield start
    for session in sessions:
        await session.close()
