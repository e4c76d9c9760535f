"""Who is on WhatsApp: the number lookup before each send, and ``GET /user/check``.

GOWA looks up persons only; groups, newsletters and LIDs always pass. A lookup that fails is told apart from a number
that is not there in neither place: the send says INVALID_JID, the check says false. Without account validation GOWA asks
nothing; whatsmeow then needs the number's LID, which it has for known chats.
"""

from __future__ import annotations

from simulator.accounts import Account
from simulator.answers import Answer, internal, not_on_whatsapp, success
from simulator.rules import recipient_jid

_PERSON = "@s.whatsapp.net"
_USYNC_FAILED = "failed to send usync query: info query returned status 429: rate-overlimit"


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
        if kind_is_presence and not self._validation:
            return None
        if ":" in jid:
            return internal("message recipient must be a user JID with no device part")
        if not self.exists(jid):
            return self.absence(phone)
        number = jid.removesuffix(_PERSON)
        if self._validation and not kind_is_presence and self.failing.get(number, 0) > 0:
            self.failing[number] -= 1
            return not_on_whatsapp(phone)
        return None

    def absence(self, phone: str) -> Answer:
        """What a number that is not on WhatsApp comes to. The sentence keeps a leading ``+``."""
        if self._validation:
            return not_on_whatsapp(phone)
        return internal(f"no LID found for {phone.removeprefix('+')} from server")

    def failure(self, phone: str, needs_lid: bool) -> Answer | None:
        """What a failed lookup comes to; None when nothing had to be looked up."""
        if self._validation:
            return not_on_whatsapp(phone)
        if not needs_lid:
            return None
        jid = phone.removeprefix("+")
        return internal(f"failed to get user info for {jid} to fill LID cache: {_USYNC_FAILED}")

    def check(self, phone: str, account: Account) -> Answer:
        """``GET /user/check``: true for everything that is not looked up, the empty phone among it.

        The account's own number is always there, so that it tells an outage of lookups.
        """
        jid = recipient_jid(phone).removeprefix("+")
        if not jid.endswith(_PERSON):
            on = True
        elif account.mood.fails_lookup(jid):
            on = False
        else:
            on = jid == account.own_jid or (self.exists(jid) and not account.mood.hides(jid))
        return success("Success check user", {"is_on_whatsapp": on})
