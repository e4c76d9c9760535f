"""What all tests stand on: a migrated database and a clean queue of their own, and processes that are watched."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from standalone.child_process import ChildFailedError
from standalone.embedded_postgres import EmbeddedPostgres
from standalone.embedded_valkey import EmbeddedValkey
from tests.servers import Database, ServiceProcess, StartService, redis_client
from tests.warm_start import WarmProcess, is_warm

seen: list[str] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_migrated_database_of_its_own(
    turn: int, database: Database, postgres_server: EmbeddedPostgres
) -> None:
    assert database.name not in seen
    seen.append(database.name)
    assert postgres_server.execute("SELECT to_regclass('messages')", database.name) == "messages"
    assert postgres_server.execute("SELECT count(*) FROM messages", database.name) == "0"
    assert postgres_server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'test\\_%'") == "1"


@pytest.mark.parametrize("fault", ["pause", "kill"])
def test_a_queue_is_clean_and_its_server_is_brought_back(
    fault: str, queue_name: str, redis_server: EmbeddedValkey
) -> None:
    with redis_client(redis_server) as client:
        assert client.dbsize() == 0
        client.set(f"{{{queue_name}}}:left", "over")
    getattr(redis_server, fault)()


async def test_a_process_that_ends_at_its_start_shows_its_log(tmp_path: Path) -> None:
    process = ServiceProcess("json.tool", {}, tmp_path, arguments=("--no-such-option",))
    with pytest.raises(ChildFailedError, match=r"ended with 2(.|\n)*unrecognized arguments"):
        await process.start()


async def test_a_process_is_ready_when_it_says_so_and_stops_when_asked(start_service: StartService) -> None:
    server = await start_service(
        "http.server", arguments=("{port}", "--bind", "127.0.0.1"), ready_path="/", PYTHONDONTWRITEBYTECODE="1"
    )
    assert "GET / HTTP/1.1" in server.log_text()
    assert await server.stop() == -15
    assert sys.executable in server.process.command


async def test_a_forked_service_is_a_process_of_its_own(start_service: StartService) -> None:
    first, second = await asyncio.gather(start_service("services.monitor"), start_service("services.monitor"))
    for service in (first, second):
        assert isinstance(service.process, WarmProcess)
        assert os.getsid(service.pid) == service.pid
        # Its environment and its log are its own.
        assert f'"port":{service.port}' in service.log_text()
    first.pause()
    assert psutil.Process(first.pid).status() == psutil.STATUS_STOPPED
    first.resume()
    second.kill()
    assert (first.process.running, second.process.exit_code) == (True, -signal.SIGKILL)
    assert await first.stop() == 0


async def test_a_forked_service_that_does_not_start_tells_why(start_service: StartService) -> None:
    service = await start_service("services.monitor", wait=False, MONITOR_PORT="no port")
    assert await service.ended() == 2
    assert "MONITOR_PORT" in service.log_text()


def test_what_asks_for_another_interpreter_is_not_forked() -> None:
    assert is_warm("services.monitor", {"PATH": "/bin", "PYTHONUNBUFFERED": "1"})
    assert not is_warm("services.monitor", {"PYTHONPATH": "elsewhere"})
    assert not is_warm("services.monitor", {"LD_PRELOAD": "faketime.so"})
    assert not is_warm("json.tool", {})
