"""What was in hand for too long never reaches the gate: somebody else may have been given it meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from services.dispatcher import delivering
from services.dispatcher.app import build_app
from services.dispatcher.settings import DispatcherSettings
from tests.integration.dispatcher.stage import LOGIN, NO_PACE, Stage, eventually


@asynccontextmanager
async def dispatcher_of_this_process(environment: dict[str, str]) -> AsyncIterator[None]:
    """A whole dispatcher, whose constants the test can reach."""
    settings = DispatcherSettings(**{name.lower(): value for name, value in environment.items()})  # type: ignore[arg-type]
    server = TestServer(build_app(settings))
    await server.start_server()
    try:
        yield
    finally:
        await server.close()


async def test_what_was_in_hand_for_too_long_is_put_back(
    stage: Stage, service_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if its typing and its file had taken 75 seconds.
    monkeypatch.setattr(delivering, "HOLD_LIMIT", 0.0)
    await stage.build("a")
    message = await stage.send()
    own = {
        "WHATSAPP_ENDPOINTS": stage.sender.url,
        "WHATSAPP_AUTHS": LOGIN,
        "WHATSAPP_DEVICE_IDS": "a",
        "FILE_STORAGE_ROOT": str(tmp_path),
        "DRAIN_TIME": "0",
        "TYPING_DELAY_MIN": "100ms",
        "TYPING_DELAY_MAX": "100ms",
    }
    async with dispatcher_of_this_process(service_environment | NO_PACE | own):

        async def taken_three_times() -> bool:
            return (await stage.sender.typing()).count("stop") >= 3

        await eventually(taken_three_times, "the third assignment")
        assert await stage.sender.sends() == []
        row = await stage.row(message)
        assert (row["status"], row["attempt"], row["token"]) == ("queued", 0, None)
        assert await stage.store.fetchval("select count(*) from open_attempts") == 0
        # The next one is as quick as usual.
        monkeypatch.undo()
        await stage.ended(message)
        assert await stage.attempts(message) == [(1, "a", "sent")]
        await stage.nothing_left()
    assert len(await stage.sender.sends()) == 1
