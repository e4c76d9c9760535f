"""Who is on WhatsApp: the number lookup before each send, and ``GET /user/check``.

GOWA looks up persons only; groups, newsletters and LIDs always pass. A lookup that fails is told apart from a number
that is not there in neither place: the send says INVALID_JID, the check says false.
"""

from __future__ import annotations

from simulator.answers import Answer, internal, not_on_whatsapp, success
from simulator.moods import Mood
from simulator.rules import recipient_jid

_PERSON = "@s.whatsapp.net"


class Numbers:
    """The numbers that are not on WhatsApp, and those whose next lookups before a send fail."""

    def __init__(self, suffix: str, validation: bool) -> None:
        self._suffix = suffix
        self._validation = validation
        self.absent: set[str] = set()
        self.failing: dict[str, int] = {}

    def exists(self, jid: str) -> bool:
        """Whether this person's number is on WhatsApp."""
        number = jid.removesuffix(_PERSON)
        if not (number.isascii() and number.isdigit()) or number in self.absent:
            return False
        return not (self._suffix and number.endswith(self._suffix))

    def refusal(self, phone: str, kind_is_presence: bool) -> Answer | None:
        """What the lookup before a send or a typing notice comes to; None when it may go on.

        Only sends use up failing lookups, so that the fault does not vanish in the typing before the send.
        """
        jid = phone.removeprefix("+")
        if not jid.endswith(_PERSON):
            return None
        if ":" in jid:
            return internal("message recipient must be a user JID with no device part")
        if not self.exists(jid):
            return not_on_whatsapp(jid) if self._validation else internal(f"no LID found for {jid} from server")
        number = jid.removesuffix(_PERSON)
        if self._validation and not kind_is_presence and self.failing.get(number, 0) > 0:
            self.failing[number] -= 1
            return not_on_whatsapp(jid)
        return None

    def check(self, phone: str, mood: Mood) -> Answer:
        """``GET /user/check``: true for everything that is not looked up, the empty phone among it."""
        jid = recipient_jid(phone).removeprefix("+")
        on = not jid.endswith(_PERSON) or (self.exists(jid) and not mood.strikes_lookup(jid))
        return success("Success check user", {"is_on_whatsapp": on})
