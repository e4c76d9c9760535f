"""What an answer of the sender means. The only place that compares status codes and texts.

The facts are read from the code of GOWA v8 and v9, since its documentation lists neither the codes nor the many things
that arrive as a plain 500. Two rules cover what is not listed: an unknown answer of 4xx is about the message, one of 5xx
may have been sent.
"""

from __future__ import annotations

import re

import orjson
from msgspec import Struct

from shared.messages import Verdict


class Answer(Struct, frozen=True):
    """A verdict with its evidence. ``confirm``: the sender reports a failed lookup in the same words, so the number is to
    be checked once more before the verdict is final."""

    verdict: Verdict
    reason: str
    http_status: int | None = None
    whatsapp_id: str | None = None
    confirm: bool = False
    too_late: bool = False
    """Not sent for a reason of ours, mostly because the time between gate and send was over: nobody's fault."""
    elapsed_ms: int = 0

    @property
    def breaker_outcome(self) -> str:
        """What it says about the endpoint: ok, fail, critical or ignore."""
        return "ignore" if self.too_late else _BREAKER_OUTCOMES[self.verdict]


_BREAKER_OUTCOMES = {
    Verdict.SENT: "ok",
    Verdict.REFUSED: "ok",
    Verdict.TRANSIENT: "fail",
    Verdict.UNKNOWN: "fail",
    Verdict.NOT_SENT: "fail",
    Verdict.LOGGED_OUT: "critical",
    Verdict.MISCONFIGURED: "critical",
    # WhatsApp refuses a new chat; the account works and its known chats go on.
    Verdict.COLD_CONTACT_LOCKED: "ignore",
}

# Parts of the texts that come with 500 INTERNAL_SERVER_ERROR, in lower case; the first list that has one decides.
_MAYBE_SENT = (
    "websocket disconnected before message send",
    "timed out waiting for message send response",
    "failed to send message node",
    "message send (retry)",
)
_LOGGED_OUT = ("the store doesn't contain a device jid", "is not logged in (session deleted)")
_NOT_SENT_YET = (
    "failed to get user info",
    "failed to send usync query",
    "failed to get device list",
    "failed to fetch lid mappings",
    "failed to prefetch sessions",
    "info query timed out",
    "info query returned status",
    "database is locked",
    "websocket not connected",
    "upload failed with status code",
    "failed to refresh media connections",
    "failed to execute request",
    "failed to upload file",
    "server returned error",
)
_REFUSED = (
    "no lid found for",
    "unprocessable entity",
    "from body",
    "failed to decode",
    "thumbnail",
    "failed to convert",
    "ffmpeg not installed",
    "image dimensions",
    "failed to get group members",
    "you're not participating in that group",
    "that group does not exist",
    "message recipient must be a user jid",
)
_DOWNLOADS = ("failed to download image from url", "failed to download file from url")
_DOWNLOAD_IS_PERMANENT = (
    "status 4",
    "status: 4",
    "content type",
    "content-type",
    "extension",
    "too large",
    "exceeds",
    "size",
)


def read_answer(http_status: int, body: bytes, elapsed_ms: int = 0) -> Answer:
    """The verdict on an attempt that was answered."""
    verdict, reason, whatsapp_id, confirm = _read(http_status, body)
    return Answer(verdict, reason, http_status, whatsapp_id, confirm, elapsed_ms=elapsed_ms)


def _read(http_status: int, body: bytes) -> tuple[Verdict, str, str | None, bool]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("code"), str):
        return *_without_envelope(http_status), None, False
    code = parsed["code"]
    text = _without_addresses(str(parsed.get("message") or ""))[:300]
    if 200 <= http_status < 300:
        results = parsed.get("results")
        whatsapp_id = results.get("message_id") if isinstance(results, dict) else None
        if code == "SUCCESS" and isinstance(whatsapp_id, str) and whatsapp_id:
            return Verdict.SENT, "", whatsapp_id, False
        return Verdict.UNKNOWN, f"the sender answered {http_status} without a message id", None, False
    reason = f"{code}: {_without_number(text)}"
    return _with_envelope(http_status, code, text.lower()), reason, None, code == "INVALID_JID"


def _with_envelope(http_status: int, code: str, text: str) -> Verdict:
    match code:
        case "AUTHENTICATION_ERROR" | "INVALID_WA_CLI" | "DEVICE_NOT_FOUND":
            return Verdict.LOGGED_OUT
        case "DEVICE_ID_REQUIRED":
            return Verdict.MISCONFIGURED
        case "WA_REACHOUT_TIMELOCK":
            return Verdict.COLD_CONTACT_LOCKED
        case "VALIDATION_ERROR" | "INVALID_JID":
            return Verdict.REFUSED
        case "UPLOAD_MEDIA_ERROR" | "DEVICE_MANAGER_UNAVAILABLE":
            return Verdict.TRANSIENT
        case "GATEWAY_TIMEOUT":
            return Verdict.UNKNOWN
    if http_status == 401:
        return Verdict.LOGGED_OUT
    if http_status == 403:
        return Verdict.MISCONFIGURED
    if http_status == 429:
        return Verdict.TRANSIENT
    if http_status == 408:
        # A time-out like 504: the send may be over or not.
        return Verdict.UNKNOWN
    if http_status < 500:
        return Verdict.REFUSED
    return _of_text(text)


def _of_text(text: str) -> Verdict:
    """The mixed bag of 500 INTERNAL_SERVER_ERROR."""
    if any(part in text for part in _MAYBE_SENT):
        return Verdict.UNKNOWN
    if any(part in text for part in _LOGGED_OUT):
        return Verdict.LOGGED_OUT
    if any(part in text for part in _DOWNLOADS):
        return Verdict.REFUSED if any(part in text for part in _DOWNLOAD_IS_PERMANENT) else Verdict.TRANSIENT
    if any(part in text for part in _NOT_SENT_YET):
        # Also where a deadline ended it: looking up and uploading come before the send.
        return Verdict.TRANSIENT
    if "context deadline exceeded" in text:
        return Verdict.UNKNOWN
    if any(part in text for part in _REFUSED):
        return Verdict.REFUSED
    return Verdict.UNKNOWN


def _without_envelope(http_status: int) -> tuple[Verdict, str]:
    reason = f"HTTP {http_status} without GOWA's envelope"
    if http_status == 413:
        return Verdict.REFUSED, "HTTP 413: the sender takes at most 100 MB"
    if http_status == 429:
        return Verdict.TRANSIENT, reason
    # 2xx and 5xx: something between us and GOWA, or GOWA dying, may have let it through.
    if http_status < 300 or http_status >= 500 or http_status == 408:
        return Verdict.UNKNOWN, reason
    # Wrong credentials, route, version or a redirect: nothing of it is the message's fault.
    return Verdict.MISCONFIGURED, reason


def _without_addresses(text: str) -> str:
    """The text without the caller's URLs, whose words are not the sender's and which may be signed."""
    return re.sub(r"https?://[^\s\"']+", "URL", text, flags=re.IGNORECASE)


def _without_number(text: str) -> str:
    """Reasons are grouped and shown; the recipient's number has no place in them."""
    words = ["***" if sum(letter.isdigit() for letter in word) >= 7 else word for word in text.split()]
    return " ".join(words)


def not_sent(reason: str, elapsed_ms: int = 0) -> Answer:
    """Nothing was written to the endpoint."""
    return Answer(Verdict.NOT_SENT, reason, elapsed_ms=elapsed_ms)


def too_late(elapsed_ms: int = 0) -> Answer:
    """The start limit was over before anything complete had been written."""
    reason = "the time between gate and send was over"
    return Answer(Verdict.NOT_SENT, reason, too_late=True, elapsed_ms=elapsed_ms)


def unknown(reason: str, elapsed_ms: int = 0) -> Answer:
    """The connection was in hand when it failed, so the request may have arrived."""
    return Answer(Verdict.UNKNOWN, reason, elapsed_ms=elapsed_ms)
