"""Whether the pace belongs to the account: the shortest pause that a simulated account ever saw ÷ the configured minimum.

A pause is measured at the account: from the end of a send (its answer is written) to the arrival of the next one. Ours runs
from settling, a little later, so it can only be longer. Between any two sends the shortest pause of a text counts, between
two of campaigns the mean pause less its jitter. Caps: the most that an account got in any hour (day) ÷ the cap. Redis is
emptied in the middle of each run. 0.99 and more is a pace that is kept, 1.00 and less a cap that is.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from itertools import pairwise
from typing import Any

from bench.report import Row
from bench.whole import Whole, whole

DISPATCHERS = (1, 4, 16)
ACCOUNTS = 12
SHORTEST_TEXT = 0.3
SHORTEST_BULK = 0.5
CAP = 10
_SECONDS = 12.0
"""Of sending in each run, half of it before Redis is emptied: about 250 pauses."""
_PACE = {
    "RATE_PROFILE": "bulk",
    "RATE_LIMIT_DELAY_MIN": "300ms",
    "RATE_LIMIT_DELAY_MAX": "350ms",
    "RATE_DELAY_MEAN_MS": "550",
    "RATE_DELAY_JITTER_MS": "50",
    "RATE_BURST_LIMIT": "0",
    # Typing comes on top of a pause, and would hide one that is too short.
    "TYPING_DELAY_MIN": "0",
    "TYPING_DELAY_MAX": "0",
    "BULK_TYPING_DELAY_MIN": "0",
    "BULK_TYPING_DELAY_MAX": "0",
}
_NO_PAUSE = _PACE | {"RATE_PROFILE": "manual", "RATE_LIMIT_DELAY_MIN": "0", "RATE_LIMIT_DELAY_MAX": "0"}
_HOUR, _DAY = 3600.0, 86400.0


async def measure(rounds: int) -> list[Row]:
    """About 90 s a round."""
    any_two: dict[int, list[float]] = defaultdict(list)
    campaign: dict[int, list[float]] = defaultdict(list)
    pauses: dict[int, list[float]] = defaultdict(list)
    caps: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for number in DISPATCHERS:
            texts, ledger = await _paced(number)
            own = _by_account(ledger)
            gaps = [gap for lines in own.values() for gap in _gaps(lines)]
            bulk = [
                gap for lines in own.values() for gap in _gaps([line for line in lines if _phone(line) not in texts])
            ]
            any_two[number].append(min(gaps) / SHORTEST_TEXT)
            campaign[number].append(min(bulk) / SHORTEST_BULK)
            pauses[number].append(len(gaps))
        caps["hour"].append(await _capped("HOURLY_CAP", _HOUR))
        caps["day"].append(await _capped("DAILY_CAP", _DAY))
    rows = []
    for number in DISPATCHERS:
        who = f"{number} dispatcher{'s' if number > 1 else ''}"
        rows += [
            Row(f"{who}: shortest pause ÷ minimum, any two sends", any_two[number]),
            Row(f"{who}: shortest pause ÷ minimum, campaigns", campaign[number]),
            Row(f"{who}: pauses seen", pauses[number]),
        ]
    return [*rows, *(Row(f"most in any {window} ÷ cap, 4 dispatchers", values) for window, values in caps.items())]


async def _paced(dispatchers: int) -> tuple[set[str], list[dict[str, Any]]]:
    """The phones of the single sends, and the ledger, after a run with Redis emptied in its middle."""
    async with whole(ACCOUNTS, _PACE) as running:
        await running.start("scheduler", 2)
        await asyncio.gather(running.start("gateway"), running.start("dispatcher", dispatchers))
        # More than can be sent, so that every account always has something to do.
        await running.accept_campaign(running.phones(2_000))
        texts = running.phones(150)
        await running.accept_texts(texts[:75])
        await asyncio.sleep(_SECONDS / 2)
        await running.queue.ask("FLUSHALL")
        await running.accept_texts(texts[75:])
        await _sending_again(running)
        await asyncio.sleep(_SECONDS / 2)
        await running.stop("dispatcher")
        return set(texts), await running.ledger()


async def _capped(setting: str, window: float) -> float:
    """The most that an account got in any such window ÷ the cap, where more is waiting than the caps allow."""
    async with whole(4, _NO_PAUSE | {setting: str(CAP)}) as running:
        await running.start("scheduler", 2)
        await asyncio.gather(running.start("gateway"), running.start("dispatcher", 4))
        allowed = CAP * len(running.devices)
        phones = running.phones(2 * allowed)
        # The first half of what is allowed goes before Redis is emptied, more than the other half waits after it.
        await running.accept_texts(phones[: allowed // 2])
        await _arrived(running, allowed // 2)
        await running.queue.ask("FLUSHALL")
        await running.accept_texts(phones[allowed // 2 :])
        await _arrived(running, allowed)
        # Time in which one too many would come.
        await asyncio.sleep(3)
        await running.stop("dispatcher")
        most = 0
        for lines in _by_account(await running.ledger()).values():
            times = sorted(line["arrived_at"] for line in lines)
            most = max(most, *(sum(at <= other < at + window for other in times) for at in times))
        return most / CAP


async def _arrived(running: Whole, number: int, deadline: float = 60.0) -> None:
    end = time.monotonic() + deadline
    while len(await running.ledger()) < number and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def _sending_again(running: Whole) -> None:
    now = time.time()
    while not any(line["arrived_at"] > now for line in await running.ledger()):  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def _phone(line: dict[str, Any]) -> str:
    return str(line["phone"]).partition("@")[0]


def _by_account(ledger: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in sorted(ledger, key=lambda line: line["arrived_at"]):
        found[line["device"]].append(line)
    return found


def _gaps(lines: list[dict[str, Any]]) -> list[float]:
    """Seconds from the end of each send to the arrival of the next."""
    return [after["arrived_at"] - before["finished_at"] for before, after in pairwise(lines) if before["finished_at"]]
