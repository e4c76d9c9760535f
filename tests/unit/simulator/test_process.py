"""The real program: it says where it listens, reads its environment, and ends cleanly although a client hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from simulator.settings import read_settings, seconds

from .conftest import PHONE, until


@asynccontextmanager
async def running(*arguments: str, **environment: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The program and its address; killed when the test is over."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode()
        yield process, ready.removeprefix("simulator ready on ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_and_stops(number: signal.Signals) -> None:
    arguments = ("--listen", "127.0.0.1:0", "--devices", "sales-1,sales-2", "--latency", "0", "--mood", "sales-1=hang")
    async with running(*arguments, SIMULATOR_BASIC_AUTH="user:pass") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        login = {"Authorization": aiohttp.encode_basic_auth("user", "pass")}
        async with aiohttp.ClientSession(address, headers=login) as session:
            body = {"phone": PHONE, "message": "hello"}
            async with session.post("/send/message", json=body, headers={"X-Device-Id": "sales-2"}) as response:
                assert response.status == 200
            hanging = asyncio.create_task(
                session.post("/send/message", json=body, headers={"X-Device-Id": "sales-1"})  # type: ignore[arg-type]
            )

            async def has_arrived() -> bool:
                async with session.get("/simulator/summary") as summary:
                    return bool((await summary.json())["pending"])

            await until(has_arrived)
            process.send_signal(number)
            assert await process.wait() == 0
            with pytest.raises(aiohttp.ClientConnectionError):
                await hanging
        assert process.stdout is not None
        assert await process.stdout.read() == b""


@pytest.mark.parametrize("mood", ["sales-1=angry", "sales-9=500", "sales-1=slow:later"])
async def test_a_mood_that_makes_no_sense_stops_it_at_start(mood: str) -> None:
    async with running("--listen", "127.0.0.1:0", "--devices", "sales-1", "--mood", mood) as (process, said):
        assert await process.wait() == 1
        assert said.startswith("simulator: ")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_DEVICES", "a,b")
    monkeypatch.setenv("SIMULATOR_LATENCY", "2s")
    monkeypatch.setenv("SIMULATOR_MOOD", "a=500,b=slow:1s")
    settings = read_settings(["--latency", "20ms"])
    assert (settings.devices, settings.latency, settings.moods) == (("a", "b"), 0.02, ("a=500", "b=slow:1s"))


@pytest.mark.parametrize(
    "arguments",
    [("--devices", ""), ("--devices", "a,a"), ("--basic-auth", "nobody"), ("--latency", "5"), ("--listen", "here")],
)
def test_settings_that_make_no_sense_exit(arguments: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(arguments)


@pytest.mark.parametrize(("text", "value"), [("50ms", 0.05), ("2s", 2.0), ("1.5m", 90.0), ("0", 0.0)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value
