"""What an answer of the sender means. The only place that compares status codes and texts; the table is ``sender_answers``.

Two rules cover what is not listed: an unknown answer of 4xx is about the message, one of 5xx may have been sent.
"""

from __future__ import annotations

import re

import orjson
from msgspec import Struct

from services.dispatcher.sending.sender_answers import (
    ACCOUNT,
    ANOTHER_ACCOUNT,
    CODES,
    DOWNLOAD,
    EXACT,
    GROUP,
    GROUP_LOOKUP_FAILED,
    LOGGED_OUT,
    LOOKUP_FAILED,
    MAYBE_SENT,
    MESSAGE,
    MISCONFIGURED,
    TEXTS,
    URL_IS_BAD,
    URL_LATER,
    Confirm,
    Meaning,
)
from shared.endpoints.breaker_state import BreakerOutcome
from shared.messages import Verdict


class Answer(Struct, frozen=True):
    """A verdict with its evidence. ``confirm``: what to ask before it is final. ``account_fault``: the account is to blame for
    what is otherwise transient, so no try is used up. ``is_listed``: the table of the sender's answers has it."""

    verdict: Verdict
    reason: str
    http_status: int | None = None
    whatsapp_id: str | None = None
    confirm: Confirm = Confirm.NOTHING
    account_fault: bool = False
    is_listed: bool = True
    too_late: bool = False
    """Not sent for a reason of ours, mostly because the time between gate and send was over: nobody's fault."""
    elapsed_ms: int = 0

    @property
    def breaker_outcome(self) -> BreakerOutcome:
        """What it says about the endpoint."""
        return BreakerOutcome.IGNORE if self.too_late else _BREAKER_OUTCOMES[self.verdict]


_BREAKER_OUTCOMES = {
    Verdict.SENT: BreakerOutcome.OK,
    Verdict.REFUSED: BreakerOutcome.OK,
    Verdict.ELSEWHERE: BreakerOutcome.OK,
    # It got as far as the URL, which says nothing about the way to WhatsApp.
    Verdict.UNFETCHED: BreakerOutcome.IGNORE,
    Verdict.TRANSIENT: BreakerOutcome.FAIL,
    Verdict.UNKNOWN: BreakerOutcome.FAIL,
    Verdict.NOT_SENT: BreakerOutcome.FAIL,
    Verdict.LOGGED_OUT: BreakerOutcome.CRITICAL,
    Verdict.MISCONFIGURED: BreakerOutcome.CRITICAL,
    # WhatsApp refuses a new chat; the account works and its known chats go on.
    Verdict.COLD_CONTACT_LOCKED: BreakerOutcome.IGNORE,
}
_SENT = Meaning(Verdict.SENT)
_LONGEST_REASON = 300
_DOWNLOAD = re.compile(DOWNLOAD)
_URL_IS_BAD = re.compile("|".join(URL_IS_BAD))


class _Read(Struct, frozen=True):
    meaning: Meaning
    reason: str
    whatsapp_id: str | None = None
    is_listed: bool = True


def read_answer(http_status: int, body: bytes, elapsed_ms: int = 0) -> Answer:
    """The verdict on an attempt that was answered."""
    read = _read(http_status, body)
    return Answer(
        read.meaning.verdict,
        read.reason,
        http_status,
        read.whatsapp_id,
        confirm=read.meaning.confirm,
        account_fault=read.meaning.account_fault,
        is_listed=read.is_listed,
        elapsed_ms=elapsed_ms,
    )


def read_typing_trouble(http_status: int, body: bytes) -> Answer | None:
    """What an answer to typing says against the account, None: nothing. Only what concerns all that it sends counts: a number
    that is not found is looked up again by the send, and a sender before 7.1 has no typing."""
    answer = read_answer(http_status, body)
    if answer.verdict in (Verdict.LOGGED_OUT, Verdict.MISCONFIGURED):
        return None if answer.verdict is Verdict.MISCONFIGURED and http_status in (404, 405) else answer
    return not_sent(f"HTTP {http_status} for typing") if http_status in (502, 503, 504) else None


def _read(http_status: int, body: bytes) -> _Read:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("code"), str):
        return _without_envelope(http_status)
    code = parsed["code"]
    text = _without_addresses(str(parsed.get("message") or ""))
    if 200 <= http_status < 300:
        results = parsed.get("results")
        whatsapp_id = results.get("message_id") if isinstance(results, dict) else None
        if code == "SUCCESS" and isinstance(whatsapp_id, str) and whatsapp_id:
            return _Read(_SENT, "", whatsapp_id)
        return _Read(MAYBE_SENT, f"the sender answered {http_status} without a message id", is_listed=False)
    meaning = _listed(code, text.lower())
    # What went wrong stands last, behind names of any length.
    reason = f"{code[:50]}: {_without_number(text[:_LONGEST_REASON])}"
    return _Read(meaning or _by_status(http_status), reason, is_listed=meaning is not None)


def _listed(code: str, text: str) -> Meaning | None:
    """What the table says; None: it has neither the code nor the text. ``text`` in lower case."""
    if code in CODES:
        return CODES[code]
    if code != "INTERNAL_SERVER_ERROR":
        return None
    download = _DOWNLOAD.match(text)
    if download:
        return MESSAGE if _URL_IS_BAD.search(text[download.end() :]) else URL_LATER
    if GROUP in text:
        return LOOKUP_FAILED if any(part in text for part in GROUP_LOOKUP_FAILED) else ANOTHER_ACCOUNT
    return EXACT.get(text) or next((meaning for part, meaning in TEXTS if part in text), None)


def _by_status(http_status: int) -> Meaning:
    """For what no list has: a 4xx is about the message, a 5xx may have been sent."""
    match http_status:
        case 401:
            return LOGGED_OUT
        case 403:
            return MISCONFIGURED
        case 408:
            return MAYBE_SENT
        case 429:
            return ACCOUNT
    return MESSAGE if http_status < 500 else MAYBE_SENT


def _without_envelope(http_status: int) -> _Read:
    reason = f"HTTP {http_status} without GOWA's envelope"
    if http_status == 413:
        return _Read(MESSAGE, "HTTP 413: the sender takes at most 100 MB")
    if http_status == 429:
        return _Read(ACCOUNT, reason)
    # 2xx and 5xx: something between us and GOWA, or GOWA dying, may have let it through.
    if http_status < 300 or http_status >= 500 or http_status == 408:
        return _Read(MAYBE_SENT, reason)
    # Wrong credentials, route, version or a redirect: nothing of it is the message's fault.
    return _Read(MISCONFIGURED, reason)


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


def broken_off(reason: str, error: BaseException, elapsed_ms: int = 0) -> Answer:
    """The connection failed before the last part of an upload was handed to it. One that only took too long may do so again,
    whoever sends it, so the tries bound it."""
    verdict = Verdict.TRANSIENT if isinstance(error, TimeoutError) else Verdict.NOT_SENT
    return Answer(verdict, reason, elapsed_ms=elapsed_ms)


def too_late(elapsed_ms: int = 0) -> Answer:
    """The start limit was over before anything complete had been written."""
    reason = "the time between gate and send was over"
    return Answer(Verdict.NOT_SENT, reason, too_late=True, elapsed_ms=elapsed_ms)


def unknown(reason: str, elapsed_ms: int = 0) -> Answer:
    """The connection was in hand when it failed, so the request may have arrived."""
    return Answer(Verdict.UNKNOWN, reason, elapsed_ms=elapsed_ms)
