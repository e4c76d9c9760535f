"""The stage: settings with two endpoints where nobody listens, no pauses, an empty Redis and a migrated database; or
with a simulated account that answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from services.scheduler.app import scheduler_database
from services.scheduler.settings import SchedulerSettings
from shared.endpoints.gowa import new_session
from shared.queue.connection import QueueConnection
from tests.integration.scheduler.stage import Stage
from tests.servers import ServiceProcess, StartService

MakeSettings = Callable[..., SchedulerSettings]


@pytest.fixture
def make_settings(service_environment: dict[str, str]) -> MakeSettings:
    """Settings of the test's servers; further ones by their names in lower case."""

    def make(**changes: Any) -> SchedulerSettings:
        values: dict[str, Any] = {
            **{name.lower(): value for name, value in service_environment.items()},
            "whatsapp_endpoints": "http://127.0.0.1:9,http://127.0.0.1:10",
            "whatsapp_auths": "user:password,user:password",
            "rate_limit_delay_min": "0",
            "rate_limit_delay_max": "0",
            "natural_break_interval": 0,
        }
        return SchedulerSettings(**(values | changes))

    return make


@pytest.fixture
async def open_stage(make_settings: MakeSettings) -> AsyncIterator[Callable[..., Any]]:
    """Opens a stage with settings of its own; Redis has not been built."""
    opened: list[Stage] = []

    async def start(**changes: Any) -> Stage:
        settings = make_settings(**changes)
        database = await scheduler_database(settings, "test").open()
        stage = Stage(settings, QueueConnection(settings), database)
        opened.append(stage)
        return stage

    yield start
    for stage in opened:
        await stage.queue.close()
        await stage.database.close()


@pytest.fixture
async def stage(open_stage: Callable[..., Any]) -> Stage:
    """A stage whose Redis holds the current epoch."""
    stage: Stage = await open_stage()
    await stage.rebuilder().step()
    return stage


@pytest.fixture
async def simulator(start_service: StartService) -> ServiceProcess:
    """One account, "sales-1", that answers and stores at once."""
    return await start_service(
        "simulator",
        arguments=("--listen", "127.0.0.1:{port}", "--devices", "sales-1", "--latency", "0", "--storage-delay", "0"),
        ready_path="/simulator/devices",
    )


@pytest.fixture
async def simulated_stage(open_stage: Callable[..., Any], simulator: ServiceProcess) -> Stage:
    """A stage of which the simulator is the only account."""
    stage: Stage = await open_stage(whatsapp_endpoints=simulator.url, whatsapp_auths="user:password")
    await stage.rebuilder().step()
    return stage


@pytest.fixture
async def session(simulated_stage: Stage) -> AsyncIterator[aiohttp.ClientSession]:
    """For asking accounts, as a scheduler has it."""
    async with new_session(simulated_stage.settings) as session:
        yield session
