"""The scheduler as a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp

from shared.database.rebuilding import read_control
from shared.queue.rebuild import epoch_is_current
from tests.integration.scheduler.stage import Stage, until
from tests.servers import StartService


async def test_two_processes_run_the_queue_and_end_at_once(
    start_service: StartService, open_stage: Callable[..., Any]
) -> None:
    stage: Stage = await open_stage()
    single = await stage.message()
    _, members = await stage.campaign(30, 10)
    services = [await start_service("services.scheduler") for _ in range(2)]

    async def all_fed() -> bool:
        return len(await stage.waiting(":bulk")) == 30 and await stage.waiting(":transactional") == [single]

    await until(all_fed)
    assert await stage.waiting(":bulk") == members
    await stage.queue.ask("FLUSHALL")
    await until(all_fed)
    assert await epoch_is_current(stage.queue, (await read_control(stage.database)).epoch)

    async with aiohttp.ClientSession() as session:
        for path in ("/health", "/ready", "/metrics"):
            async with session.get(services[0].url + path) as response:
                assert response.status == 200
                text = await response.text()
        assert "paceline_chunks_fed_total" in text
    for service in services:
        assert await service.stop() == 0
        assert "step failed" not in service.log_text()


async def test_a_wrong_setting_is_named(start_service: StartService) -> None:
    service = await start_service("services.scheduler", wait=False, STUCK_MESSAGE_TIMEOUT="1m")
    assert await service.ended() == 2
    assert "STUCK_MESSAGE_TIMEOUT: at least 270s is wanted" in service.log_text()
