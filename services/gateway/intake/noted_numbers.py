"""The hidden ids whose number this gateway has noted lately, so that the receipts of a campaign do not each ask Postgres."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 20_000  # about 5 MB


class NotedNumbers:
    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._keys: OrderedDict[str, str] = OrderedDict()

    def has(self, lid: str, phone_key: str) -> bool:
        return self._keys.get(lid) == phone_key

    def add(self, lid: str, phone_key: str) -> None:
        self._keys[lid] = phone_key
        self._keys.move_to_end(lid)
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)
