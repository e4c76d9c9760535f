"""Asks each account's sender which number the account is, and notes since when it answers.

Seldom, to know the number that a message was sent through; every few seconds while an outcome is to be looked up, since
"not in the chat storage" is a proof only of a sender that did not stand still, or was cut off, a moment ago.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from shared.database.account_answers import note_answer, note_silence, whom_to_ask
from shared.database.connection import Database
from shared.endpoints.gowa import EndpointUnreachable, account_number
from shared.endpoints.identity import Endpoint

_SELDOM = 30.0
_OFTEN = 4.0
_ANSWER_SECONDS = 5.0
"""With the pause and the step it stays below the longest gap, so one sender that hangs does not interrupt the others."""


async def ask_account(
    database: Database, session: aiohttp.ClientSession, endpoint: Endpoint
) -> tuple[str | None, float]:
    """(JID of the account's number, '' when it is logged out, None when the sender does not tell; for how many seconds its
    sender has answered without a gap), noted for all schedulers. Raises EndpointUnreachable, DatabaseUnavailable."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            number = await account_number(session, endpoint)
    except (EndpointUnreachable, TimeoutError) as error:
        await note_silence(database, endpoint.id)
        raise EndpointUnreachable(str(error) or type(error).__name__) from error
    return number, await note_answer(database, endpoint.id, number)


class AccountAnswers:
    name = "account_answers"
    interval = 2.0

    def __init__(self, database: Database, session: aiohttp.ClientSession, endpoints: Mapping[str, Endpoint]) -> None:
        self._database = database
        self._session = session
        self._endpoints = endpoints

    async def step(self) -> None:
        chosen = await whom_to_ask(self._database, self._endpoints, _SELDOM, _OFTEN)
        await asyncio.gather(*(self._ask(self._endpoints[identity]) for identity in chosen))

    async def _ask(self, endpoint: Endpoint) -> None:
        try:
            await ask_account(self._database, self._session, endpoint)
        except EndpointUnreachable:
            return
