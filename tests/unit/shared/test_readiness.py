"""When a service may get traffic."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import DatabaseUnavailable, QueueUnavailable
from shared.runtime import readiness
from shared.runtime.readiness import Readiness, ReadyCheck

AWAY = QueueUnavailable("Redis cannot be reached")


def answering(answer: str | Exception) -> ReadyCheck:
    async def check() -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return check


async def look(stays: Readiness, *answers: str | Exception) -> tuple[bool, list[str]]:
    stays.checks[:] = [answering(answer) for answer in answers]
    return await stays.look()


@pytest.mark.parametrize("outlives", [True, False])
async def test_it_is_ready_once_all_is_well(outlives: bool) -> None:
    service = Readiness(outlives)
    assert await look(service, AWAY, "") == (False, [str(AWAY)]), "a rollout stops here"
    assert await look(service, "", "") == (True, [])
    assert await look(service, AWAY, "") == (outlives, [str(AWAY)])
    both = [str(AWAY), "Postgres is starting"]
    assert await look(service, AWAY, DatabaseUnavailable(both[1])) == (outlives, both)
    assert await look(service, "", "") == (True, [])


async def test_what_is_not_a_store_being_away_is_never_forgiven() -> None:
    service = Readiness(outlives_stores=True)
    await look(service, "", "")
    assert await look(service, AWAY, "the schema is old") == (False, [str(AWAY), "the schema is old"])
    assert await look(service, ValueError("text")) == (False, ["a check failed: ValueError"])


async def test_stores_that_hang_are_away_within_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_CHECK_LIMIT", 0.2)
    service = Readiness(outlives_stores=True)
    await look(service, "", "")

    async def hang() -> str:
        await asyncio.get_running_loop().create_future()
        return ""

    service.checks[:] = [hang] * 20
    async with asyncio.timeout(2):
        ready, problems = await service.look()
    assert ready
    assert len(problems) == 20
