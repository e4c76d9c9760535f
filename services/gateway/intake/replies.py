"""Which accounts an answer may go through: those that have the message it answers, since any other drops the quote.

A message may be named by its WhatsApp id or by Paceline's. One of ours that is not sent yet has no account; its answer waits
for it at the dispatchers. An id that nobody has heard of binds to nothing: it may be of a message older than what is kept.
"""

from __future__ import annotations

from shared.database.connection import Database
from shared.database.messages import Draft
from shared.database.replies import accounts_that_have, original
from shared.messages import own_message_id
from shared.runtime.envelope import InvalidInput


async def accounts_with_original(database: Database, draft: Draft) -> list[str]:
    """Their ids, the best first; none: it answers nothing, or is bound to nobody. Raises InvalidInput where it names a message
    of ours that there is not; DatabaseUnavailable."""
    answered = draft.content.get("reply_message_id")
    if not answered:
        return []
    own = own_message_id(answered)
    if own is None:
        return await accounts_that_have(database, answered.strip())
    found = await original(database, own)
    if found is None:
        raise InvalidInput(
            ("reply_message_id", "no message has this id; a message_id of ours or a WhatsApp id is wanted")
        )
    return [found.endpoint] if found.endpoint else []
