"""A text as it is logged: what is private or differs between messages is left out."""

from __future__ import annotations

import json

import pytest

from services.dispatcher.sending.verdict import read_answer
from services.dispatcher.unlisted_answers import general


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("the cache is cold", "the cache is cold"),
        ("Phone 15550100001@s.whatsapp.net has moved.", "Phone *** has moved."),
        ("room 12 is full", "room * is full"),
        ("open '/var/data/offer of Ana.pdf': denied", "open *: denied"),
        ("dial tcp 203.0.113.5:443: refused", "dial tcp *** refused"),
        ("lookup cdn.example: no such thing", "lookup * no such thing"),
        ('Get "https://cdn.example/a?signature=abc": odd', "Get *: odd"),
        ("mail ana@example to someone", "mail * to someone"),
        ("", ""),
    ],
)
def test_the_text_of_an_unlisted_answer(said: str, logged: str) -> None:
    answer = read_answer(500, json.dumps({"code": "NEW_THING", "message": said}).encode())
    assert not answer.is_listed
    assert general(answer.reason).removeprefix("NEW_THING:").strip() == logged
