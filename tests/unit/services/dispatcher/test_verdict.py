"""Every line of the sender's table of errors, and what is not in it."""

from __future__ import annotations

import json
from enum import Enum

import pytest

from services.dispatcher.sending import sender_answers
from services.dispatcher.sending.sender_answers import Confirm
from services.dispatcher.sending.verdict import Answer, _listed, not_sent, read_answer, too_late, unknown
from shared.messages import Verdict


def envelope(status: int, code: str, message: str, results: object = None) -> Answer:
    body = {"status": status, "code": code, "message": message, "results": results}
    return read_answer(status, json.dumps(body).encode(), elapsed_ms=7)


class Says(Enum):
    """(verdict, what it says about the breaker, whose fault a transient one is, what is asked before it is final)."""

    SENT_MAYBE = (Verdict.UNKNOWN, "fail", False, Confirm.NOTHING)
    MESSAGE = (Verdict.REFUSED, "ok", False, Confirm.NOTHING)
    NUMBER = (Verdict.REFUSED, "ok", False, Confirm.NUMBER)
    HIDDEN_ID = (Verdict.REFUSED, "ok", False, Confirm.LOOKUPS)
    URL_LATER = (Verdict.UNFETCHED, "ignore", False, Confirm.NOTHING)
    ELSEWHERE = (Verdict.ELSEWHERE, "ok", False, Confirm.NOTHING)
    AGAIN = (Verdict.TRANSIENT, "fail", False, Confirm.NOTHING)
    LOOKUPS = (Verdict.TRANSIENT, "fail", False, Confirm.LOOKUPS)
    ACCOUNT = (Verdict.TRANSIENT, "fail", True, Confirm.NOTHING)
    LOGGED_OUT = (Verdict.LOGGED_OUT, "critical", False, Confirm.NOTHING)
    MISCONFIGURED = (Verdict.MISCONFIGURED, "critical", False, Confirm.NOTHING)
    COLD = (Verdict.COLD_CONTACT_LOCKED, "ignore", False, Confirm.NOTHING)


def said(answer: Answer) -> object:
    return answer.verdict, answer.breaker_outcome, answer.account_fault, answer.confirm


LISTED = [
    (400, "VALIDATION_ERROR", "message: cannot be blank.", Says.MESSAGE),
    (400, "INVALID_JID", "Phone 15550100001@s.whatsapp.net is not on whatsapp", Says.NUMBER),
    (400, "DEVICE_ID_REQUIRED", "Device ID is required", Says.MISCONFIGURED),
    (401, "AUTHENTICATION_ERROR", "you are not connect to services server, please reconnect", Says.LOGGED_OUT),
    (401, "AUTHENTICATION_ERROR", "you are not logged in", Says.LOGGED_OUT),
    (404, "DEVICE_NOT_FOUND", "Device not found", Says.LOGGED_OUT),
    (408, "CONTEXT_ERROR", "context canceled", Says.SENT_MAYBE),
    (429, "WA_REACHOUT_TIMELOCK", "WhatsApp error 463", Says.COLD),
    (500, "INVALID_WA_CLI", "your WhatsApp CLI is invalid or empty", Says.LOGGED_OUT),
    (500, "UPLOAD_MEDIA_ERROR", "failed to upload", Says.AGAIN),
    (503, "DEVICE_MANAGER_UNAVAILABLE", "device manager is not ready", Says.ACCOUNT),
    (504, "GATEWAY_TIMEOUT", "Request timed out waiting for WhatsApp server response", Says.SENT_MAYBE),
]
UNLISTED = [
    # What no list has: 4xx is about the message, 5xx may have been sent.
    (418, "TEAPOT", "short and stout", Says.MESSAGE),
    (503, "SOMETHING_NEW", "who knows", Says.SENT_MAYBE),
    (401, "SOMETHING_NEW", "who are you", Says.LOGGED_OUT),
    (403, "FORBIDDEN", "not you", Says.MISCONFIGURED),
    (429, "SLOW_DOWN", "too many", Says.ACCOUNT),
    (408, "TOO_SLOW", "you", Says.SENT_MAYBE),
    (500, "INTERNAL_SERVER_ERROR", "something that nobody has seen", Says.SENT_MAYBE),
    (500, "INTERNAL_SERVER_ERROR", "", Says.SENT_MAYBE),
    (422, "INTERNAL_SERVER_ERROR", "another thing", Says.MESSAGE),
]


@pytest.mark.parametrize(("status", "code", "message", "says"), LISTED)
def test_codes(status: int, code: str, message: str, says: Says) -> None:
    answer = envelope(status, code, message)
    assert said(answer) == says.value
    assert (answer.http_status, answer.elapsed_ms, answer.is_listed) == (status, 7, True)
    assert answer.reason.startswith(code)
    assert answer.whatsapp_id is None


@pytest.mark.parametrize(("status", "code", "message", "says"), UNLISTED)
def test_what_is_not_listed_is_told_apart(status: int, code: str, message: str, says: Says) -> None:
    answer = envelope(status, code, message)
    assert said(answer) == says.value
    assert not answer.is_listed


IMAGE_URL, FILE_URL = "failed to download image from URL ", "failed to download file from URL "
TEXTS = [
    # The body that we made.
    ("bind: phone from body", Says.MESSAGE),
    ("failed to bind BaseRequest.phone from body", Says.MESSAGE),
    ("Unprocessable Entity", Says.MESSAGE),
    # Its URL: for good.
    (IMAGE_URL + "HTTP request failed with status: 404 Not Found", Says.MESSAGE),
    (IMAGE_URL + "HTTP request failed with status: 403 Forbidden", Says.MESSAGE),
    (IMAGE_URL + "unsupported file type: .gif", Says.MESSAGE),
    (IMAGE_URL + "unsupported file type: ", Says.MESSAGE),
    (IMAGE_URL + "invalid content type: text/html", Says.MESSAGE),
    (IMAGE_URL + "image size 20000001 exceeds maximum allowed size 20000000", Says.MESSAGE),
    (IMAGE_URL + 'Get "ftp://files.example/a.png": unsupported protocol scheme "ftp"', Says.MESSAGE),
    (IMAGE_URL + 'Get "https://files.example/b.png": too many redirects', Says.MESSAGE),
    ("failed to download image from URL: unsupported extension", Says.MESSAGE),
    (FILE_URL + "file size exceeds the maximum allowed size", Says.MESSAGE),
    (
        FILE_URL + "downloaded file size of 60000000 bytes exceeds the maximum allowed size of 50000000 bytes",
        Says.MESSAGE,
    ),
    ("failed to download video from URL invalid content type: video/webm", Says.MESSAGE),
    ("failed to download audio from URL HTTP request failed with status: 410 Gone", Says.MESSAGE),
    # Its URL: perhaps not for long.
    (IMAGE_URL + "HTTP request failed with status: 503 Service Unavailable", Says.URL_LATER),
    (IMAGE_URL + "HTTP request failed with status: 429 Too Many Requests", Says.URL_LATER),
    (IMAGE_URL + "HTTP request failed with status: 408 Request Timeout", Says.URL_LATER),
    (IMAGE_URL + "HTTP request failed with status: 425 Too Early", Says.URL_LATER),
    (
        IMAGE_URL + 'Get "https://files.example/a.png": dial tcp 203.0.113.5:443: connect: connection refused',
        Says.URL_LATER,
    ),
    (IMAGE_URL + 'Get "https://files.example/a.png": dial tcp: lookup files.example: no such host', Says.URL_LATER),
    (
        FILE_URL
        + 'Get "https://files.example/a.pdf": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        Says.URL_LATER,
    ),
    (FILE_URL + "unexpected EOF", Says.URL_LATER),
    ("failed to download file from URL: status 503", Says.URL_LATER),
    ("failed to download sticker from URL HTTP request failed with status: 500 Oops", Says.URL_LATER),
    # A word in the address, or of a host, is no reason of the sender's.
    ('failed to download image from URL: Get "https://cdn.example/size/a.png": i/o timeout', Says.URL_LATER),
    (IMAGE_URL + 'Get "https://exceeds.example/404": dial tcp: lookup exceeds.example: i/o timeout', Says.URL_LATER),
    # Its file.
    ("failed to decode WebP image: unknown format", Says.MESSAGE),
    ("failed to convert WebP to PNG", Says.MESSAGE),
    ("failed to create thumbnail", Says.MESSAGE),
    ("failed to save thumbnail unsupported image format", Says.MESSAGE),
    (
        "Failed to open image file 'statics/senditems/a.png' for thumbnail generation: unexpected EOF. Possible causes: file"
        " not found, unsupported format, or permission denied.",
        Says.MESSAGE,
    ),
    ("failed to open image image: unknown format", Says.MESSAGE),
    ("image: unknown format", Says.MESSAGE),
    ("unexpected EOF", Says.MESSAGE),
    ("ffmpeg not installed", Says.MESSAGE),
    ("image dimensions are too large", Says.MESSAGE),
    # Its recipient.
    ("no LID found for 15550100001@s.whatsapp.net from server", Says.HIDDEN_ID),
    ("message recipient must be a user JID with no device part", Says.MESSAGE),
    ("can't send message to unknown server c.us", Says.MESSAGE),
    ("sending to non-status broadcast lists is not yet supported", Says.MESSAGE),
    # A group that this account is not in; a question that failed says nothing of it.
    ("failed to get group members: you're not participating in that group", Says.ELSEWHERE),
    ("you're not participating in that group", Says.ELSEWHERE),
    ("failed to get group members: that group does not exist", Says.ELSEWHERE),
    ("failed to get group members: info query returned status 401: not-authorized", Says.ELSEWHERE),
    ("failed to get group members: forbidden", Says.ELSEWHERE),
    ("failed to get group members: info query timed out", Says.LOOKUPS),
    ("failed to get group members: info query returned status 429: rate-overlimit", Says.LOOKUPS),
    ("failed to get group members: info query returned status 503: service-unavailable", Says.LOOKUPS),
    ("failed to get group members: websocket not connected", Says.LOOKUPS),
    ("failed to get group members: context deadline exceeded", Says.LOOKUPS),
    # Lookups and uploads, which come before the send.
    ("failed to get user info for 15550100001@s.whatsapp.net to fill LID cache: EOF", Says.LOOKUPS),
    ("failed to get user info: context deadline exceeded", Says.LOOKUPS),
    ("failed to send usync query: info query timed out", Says.LOOKUPS),
    (
        "failed to get device list: failed to send usync query: info query returned status 429: rate-overlimit",
        Says.LOOKUPS,
    ),
    ("failed to get LID for PN 15550100001@s.whatsapp.net: EOF", Says.LOOKUPS),
    ("info query timed out", Says.LOOKUPS),
    ("info query returned status 429: rate-overlimit", Says.LOOKUPS),
    ("failed to refresh media connections: failed to query media connections: info query timed out", Says.LOOKUPS),
    ("websocket disconnected before info query returned response", Says.LOOKUPS),
    ("failed to fetch LID mappings: EOF", Says.AGAIN),
    ("failed to prefetch sessions: EOF", Says.AGAIN),
    ("failed to save cached sessions: EOF", Says.AGAIN),
    ("can't encrypt message for device: no signal session established with 1", Says.AGAIN),
    ("failed to encrypt file: EOF", Says.AGAIN),
    ("failed to create sender key distribution message to send 3EB0 to 1@g.us: EOF", Says.AGAIN),
    ("failed to marshal message: bad", Says.AGAIN),
    ("upload failed with status code 503", Says.AGAIN),
    ("failed to parse upload response: EOF", Says.AGAIN),
    ("failed to execute request: EOF", Says.AGAIN),
    ("Failed to upload file: context deadline exceeded", Says.AGAIN),
    ("server returned error 479", Says.AGAIN),
    # Before 8.6 the time lock had no code of its own.
    ("server returned error 463", Says.COLD),
    # The account, or its GOWA.
    ("database is locked (5) (SQLITE_BUSY)", Says.ACCOUNT),
    ("failed to save downloaded image open a.png: no space left on device", Says.ACCOUNT),
    ("failed to store downloaded video in server open a.mp4: read-only file system", Says.ACCOUNT),
    # Its disk, or the name or kind of what it was to write: the tries bound it, or it is the message's.
    ("failed to store video in server", Says.AGAIN),
    ("failed to save downloaded image open a.png: invalid argument", Says.AGAIN),
    ("failed to save downloaded image open " + "a" * 400 + ".png: file name too long", Says.MESSAGE),
    ("failed to save image imaging: unsupported image format", Says.MESSAGE),
    ("failed to create temporary file: EOF", Says.AGAIN),
    ("websocket not connected", Says.LOGGED_OUT),
    ("failed to get device list: failed to send usync query: websocket not connected", Says.LOGGED_OUT),
    ("the store doesn't contain a device JID", Says.LOGGED_OUT),
    ("device sales-1 is not logged in (session deleted)", Says.LOGGED_OUT),
    # It may have been sent.
    ("failed to send message node: EOF", Says.SENT_MAYBE),
    ("failed to send message node: websocket not connected", Says.SENT_MAYBE),
    ("websocket disconnected before message send returned response", Says.SENT_MAYBE),
    ("websocket disconnected before message send (retry) returned response", Says.SENT_MAYBE),
    ("message send (retry): websocket not connected", Says.SENT_MAYBE),
    ("timed out waiting for message send response", Says.SENT_MAYBE),
    ("sending: context deadline exceeded", Says.SENT_MAYBE),
    ("WhatsApp action succeeded, but local storage failed", Says.SENT_MAYBE),
    ("runtime error: invalid memory address or nil pointer dereference", Says.SENT_MAYBE),
]


@pytest.mark.parametrize(("text", "says"), TEXTS)
@pytest.mark.parametrize("spelling", [str, str.upper])
def test_texts_of_500(text: str, says: Says, spelling: object) -> None:
    message = text.upper() if spelling is str.upper else text
    answer = envelope(500, "INTERNAL_SERVER_ERROR", message)
    assert said(answer) == says.value
    assert answer.is_listed


def test_every_line_of_the_table_is_tried() -> None:
    """And none is hidden by one above it."""
    for part, meaning in sender_answers.TEXTS:
        assert _listed("INTERNAL_SERVER_ERROR", part) == meaning, f"{part!r} is hidden by a line above it"
    assert set(sender_answers.CODES) == {code for _, code, _, _ in LISTED}


BODIES = [
    (400, b"Bad Request", Verdict.MISCONFIGURED),
    (401, b"Unauthorized", Verdict.MISCONFIGURED),
    (403, b"Forbidden", Verdict.MISCONFIGURED),
    (404, b"Cannot POST /send/message", Verdict.MISCONFIGURED),
    (405, b"Method Not Allowed", Verdict.MISCONFIGURED),
    (413, b"Request Entity Too Large", Verdict.REFUSED),
    (429, b"slow down", Verdict.TRANSIENT),
    (301, b"", Verdict.MISCONFIGURED),
    # Somebody between us and the sender, or the sender dying: it may have been sent.
    (200, b"<html>welcome</html>", Verdict.UNKNOWN),
    (200, b"", Verdict.UNKNOWN),
    (204, b"", Verdict.UNKNOWN),
    (408, b"", Verdict.UNKNOWN),
    (500, b"\xff\xfe\x00garbage", Verdict.UNKNOWN),
    (502, b"<html>Bad Gateway</html>", Verdict.UNKNOWN),
    (503, b"[]", Verdict.UNKNOWN),
    (504, b"null", Verdict.UNKNOWN),
    (500, b'{"code": 500, "message": "no text"}', Verdict.UNKNOWN),
    (401, b'{"error": "no code"}', Verdict.MISCONFIGURED),
]


@pytest.mark.parametrize(("status", "body", "verdict"), BODIES)
def test_answers_that_are_not_the_senders(status: int, body: bytes, verdict: Verdict) -> None:
    answer = read_answer(status, body)
    assert answer.verdict is verdict
    assert answer.http_status == status
    assert answer.reason


def test_sent_needs_an_id() -> None:
    sent = envelope(200, "SUCCESS", "Message sent", {"message_id": "3EB0AA", "status": "sent"})
    assert (sent.verdict, sent.whatsapp_id, sent.reason) == (Verdict.SENT, "3EB0AA", "")


@pytest.mark.parametrize("results", [None, {}, {"message_id": ""}, {"message_id": 5}, []])
def test_success_without_an_id_may_have_been_sent(results: object) -> None:
    answer = envelope(200, "SUCCESS", "Message sent", results)
    assert answer.verdict is Verdict.UNKNOWN
    assert answer.whatsapp_id is None


def test_another_2xx_is_never_a_refusal() -> None:
    assert envelope(202, "SUCCESS", "Message sent", {"message_id": "3EB0AA"}).verdict is Verdict.SENT
    assert envelope(202, "ACCEPTED", "Message queued").verdict is Verdict.UNKNOWN
    assert envelope(200, "FAILURE", "no", {"message_id": "3EB0AA"}).verdict is Verdict.UNKNOWN


def test_the_number_is_not_in_the_reason() -> None:
    for text in (
        "Phone 15550100001@s.whatsapp.net is not on whatsapp",
        "Phone +15550100001 is not on whatsapp",
        "no LID found for 120363000000000000@g.us from server",
    ):
        reason = envelope(400, "INVALID_JID", text).reason
        assert "***" in reason
        assert not any(len(word) >= 7 and word.isdigit() for word in reason.replace("@", " ").replace("+", " ").split())
    assert envelope(400, "X", "status 479 after 30 s").reason == "X: status 479 after 30 s"


def test_an_address_is_not_in_the_reason() -> None:
    reason = envelope(500, "INTERNAL_SERVER_ERROR", 'failed: Get "https://cdn.example/a.png?signature=abc": EOF').reason
    assert "signature" not in reason
    assert "EOF" in reason


def test_a_long_text_is_cut() -> None:
    assert len(envelope(500, "INTERNAL_SERVER_ERROR", "x" * 10_000).reason) < 400


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.SENT, "ok"),
        (Verdict.REFUSED, "ok"),
        (Verdict.ELSEWHERE, "ok"),
        (Verdict.UNFETCHED, "ignore"),
        (Verdict.TRANSIENT, "fail"),
        (Verdict.UNKNOWN, "fail"),
        (Verdict.NOT_SENT, "fail"),
        (Verdict.LOGGED_OUT, "critical"),
        (Verdict.MISCONFIGURED, "critical"),
        (Verdict.COLD_CONTACT_LOCKED, "ignore"),
    ],
)
def test_what_a_verdict_says_about_the_endpoint(verdict: Verdict, outcome: str) -> None:
    assert Answer(verdict, "").breaker_outcome == outcome


def test_answers_that_never_came() -> None:
    assert not_sent("no connection").verdict is Verdict.NOT_SENT
    assert unknown("no answer").verdict is Verdict.UNKNOWN
    late = too_late()
    assert late.verdict is Verdict.NOT_SENT
    assert late.breaker_outcome == "ignore", "our own delay is not the endpoint's fault"
