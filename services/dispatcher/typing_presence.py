"""Shows that the account is typing for a human time before a message; ended before the gate, whatever comes after."""

from __future__ import annotations

import asyncio
import random

from services.dispatcher.rate import CurrentRate
from services.dispatcher.sending.client import SenderClient
from services.dispatcher.sending.verdict import Answer
from shared.endpoints.identity import Endpoint
from shared.endpoints.pacing import typing_ms
from shared.messages import Lane, Verdict

_STOPS = Answer(Verdict.NOT_SENT, "the dispatcher stops", too_late=True)


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

    async def type(self, endpoint: Endpoint, phone: str, lane: Lane) -> Answer | None:
        """Types for the time of the profile. None: the message may go on; otherwise why it may not through this account: what
        cannot type cannot send, and finding it out here begins no attempt."""
        if self._stopping.is_set():
            return _STOPS
        milliseconds = typing_ms(self._rate.of(endpoint.id), lane, self._chance)
        if not milliseconds:
            return None
        # Groups see it too; a newsletter has nobody to see it, and the sender ignores it.
        begun = await self._client.show_typing(endpoint, phone, "start") if self._shown else False
        if isinstance(begun, Answer):
            return begun
        stops = await self._stops_within(milliseconds / 1000)
        ended = await self._client.show_typing(endpoint, phone, "stop") if begun else False
        if stops:
            return _STOPS
        return ended if isinstance(ended, Answer) else None

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
