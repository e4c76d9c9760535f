"""What a message is; nothing in this package does I/O.

In reading order: ``states`` (statuses, lanes, verdicts), ``kinds`` (what is sent, and all that is particular to it), ``ids``,
``entry`` (the line that stands for a message in a stream), ``phone_key`` (one person, however the number is spelt). What nearly
everybody needs is here.
"""

from shared.messages.entry import ALONE_AFTER as ALONE_AFTER
from shared.messages.entry import ENTRY_VERSION as ENTRY_VERSION
from shared.messages.entry import Entry as Entry
from shared.messages.ids import MessageIds as MessageIds
from shared.messages.ids import new_message_ids as new_message_ids
from shared.messages.ids import own_message_id as own_message_id
from shared.messages.kinds import KINDS as KINDS
from shared.messages.kinds import Kind as Kind
from shared.messages.states import TERMINAL as TERMINAL
from shared.messages.states import TRANSITIONS as TRANSITIONS
from shared.messages.states import WAITING as WAITING
from shared.messages.states import CampaignStatus as CampaignStatus
from shared.messages.states import Lane as Lane
from shared.messages.states import OnUnknown as OnUnknown
from shared.messages.states import Receipt as Receipt
from shared.messages.states import Refusal as Refusal
from shared.messages.states import Status as Status
from shared.messages.states import Verdict as Verdict
