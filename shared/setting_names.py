"""Variables that are nearly settings: a name with a slip in it would leave the setting at its default, and say nothing.

A cap that is not set costs an account, so a slip stops the start. Only names that differ from a setting by a letter or two
count: other programs have variables of their own, GOWA's among them begin with WHATSAPP_ too, and Kubernetes makes some of
every Service (``PACELINE_GATEWAY_PORT=tcp://…``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

_SHORT = 14
"""Names shorter than this may differ by one letter only: DATABASE_URL and DATABASE_USER, or API_PORT and API_HOST, by two."""


_OF_OTHERS = frozenset({"APP_HOST", "APP_PORT", "LOGLEVEL"})
"""Variables that GOWA and many programs have under nearly a name of ours."""


def misspelt(given: Iterable[str], known: Collection[str]) -> list[tuple[str, str]]:
    """(name as given, setting that is meant) for each that is no setting and nearly one that is not given either."""
    names = set(given)
    found = []
    for name in sorted(names - set(known) - _OF_OTHERS):
        allowed = 1 if len(name) < _SHORT else 2
        near = [
            setting
            for setting in sorted(known)
            if setting not in names and abs(len(setting) - len(name)) <= allowed and _distance(name, setting) <= allowed
        ]
        if near:
            found.append((name, min(near, key=lambda setting: _distance(name, setting))))
    return found


def _distance(one: str, other: str) -> int:
    """Letters to put in, take out, change, or swap with the next, from one name to the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        two_before, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, two_before[j - 2] + 1)
            row.append(cost)
    return row[-1]
