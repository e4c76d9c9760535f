"""Every line of the sender's table of errors, and what is not in it."""

from __future__ import annotations

import json

import pytest

from services.dispatcher.sending.verdict import Answer, not_sent, read_answer, too_late, unknown
from shared.messages import Verdict


def envelope(status: int, code: str, message: str, results: object = None) -> Answer:
    body = {"status": status, "code": code, "message": message, "results": results}
    return read_answer(status, json.dumps(body).encode(), elapsed_ms=7)


LISTED = [
    (400, "VALIDATION_ERROR", "message: cannot be blank.", Verdict.REFUSED),
    (400, "INVALID_JID", "Phone 15550100001@s.whatsapp.net is not on whatsapp", Verdict.REFUSED),
    (400, "DEVICE_ID_REQUIRED", "Device ID is required", Verdict.MISCONFIGURED),
    (
        401,
        "AUTHENTICATION_ERROR",
        "you are not connect to services server, please reconnect",
        Verdict.LOGGED_OUT,
    ),
    (401, "AUTHENTICATION_ERROR", "you are not logged in", Verdict.LOGGED_OUT),
    (404, "DEVICE_NOT_FOUND", "Device not found", Verdict.LOGGED_OUT),
    (429, "WA_REACHOUT_TIMELOCK", "WhatsApp error 463", Verdict.COLD_CONTACT_LOCKED),
    (500, "INVALID_WA_CLI", "your WhatsApp CLI is invalid or empty", Verdict.LOGGED_OUT),
    (500, "UPLOAD_MEDIA_ERROR", "failed to upload", Verdict.TRANSIENT),
    (503, "DEVICE_MANAGER_UNAVAILABLE", "device manager is not ready", Verdict.TRANSIENT),
    (504, "GATEWAY_TIMEOUT", "Request timed out waiting for WhatsApp server response", Verdict.UNKNOWN),
    # What no list has: 4xx is about the message, 5xx may have been sent.
    (418, "TEAPOT", "short and stout", Verdict.REFUSED),
    (503, "SOMETHING_NEW", "who knows", Verdict.UNKNOWN),
    (401, "SOMETHING_NEW", "who are you", Verdict.LOGGED_OUT),
    (403, "FORBIDDEN", "not you", Verdict.MISCONFIGURED),
    (429, "SLOW_DOWN", "too many", Verdict.TRANSIENT),
    (408, "CONTEXT_ERROR", "context canceled", Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("status", "code", "message", "verdict"), LISTED)
def test_codes(status: int, code: str, message: str, verdict: Verdict) -> None:
    answer = envelope(status, code, message)
    assert (answer.verdict, answer.http_status, answer.elapsed_ms) == (verdict, status, 7)
    assert answer.reason.startswith(code)
    assert answer.whatsapp_id is None


TEXTS = [
    ("failed to bind request from body", Verdict.REFUSED),
    ("Unprocessable Entity", Verdict.REFUSED),
    ("failed to download image from URL: HTTP request failed with status: 404 Not Found", Verdict.REFUSED),
    ("failed to download image from URL: invalid content type: text/html", Verdict.REFUSED),
    ("failed to download image from URL: unsupported extension", Verdict.REFUSED),
    ("failed to download image from URL: file size exceeds the limit", Verdict.REFUSED),
    ("failed to download image from URL: dial tcp: i/o timeout", Verdict.TRANSIENT),
    ("failed to download file from URL: status 503", Verdict.TRANSIENT),
    # A word in the address is no reason of the sender's.
    ('failed to download image from URL: Get "https://cdn.example/size/a.png": i/o timeout', Verdict.TRANSIENT),
    ("failed to decode image: unknown format", Verdict.REFUSED),
    ("failed to create thumbnail", Verdict.REFUSED),
    ("failed to convert webp", Verdict.REFUSED),
    ("ffmpeg not installed", Verdict.REFUSED),
    ("image dimensions are too large", Verdict.REFUSED),
    ("upload failed with status code 503", Verdict.TRANSIENT),
    ("failed to refresh media connections: info query timed out", Verdict.TRANSIENT),
    ("failed to execute request: EOF", Verdict.TRANSIENT),
    ("Failed to upload file: EOF", Verdict.TRANSIENT),
    ("no LID found for 15550100001@s.whatsapp.net from server", Verdict.REFUSED),
    ("failed to get user info for 15550100001@s.whatsapp.net: EOF", Verdict.TRANSIENT),
    ("failed to send usync query: EOF", Verdict.TRANSIENT),
    ("failed to get device list: EOF", Verdict.TRANSIENT),
    ("failed to fetch LID mappings: EOF", Verdict.TRANSIENT),
    ("failed to prefetch sessions: EOF", Verdict.TRANSIENT),
    ("info query timed out", Verdict.TRANSIENT),
    ("info query returned status 429: rate-overlimit", Verdict.TRANSIENT),
    ("failed to get group members: forbidden", Verdict.REFUSED),
    ("you're not participating in that group", Verdict.REFUSED),
    ("that group does not exist", Verdict.REFUSED),
    ("failed to get group members: info query timed out", Verdict.TRANSIENT),
    ("failed to get group members: context deadline exceeded", Verdict.UNKNOWN),
    ("database is locked (5) (SQLITE_BUSY)", Verdict.TRANSIENT),
    ("server returned error 479", Verdict.TRANSIENT),
    ("websocket not connected", Verdict.TRANSIENT),
    ("failed to send message node: EOF", Verdict.UNKNOWN),
    ("websocket disconnected before message send returned response", Verdict.UNKNOWN),
    ("message send (retry): websocket not connected", Verdict.UNKNOWN),
    ("timed out waiting for message send response", Verdict.UNKNOWN),
    ("failed to get user info: context deadline exceeded", Verdict.TRANSIENT),
    ("sending: context deadline exceeded", Verdict.UNKNOWN),
    ("the store doesn't contain a device JID", Verdict.LOGGED_OUT),
    ("device sales-1 is not logged in (session deleted)", Verdict.LOGGED_OUT),
    ("message recipient must be a user JID with no device part", Verdict.REFUSED),
    ("something that nobody has seen", Verdict.UNKNOWN),
    ("", Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("text", "verdict"), TEXTS)
@pytest.mark.parametrize("spelling", [str, str.upper])
def test_texts_of_500(text: str, verdict: Verdict, spelling: object) -> None:
    message = text.upper() if spelling is str.upper else text
    assert envelope(500, "INTERNAL_SERVER_ERROR", message).verdict is verdict


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


def test_only_an_unknown_number_is_confirmed() -> None:
    assert [code for status, code, message, _ in LISTED if envelope(status, code, message).confirm] == ["INVALID_JID"]


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
