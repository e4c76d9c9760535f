"""What a line of the log is about: it goes with a request wherever that goes, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from shared.observability.log_context import MOST_IDS, Several, add_subject, now_about
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.batching import Batcher
from shared.runtime.forgotten_errors import tell_forgotten

log = structlog.get_logger()


class Asked:
    """A subject called by a number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def log_fields(self) -> Mapping[str, object]:
        return {"asked": self._number, "event_of": "the subject"}

    def ids(self) -> Mapping[str, Sequence[str]]:
        return {"all_asked": [str(self._number)]}


@asynccontextmanager
async def lines() -> AsyncIterator[list[Any]]:
    with capture_logs(processors=[add_subject]) as captured:
        yield captured


async def test_it_goes_along_into_what_is_awaited_into_tasks_and_into_threads() -> None:
    async with lines() as written:

        async def step(what: str) -> None:
            await asyncio.sleep(0)
            log.info(what)

        async def request(number: int) -> None:
            now_about(Asked(number))
            await step("awaited")
            await asyncio.create_task(step("task"))
            await asyncio.to_thread(log.info, "thread")

        await asyncio.gather(request(1), request(2))
        log.info("afterwards")
    for number in (1, 2):
        assert [line["event"] for line in written if line.get("asked") == number] == ["awaited", "task", "thread"]
    assert "asked" not in written[-1]


async def test_what_a_line_says_itself_goes_before() -> None:
    async with lines() as written:
        now_about(Asked(1))
        log.info("said", event_of="the line")
    assert (written[0]["asked"], written[0]["event_of"]) == (1, "the line")


async def submitted(batcher: Batcher[int, int], number: int | None) -> int:
    if number is not None:
        now_about(Asked(number))
    return await batcher.submit(number or 0)


async def test_a_batch_is_about_all_that_is_in_it_and_not_about_who_came_first() -> None:
    async def call(items: Sequence[int]) -> Sequence[int]:
        log.info("written", items=len(items))
        return items

    batcher = Batcher(call)
    async with lines() as written:
        await asyncio.gather(*(submitted(batcher, number) for number in (1, 2, None, 3)))
    assert [(line.get("all_asked"), line.get("asked")) for line in written] == [(["1", "2", "3"], None)]


async def test_a_batch_that_another_left_behind_is_not_about_that_one() -> None:
    """It is started where the one before it ends, which is the callback of a task of the first caller's."""
    go_on = asyncio.Event()

    async def call(items: Sequence[int]) -> Sequence[int]:
        await go_on.wait()
        log.info("written")
        return items

    batcher = Batcher(call)
    async with lines() as written:
        first = asyncio.create_task(submitted(batcher, 1))
        await asyncio.sleep(0)
        second = asyncio.create_task(submitted(batcher, 2))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, second)
    assert [line["all_asked"] for line in written] == [["1"], ["2"]]


async def test_nothing_else_of_the_first_caller_is_in_a_batch() -> None:
    deadline = ContextVar("deadline", default="none")

    async def call(items: Sequence[int]) -> Sequence[str]:
        return [deadline.get() for _ in items]

    batcher = Batcher(call)
    deadline.set("of the first")
    assert await asyncio.gather(batcher.submit(1), batcher.submit(2)) == ["none", "none"]


@pytest.mark.parametrize(("count", "more"), [(MOST_IDS, None), (MOST_IDS + 3, 3)])
def test_a_long_batch_is_told_in_part(count: int, more: int | None) -> None:
    fields = Several([Several([Asked(number)]) for number in range(count)]).log_fields()
    assert fields["all_asked"] == [str(number) for number in range(MOST_IDS)]
    assert fields.get("more_all_asked") == more


async def test_a_loop_is_about_nobody_whoever_started_it() -> None:
    stepped = asyncio.Event()

    async def step() -> None:
        log.info("step")
        stepped.set()

    async with lines() as written:
        now_about(Asked(1))
        async with BackgroundLoop("looking", 60, step).running():
            await stepped.wait()
    assert ["asked" in line for line in written] == [False]


async def test_an_error_that_nobody_waited_for_is_told_of_nobody() -> None:
    async with lines() as written:
        now_about(Asked(1))
        tell_forgotten(
            asyncio.get_running_loop(),
            {"message": "Task exception was never retrieved", "exception": ConnectionResetError()},
        )
        log.info("afterwards")
    assert ["asked" in line for line in written] == [False, True]
