"""Which name WhatsApp has for a person: the number, the LID, or both.

``mixed`` is the default: chats with even numbers have moved to LIDs. GOWA looks the number of a LID up and gives both;
in ``lid-only`` it does not know the number.
"""

from __future__ import annotations

import hashlib

ADDRESSINGS = ("mixed", "phone", "lid", "lid-only")


def lid_of(jid: str) -> str:
    """The invented LID of a person, the same each time."""
    return f"{int(hashlib.sha256(jid.encode()).hexdigest(), 16) % 10**15:015d}@lid"


def names_of(jid: str, addressing: str) -> tuple[str, str | None]:
    """``from`` and ``from_lid`` as GOWA gives them for this person's number."""
    if jid.endswith("@lid"):
        return jid, jid
    has_moved = jid.partition("@")[0][-1:] in set("02468") if addressing == "mixed" else addressing != "phone"
    if not has_moved:
        return jid, None
    return (lid_of(jid) if addressing == "lid-only" else jid), lid_of(jid)
