"""Whether a number that the sender calls "not on WhatsApp" is not, or whether its lookups fail.

The sender reports a lookup that failed in the same words, and GET /user/check answers False for it too. What tells them apart
is a control: the account's own number, which is on WhatsApp as long as the account is. So a number is believed to be absent
only when the send, then the control, then two checks of the number after it have all said so; a control that is denied, or
not answered, means that the account's lookups are out.
"""

from __future__ import annotations

import asyncio
from enum import Enum

import aiohttp

from shared.clock import boottime
from shared.endpoints.gowa import EndpointUnreachable, is_on_whatsapp, own_number
from shared.endpoints.identity import Endpoint

_ANSWER_SECONDS = 5.0
"""A lookup takes some 100 ms; the sender gives it up after 10 s. Together with the send's own it must not hold a slot long."""
_OUT_SECONDS = 15.0
"""For so long lookups that were out are not asked again: others of the account need not find out one by one. Longer than a send
whose own lookup hangs, and less than an open breaker stays open, so a trial asks anew."""
_OWN_SECONDS = 60.0
"""For so long the account's own number is remembered: it changes when another phone is paired."""
_CHECKS = 2
"""Of a number: where only some lookups fail, one that happens to fail after a control that happens to pass is no proof."""


class Finding(Enum):
    ABSENT = "absent"
    """The number is not on WhatsApp, and the account's lookups work."""
    PRESENT = "present"
    """It is: the sender's own lookup failed."""
    OUT = "out"
    """The account's lookups do not work, so nothing is known of the number."""


class Lookups:
    """Keeps what was found of each account for some seconds; one object serves all."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._out_until: dict[str, float] = {}
        self._own: dict[str, tuple[str, float]] = {}

    async def find(self, endpoint: Endpoint, number: str) -> Finding:
        """What is true of ``number`` (digits) after a send to it was refused as not on WhatsApp. Never raises."""
        if not await self.work(endpoint):
            return Finding.OUT
        for _ in range(_CHECKS):
            exists = await self._check(endpoint, number)
            if exists is None:
                return self._note_out(endpoint)
            if exists:
                return Finding.PRESENT
        return Finding.ABSENT

    async def work(self, endpoint: Endpoint) -> bool:
        """Whether the account finds its own number. Only a No is remembered: a Yes from before an outage would prove absent
        whom the outage hides."""
        if boottime() < self._out_until.get(endpoint.id, 0.0):
            return False
        try:
            own = await self._own_number(endpoint)
        except (EndpointUnreachable, TimeoutError):
            own = ""
        # Where the sender does not tell the number there is no control, and the checks must do.
        if own is None or (own and await self._check(endpoint, own)):
            return True
        self._note_out(endpoint)
        return False

    def _note_out(self, endpoint: Endpoint) -> Finding:
        self._out_until[endpoint.id] = boottime() + _OUT_SECONDS
        return Finding.OUT

    async def _own_number(self, endpoint: Endpoint) -> str | None:
        """As ``own_number``, remembered for a while. Raises EndpointUnreachable, TimeoutError."""
        known = self._own.get(endpoint.id)
        if known is not None and boottime() < known[1]:
            return known[0]
        async with asyncio.timeout(_ANSWER_SECONDS):
            found = await own_number(self._session, endpoint)
        if found:
            self._own[endpoint.id] = (found, boottime() + _OWN_SECONDS)
        return found

    async def _check(self, endpoint: Endpoint, number: str) -> bool | None:
        """Whether the sender finds the number; None: it does not answer."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await is_on_whatsapp(self._session, endpoint, number)
        except (EndpointUnreachable, TimeoutError):
            return None
