"""Many callers, few calls: order, errors, limits, and no timer that a lone caller would wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.errors import DatabaseUnavailable
from shared.runtime.batching import Batcher


class Doubling:
    """Answers twice each number, when `gate` is open; notes the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if 13 in items:
            raise DatabaseUnavailable("unlucky")
        return [2 * item for item in items]


async def test_a_lone_caller_does_not_wait() -> None:
    call = Doubling()
    future = Batcher(call).submit(1)
    await asyncio.sleep(0)
    assert call.batches == [[1]], "it waits for company"
    assert await future == 2


async def test_each_gets_its_own_result() -> None:
    batcher = Batcher(Doubling(), limit=7, lanes=3)
    assert await asyncio.gather(*(batcher.submit(number + 20) for number in range(100))) == [
        2 * (number + 20) for number in range(100)
    ]


async def test_what_comes_meanwhile_leaves_together() -> None:
    call = Doubling()
    call.gate.clear()
    batcher = Batcher(call, limit=100)
    first = batcher.submit(1)
    await asyncio.sleep(0)
    rest = [batcher.submit(number) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    assert call.batches == [[1]]
    call.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert call.batches == [[1], [2, 3, 4]]


async def test_limit_and_lanes_hold() -> None:
    call = Doubling()
    call.gate.clear()
    batcher = Batcher(call, limit=10, lanes=2)
    futures = [batcher.submit(number + 20) for number in range(55)]
    await asyncio.sleep(0.01)
    assert call.at_once == 2
    call.gate.set()
    await asyncio.gather(*futures)
    assert call.most_at_once == 2
    assert max(len(batch) for batch in call.batches) <= 10
    assert [number for batch in call.batches for number in batch] == [number + 20 for number in range(55)]


async def test_an_error_is_the_whole_batchs_and_no_others() -> None:
    call = Doubling()
    batcher = Batcher(call, limit=2)
    outcomes = await asyncio.gather(
        *(batcher.submit(number) for number in (11, 12, 13, 14, 15)), return_exceptions=True
    )
    assert outcomes[:2] == [22, 24]
    assert [type(outcome) for outcome in outcomes[2:4]] == [DatabaseUnavailable] * 2
    assert outcomes[4] == 30
    assert await batcher.submit(1) == 2, "it does not work any more after an error"


async def test_a_caller_that_leaves_disturbs_nobody() -> None:
    call = Doubling()
    call.gate.clear()
    batcher = Batcher(call)
    first, second = batcher.submit(1), batcher.submit(2)
    await asyncio.sleep(0)
    first.cancel()
    waiting = batcher.submit(3)
    waiting.cancel()
    call.gate.set()
    assert await second == 4
    assert await batcher.submit(5) == 10


async def test_a_wrong_number_of_results_is_an_error_for_the_callers() -> None:
    """Rather than a caller that waits for ever."""

    async def forgetful(items: Sequence[int]) -> list[int]:
        return [0] * (len(items) - 1)

    batcher = Batcher(forgetful)
    with pytest.raises(ValueError, match="shorter"):
        await asyncio.wait_for(batcher.submit(1), 2)
