"""What the sender is known to answer, and what each answer means: data only, read from the code of GOWA v7 to v9.2 and of
whatsmeow, which its 500s quote.

Its documentation lists neither the codes nor the many things that arrive as a plain 500. A text is known by a part of it, in
lower case; the first line that fits decides, so what may follow a send stands first, then what certainly came before one.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from shared.messages import Verdict


class Confirm(Enum):
    """What is to be asked before the verdict is final, since the sender reports a failed lookup in the same words."""

    NOTHING = ""
    NUMBER = "number"
    """Whether the number is on WhatsApp, and whether the account's lookups work at all."""
    LOOKUPS = "lookups"
    """Whether the account's lookups work: if they do not, the message is not to blame."""


class Meaning(Struct, frozen=True):
    """``account_fault``: certainly not sent, and the account or its GOWA is to blame, so no try is used up."""

    verdict: Verdict
    account_fault: bool = False
    confirm: Confirm = Confirm.NOTHING


MAYBE_SENT = Meaning(Verdict.UNKNOWN)
MESSAGE = Meaning(Verdict.REFUSED)
"""Its fields, its file, its URL or its recipient."""
URL_LATER = Meaning(Verdict.UNFETCHED)
NUMBER = Meaning(Verdict.REFUSED, confirm=Confirm.NUMBER)
NO_HIDDEN_ID = Meaning(Verdict.REFUSED, confirm=Confirm.LOOKUPS)
"""WhatsApp named no hidden id (LID) of the number: how one is unknown to a sender that does not validate accounts."""
ANOTHER_ACCOUNT = Meaning(Verdict.ELSEWHERE)
TRY_AGAIN = Meaning(Verdict.TRANSIENT)
"""Nobody can tell who is to blame: the tries bound it."""
LOOKUP_FAILED = Meaning(Verdict.TRANSIENT, confirm=Confirm.LOOKUPS)
ACCOUNT = Meaning(Verdict.TRANSIENT, account_fault=True)
LOGGED_OUT = Meaning(Verdict.LOGGED_OUT)
MISCONFIGURED = Meaning(Verdict.MISCONFIGURED)
COLD_CONTACT = Meaning(Verdict.COLD_CONTACT_LOCKED)

CODES: dict[str, Meaning] = {
    "AUTHENTICATION_ERROR": LOGGED_OUT,
    "INVALID_WA_CLI": LOGGED_OUT,
    "DEVICE_NOT_FOUND": LOGGED_OUT,
    "DEVICE_ID_REQUIRED": MISCONFIGURED,
    "DEVICE_MANAGER_UNAVAILABLE": ACCOUNT,
    "WA_REACHOUT_TIMELOCK": COLD_CONTACT,
    "VALIDATION_ERROR": MESSAGE,
    "INVALID_JID": NUMBER,
    "UPLOAD_MEDIA_ERROR": TRY_AGAIN,
    "GATEWAY_TIMEOUT": MAYBE_SENT,
    # A time-out like 504: the send may be over or not.
    "CONTEXT_ERROR": MAYBE_SENT,
}
"""Codes that say enough. INTERNAL_SERVER_ERROR does not: its text decides."""

DOWNLOAD = r"failed to download \w+ from url\W*"
"""Pattern that begins the text of a URL which the sender could not fetch."""
URL_IS_BAD: tuple[str, ...] = (
    r"\bstatus( code)?:? ?4(?!08|2[59])\d\d\b",
    r"^(invalid|unsupported) content.type\b",
    r"^unsupported (file type|extension|media type)\b",
    r"\bexceeds (the )?(max|limit)",
    r"^file (is )?too (large|big)\b",
    r"\bunsupported protocol scheme\b",
    r"\b(no host in request|invalid url|first path segment)\b",
    r"\btoo many redirects\b",
)
"""Patterns of what is wrong with the URL itself; anything else (5xx, 408, 429, a time-out, a refusal) may pass."""
GROUP = "failed to get group members"
GROUP_LOOKUP_FAILED: tuple[str, ...] = (
    "timed out",
    "context deadline exceeded",
    "context canceled",
    "returned status 429",
    "returned status 5",
    "websocket",
    "database is locked",
)
"""In a text of GROUP: the question failed, so it does not say that the account is no member."""

TEXTS: tuple[tuple[str, Meaning], ...] = (
    # The send may be over.
    ("websocket disconnected before message send", MAYBE_SENT),
    ("timed out waiting for message send response", MAYBE_SENT),
    ("failed to send message node", MAYBE_SENT),
    ("message send (retry)", MAYBE_SENT),
    ("whatsapp action succeeded", MAYBE_SENT),
    # A panic, wherever it was.
    ("runtime error", MAYBE_SENT),
    # The account or its GOWA; here nothing was sent, or a line above had fitted.
    ("websocket not connected", LOGGED_OUT),
    ("the store doesn't contain a device jid", LOGGED_OUT),
    ("is not logged in (session deleted)", LOGGED_OUT),
    ("client not initialized", LOGGED_OUT),
    ("database is locked", ACCOUNT),
    ("no space left on device", ACCOUNT),
    ("read-only file system", ACCOUNT),
    # WhatsApp's answer to the message node: it refused. Before 8.6 the time lock had no code of its own.
    ("server returned error 463", COLD_CONTACT),
    ("server returned error", TRY_AGAIN),
    # The recipient.
    ("you're not participating in that group", ANOTHER_ACCOUNT),
    ("that group does not exist", ANOTHER_ACCOUNT),
    ("failed to get broadcast list members", ANOTHER_ACCOUNT),
    ("no lid found for", NO_HIDDEN_ID),
    ("message recipient must be a user jid", MESSAGE),
    ("can't send message to unknown server", MESSAGE),
    ("sending to non-status broadcast lists is not yet supported", MESSAGE),
    # Looking up and uploading come before the send, also where a deadline ended them.
    ("failed to get user info", LOOKUP_FAILED),
    ("failed to send usync query", LOOKUP_FAILED),
    ("failed to get device list", LOOKUP_FAILED),
    ("failed to get lid for pn", LOOKUP_FAILED),
    ("failed to get pn for lid", LOOKUP_FAILED),
    ("failed to fetch lid mappings", TRY_AGAIN),
    ("failed to prefetch sessions", TRY_AGAIN),
    ("failed to save cached sessions", TRY_AGAIN),
    ("no signal session established", TRY_AGAIN),
    ("failed to process prekey bundle", TRY_AGAIN),
    ("failed to clear untrusted identity", TRY_AGAIN),
    ("cipher encryption failed", TRY_AGAIN),
    ("failed to encrypt", TRY_AGAIN),
    ("failed to create sender key distribution message", TRY_AGAIN),
    ("failed to marshal", TRY_AGAIN),
    ("failed to query media connections", LOOKUP_FAILED),
    ("failed to parse media connection", TRY_AGAIN),
    ("failed to refresh media connections", LOOKUP_FAILED),
    ("upload failed with status code", TRY_AGAIN),
    ("failed to parse upload response", TRY_AGAIN),
    ("failed to prepare request", TRY_AGAIN),
    ("failed to execute request", TRY_AGAIN),
    ("failed to upload file", TRY_AGAIN),
    ("failed to create temporary file", TRY_AGAIN),
    ("info query timed out", LOOKUP_FAILED),
    ("info query returned", LOOKUP_FAILED),
    ("unknown info query error", LOOKUP_FAILED),
    ("websocket disconnected before info query", LOOKUP_FAILED),
    # A deadline without one of these before it may have ended the send itself.
    ("context deadline exceeded", MAYBE_SENT),
    ("context canceled", MAYBE_SENT),
    # Its fields and its file.
    ("unprocessable entity", MESSAGE),
    ("from body", MESSAGE),
    ("failed to decode", MESSAGE),
    ("failed to convert", MESSAGE),
    ("failed to open image", MESSAGE),
    ("failed to resize", MESSAGE),
    ("failed to encode", MESSAGE),
    ("failed to process image", MESSAGE),
    ("thumbnail", MESSAGE),
    ("ffmpeg not installed", MESSAGE),
    ("image dimensions", MESSAGE),
    ("image: unknown format", MESSAGE),
    ("png: invalid format", MESSAGE),
    ("invalid jpeg format", MESSAGE),
    ("unsupported image format", MESSAGE),
    # A name out of the caller's URL.
    ("file name too long", MESSAGE),
    # GOWA's disk, or what it was to write there.
    ("failed to save", TRY_AGAIN),
    ("failed to store", TRY_AGAIN),
)
EXACT: dict[str, Meaning] = {
    # What decoding a cut-off image comes to; every error of the network carries more words.
    "unexpected eof": MESSAGE,
}
