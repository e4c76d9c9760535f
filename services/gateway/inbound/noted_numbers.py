"""The hidden ids whose number this gateway has noted lately, so that the receipts of a campaign do not each ask Postgres."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST = 20_000  # about 5 MB
_DAY = 86_400.0


class NotedNumbers:
    """Each is good for a day, so that Postgres goes on learning when a number was seen last."""

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._noted: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def has(self, lid: str, phone_key: str) -> bool:
        key, until = self._noted.get(lid, ("", 0.0))
        return key == phone_key and self._clock() < until

    def add(self, lid: str, phone_key: str) -> None:
        self._noted[lid] = phone_key, self._clock() + _DAY
        self._noted.move_to_end(lid)
        while len(self._noted) > self._most:
            self._noted.popitem(last=False)
