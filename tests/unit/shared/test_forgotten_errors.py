"""What nobody waits for any more: an error of Postgres is a line, every other is told as a defect with its trace."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import asyncpg
import pytest
import structlog

from shared.runtime.forgotten_errors import tell_forgotten


async def forgotten(error: BaseException) -> list[str]:
    """The messages with which the loop's own handler told of a future that nobody has asked."""
    loop = asyncio.get_running_loop()
    told: list[str] = []
    loop.default_exception_handler = lambda context: told.append(context["message"])  # type: ignore[method-assign]
    loop.set_exception_handler(tell_forgotten)
    loop.create_future().set_exception(error)
    gc.collect()
    await asyncio.sleep(0)
    return told


@pytest.fixture
def lines() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("the underlying connection is closed"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_connection_that_died_is_told_without_a_trace(
    error: Exception, lines: list[structlog.typing.EventDict]
) -> None:
    assert await forgotten(error) == []
    assert lines == [
        {"event": "nobody waited for an answer of Postgres", "error": type(error).__name__, "log_level": "info"}
    ]


@pytest.mark.parametrize("error", [KeyError("phone"), asyncpg.UndefinedTableError("no such table")])
async def test_any_other_error_stays_a_defect(error: Exception, lines: list[structlog.typing.EventDict]) -> None:
    assert len(await forgotten(error)) == 1
    assert lines == []


async def test_what_is_no_forgotten_future_stays_a_defect(lines: list[structlog.typing.EventDict]) -> None:
    loop = asyncio.get_running_loop()
    told: list[str] = []
    loop.default_exception_handler = lambda context: told.append(context["message"])  # type: ignore[method-assign]
    tell_forgotten(loop, {"message": "Exception in callback", "exception": ConnectionResetError()})
    assert told == ["Exception in callback"]
    assert lines == []
