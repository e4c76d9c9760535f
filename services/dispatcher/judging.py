"""What an answer comes to once it is known who is to blame: the message, the account, or another account's message.

The table says what an answer means by itself; where the sender uses the same words for several things, this asks.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from services.dispatcher.routing import another_may_send
from services.dispatcher.sending.lookups import Finding, Lookups
from services.dispatcher.sending.sender_answers import Confirm
from services.dispatcher.sending.verdict import Answer
from services.dispatcher.unlisted_answers import UnlistedAnswers
from shared.database.attempts import PeekedMessage
from shared.endpoints.identity import Endpoint
from shared.messages import Entry, Verdict

_OUT = "the account's lookups are out: it does not find its own number"


class Judging:
    """``endpoints``: ids of those in the settings."""

    def __init__(self, lookups: Lookups, unlisted: UnlistedAnswers, endpoints: Collection[str]) -> None:
        self._lookups = lookups
        self._unlisted = unlisted
        self._endpoints = endpoints

    async def judge(self, endpoint: Endpoint, entry: Entry, message: PeekedMessage, answer: Answer) -> Answer:
        """The answer with its final verdict. Never raises."""
        if not answer.is_listed:
            await self._unlisted.note(answer)
        if answer.confirm is Confirm.LOOKUPS:
            return answer if await self._lookups.work(endpoint) else _account_fault(answer, _OUT)
        if answer.confirm is Confirm.NUMBER:
            return await self._of_number(endpoint, message, answer)
        if answer.verdict is Verdict.ELSEWHERE and not another_may_send(entry, endpoint.id, message, self._endpoints):
            return msgspec.structs.replace(answer, verdict=Verdict.REFUSED)
        return answer

    async def _of_number(self, endpoint: Endpoint, message: PeekedMessage, answer: Answer) -> Answer:
        match await self._lookups.find(endpoint, message.phone.partition("@")[0]):
            case Finding.ABSENT:
                return answer
            case Finding.OUT:
                return _account_fault(answer, _OUT)
            case Finding.PRESENT:
                return _account_fault(answer, f"{answer.reason}; a second lookup found it")


def _account_fault(answer: Answer, reason: str) -> Answer:
    return msgspec.structs.replace(answer, verdict=Verdict.TRANSIENT, account_fault=True, reason=reason)
