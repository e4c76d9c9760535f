"""Which account an answer has to go through: the one that has the message it answers, since any other drops the quote.

A message may be named by its WhatsApp id or by Paceline's. One of ours that is not sent yet has no account; its answer waits
for it at the dispatchers. An id that nobody has heard of binds to nothing: it may be of a message older than what is kept.
"""

from __future__ import annotations

from msgspec.structs import replace

from services.gateway.intake.fields import Wish
from shared.database.connection import Database
from shared.database.replies import accounts_that_have, original
from shared.endpoints.identity import Endpoint
from shared.messages import own_message_id
from shared.runtime.envelope import InvalidInput


async def bound_to_original(database: Database, wish: Wish, endpoints: dict[str, Endpoint]) -> Wish:
    """The wish with the account that has what is answered. ``endpoints``: those of the settings. Raises InvalidInput, also
    where the caller chose an account that does not have it; DatabaseUnavailable."""
    answered = wish.content.get("reply_message_id")
    if not answered:
        return wish
    having = [endpoint for endpoint in await _having(database, answered) if endpoint in endpoints]
    if not having or wish.endpoint in having:
        return wish
    if wish.endpoint is None:
        return replace(wish, endpoint=having[0])
    told = "another account has the message that is answered; leave out endpoint, or this"
    raise InvalidInput(("reply_message_id", told), ("endpoint", f"only {having[0]} can quote reply_message_id"))


async def _having(database: Database, answered: str) -> list[str]:
    own = own_message_id(answered)
    if own is None:
        return await accounts_that_have(database, answered.strip())
    found = await original(database, own)
    if found is None:
        raise InvalidInput(
            ("reply_message_id", "no message has this id; a message_id of ours or a WhatsApp id is wanted")
        )
    return [found.endpoint] if found.endpoint else []
