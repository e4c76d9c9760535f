"""Groups and which accounts are in them. A group that nobody spoke of is known to every account.

whatsmeow asks for the members before it sends to a group, so an account that is no member is refused before anything
leaves; typing into a group asks nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from simulator.answers import Answer, internal

_SERVER = "@g.us"


class Groups:
    """``members``: the devices in each group that was spoken of; ``missing``: the groups that do not exist."""

    def __init__(self) -> None:
        self.members: Mapping[str, Sequence[str]] = {}
        self.missing: frozenset[str] = frozenset()

    def refusal(self, device: str, jid: str) -> Answer | None:
        """What whatsmeow says to a send of this device to this chat; None when it may go out."""
        if not jid.endswith(_SERVER):
            return None
        if jid in self.missing:
            return internal("failed to get group members: that group does not exist")
        if device not in self.members.get(jid, (device,)):
            return internal("failed to get group members: you're not participating in that group")
        return None


def participants(jid: str) -> list[str]:
    """The other people in a group, who acknowledge what is sent there: two invented numbers, the same each time."""
    seed = int(hashlib.sha256(jid.encode()).hexdigest(), 16) % 1_000_000
    return [f"1555{seed:06d}{last}@s.whatsapp.net" for last in (1, 2)]
