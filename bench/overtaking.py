"""How long a text takes from its 202 to its arrival at the sender while a campaign of 100,000 waits.

Twice: with accounts that are free now and then, as the pace of a campaign leaves them; and with every account in the cooldown
that campaigns keep, where a text need only wait for the manual pause after the one before. Typing is off, since that time is
wanted. All services, both stores and the simulated accounts share all cores.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from bench.report import Row
from bench.whole import Whole, whole

CAMPAIGN = 100_000
ACCOUNTS = 8
TEXTS = 200
MANUAL_PAUSE = 0.5
"""Seconds between two texts of an account, in the second case."""
_EVERY = 0.05
_WAVES = 12
_NO_TYPING = {
    "TYPING_DELAY_MIN": "0",
    "TYPING_DELAY_MAX": "0",
    "BULK_TYPING_DELAY_MIN": "0",
    "BULK_TYPING_DELAY_MAX": "0",
}
_FREE = _NO_TYPING | {
    "RATE_PROFILE": "bulk",
    "RATE_LIMIT_DELAY_MIN": "0",
    "RATE_LIMIT_DELAY_MAX": "0",
    "RATE_DELAY_MEAN_MS": "500",
    "RATE_DELAY_JITTER_MS": "100",
    "RATE_BURST_LIMIT": "0",
}
_COOLDOWN = _NO_TYPING | {
    "RATE_PROFILE": "bulk",
    "RATE_LIMIT_DELAY_MIN": f"{MANUAL_PAUSE}s",
    "RATE_LIMIT_DELAY_MAX": f"{MANUAL_PAUSE}s",
    "RATE_DELAY_MEAN_MS": "500",
    "RATE_DELAY_JITTER_MS": "0",
    "RATE_BURST_LIMIT": "1",
    "RATE_COOLDOWN_SECONDS": "600",
}


async def measure(rounds: int) -> list[Row]:
    """About 50 s a round."""
    alone: list[list[float]] = []
    overtaking: list[list[float]] = []
    cooling: list[list[float]] = []
    for _ in range(rounds):
        async with whole(ACCOUNTS, _FREE) as running:
            await _start(running)
            alone.append(await _spread(running))
            await running.accept_campaign(running.phones(CAMPAIGN))
            await _campaign_under_way(running)
            overtaking.append(await _spread(running))
        async with whole(ACCOUNTS, _COOLDOWN) as running:
            await _start(running)
            await running.accept_campaign(running.phones(CAMPAIGN))
            await _campaign_under_way(running)
            cooling.append(await _waves(running))
    return [
        *_rows("no campaign", alone),
        *_rows("campaign, an account free", overtaking),
        *_rows("campaign, all accounts in cooldown, beyond the manual pause", cooling),
        Row(
            "campaign ÷ no campaign, p99",
            [_share(mine, 0.99) / _share(base, 0.99) for mine, base in zip(overtaking, alone, strict=True)],
        ),
    ]


async def _start(running: Whole) -> None:
    await running.start("scheduler")
    await asyncio.gather(running.start("gateway"), running.start("dispatcher"))
    # Connections, plans and pools, which the first few pay for.
    await _accepted(running, running.phones(20))
    await asyncio.sleep(2)


async def _campaign_under_way(running: Whole) -> None:
    """Returns when each account has sent a message of the campaign."""
    before = len(await running.ledger())
    while len(await running.ledger()) < before + ACCOUNTS:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    await asyncio.sleep(MANUAL_PAUSE)


async def _accepted(running: Whole, phones: list[str]) -> dict[str, float]:
    """When each text was accepted, by this machine's clock."""

    async def one(phone: str) -> tuple[str, float]:
        await running.accept_texts([phone])
        return phone, time.time()

    return dict(await asyncio.gather(*(one(phone) for phone in phones)))


async def _spread(running: Whole) -> list[float]:
    """Seconds of each of many texts, one after the other at times that no pace could be in step with."""
    accepted: dict[str, float] = {}
    for phone in running.phones(TEXTS):
        accepted |= await _accepted(running, [phone])
        await asyncio.sleep(random.uniform(0, 2 * _EVERY))  # noqa: S311
    return [arrived - accepted[phone] for phone, arrived in (await _arrivals(running, accepted)).items()]


async def _waves(running: Whole) -> list[float]:
    """Seconds beyond the manual pause, of texts that each came when every account had just sent one."""
    accepted: dict[str, float] = {}
    for _ in range(_WAVES):
        await _arrivals(running, await _accepted(running, running.phones(ACCOUNTS)))
        accepted |= await _accepted(running, running.phones(ACCOUNTS))
        await asyncio.sleep(3 * MANUAL_PAUSE)
    return [arrived - accepted[phone] - MANUAL_PAUSE for phone, arrived in (await _arrivals(running, accepted)).items()]


async def _arrivals(running: Whole, accepted: dict[str, float]) -> dict[str, float]:
    """When each text arrived at the sender. Raises RuntimeError when one has not within 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = {_phone(line): float(line["arrived_at"]) for line in await running.ledger() if _phone(line) in accepted}
        if len(found) == len(accepted):
            return found
        await asyncio.sleep(0.02)
    raise RuntimeError(f"{len(accepted) - len(found)} of {len(accepted)} texts have not arrived")


def _phone(line: dict[str, Any]) -> str:
    return str(line["phone"]).partition("@")[0]


def _share(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _rows(case: str, runs: list[list[float]]) -> list[Row]:
    return [
        Row(f"{case}: median ms", [_share(run, 0.5) * 1000 for run in runs]),
        Row(f"{case}: p99 ms", [_share(run, 0.99) * 1000 for run in runs]),
    ]
