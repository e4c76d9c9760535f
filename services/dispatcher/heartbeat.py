"""Says every few seconds that this dispatcher lives, and gives endpoints that nobody has the slots they should have."""

from __future__ import annotations

from shared.queue.taking import Taking
from shared.runtime.background_loop import BackgroundLoop

BEAT_INTERVAL = 5.0
"""Seconds. Three beats missed is what a scheduler calls dead."""


def heartbeat(taking: Taking) -> BackgroundLoop:
    async def step() -> None:
        await taking.beat()

    return BackgroundLoop("heartbeat", BEAT_INTERVAL, step)
