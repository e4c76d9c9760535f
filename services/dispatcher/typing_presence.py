"""Shows that the account is typing for a human time before a message; ended before the gate, whatever comes after."""

from __future__ import annotations

import asyncio
import random

from services.dispatcher.rate import CurrentRate
from services.dispatcher.sending.client import SenderClient
from shared.endpoints.identity import Endpoint
from shared.endpoints.pacing import typing_ms
from shared.messages import Lane


class TypingPresence:
    """``stopping`` ends every typing at once, so that a stop does not wait for it."""

    def __init__(
        self, client: SenderClient, rate: CurrentRate, shown: bool, stopping: asyncio.Event, chance: random.Random
    ) -> None:
        self._client = client
        self._rate = rate
        self._shown = shown
        self._stopping = stopping
        self._chance = chance

    async def type(self, endpoint: Endpoint, phone: str, lane: Lane) -> bool:
        """Types for the time of the profile. Answers whether the message may go on: not when the service stops."""
        if self._stopping.is_set():
            return False
        milliseconds = typing_ms(self._rate.of(endpoint.id), lane, self._chance)
        if not milliseconds:
            return True
        # Groups see it too; a newsletter has nobody to see it, and the sender ignores it.
        if self._shown:
            await self._client.show_typing(endpoint, phone, "start")
        try:
            await asyncio.wait_for(self._stopping.wait(), milliseconds / 1000)
            return False
        except TimeoutError:
            return True
        finally:
            if self._shown:
                await self._client.show_typing(endpoint, phone, "stop")
