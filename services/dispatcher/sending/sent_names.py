"""Notes under which name a file from a URL is uploaded, where nothing else would tell it afterwards.

Without a caption the sender files a document under its name alone (``stored`` in ``shared/messages/kinds``), so an outcome that
is unknown can only be looked up by it. Noted before the send, once a day for each URL and name, since a dispatcher may die
with the answer.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from services.dispatcher.sending.payloads import Upload
from shared.database.attempts import PeekedMessage
from shared.database.connection import Database
from shared.database.sent_names import note_sent_name
from shared.messages.kinds import FILE_NAME, KINDS, fields_in, stored_row

_AGAIN = 24 * 3600.0  # seconds; forgotten after eight days
_REMEMBERED = 10_000


class SentNames:
    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def note(self, message: PeekedMessage, upload: Upload | None) -> None:
        """Raises DatabaseUnavailable."""
        file = KINDS[message.kind].file
        if file is None or message.media is not None or upload is None:
            return
        url = message.content.get(file.url)
        row = stored_row(message.kind, message.content)
        if not isinstance(url, str) or not any(FILE_NAME in fields_in(text) for text in row):
            return
        key = (url, upload.filename)
        if self._clock() - self._noted.get(key, float("-inf")) < _AGAIN:
            return
        await note_sent_name(self._database, url, upload.filename)
        self._noted[key] = self._clock()
        self._noted.move_to_end(key)
        while len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)
