"""Which texts end messages, which ask for them again, and which mean nothing."""

from __future__ import annotations

import pytest

from services.gateway.optout_words import IN, OUT, Wish, plain, wish_of


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOP",
            "stop",
            " Stop! ",
            "«stop»",
            "Stop.\n",
            "*STOP*",
            "stop 🛑",
            "🛑 STOP",
            "ＳＴＯＰ",
            "\u202astop\u202c",
        ),
        *(
            "UNSUBSCRIBE",
            "Opt-Out",
            "opt  out",
            "BERHENTI",
            "baja",
            "Parar",
            "SAIR",
            "STOPP",
            "ARRÊT",
            "arret",
            "ARRE\u0302T",
        ),
        *("СТОП", "ОТПИСАТЬСЯ", "توقف", "रोकें", "退订", "停止", "수신거부", "Désabonner", "REZYGNUJĘ"),
    ],
)
def test_a_word_ends_messages(text: str) -> None:
    assert wish_of(text) is Wish.OUT


@pytest.mark.parametrize("text", ["START", "Start!", "unstop", "MULAI", "alta", "Começar", "comecar", "开始"])
def test_a_word_asks_for_them_again(text: str) -> None:
    assert wish_of(text) is Wish.IN


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "!?",
            "🛑",
            "don't stop",
            "stop it please",
            "When does the bus stop?",
            "nonstop",
            "st op",
            "stopstart",
        ),
        *("cancel", "no", "end", "yes", "ok", "stop " * 40, "बंद", "\x00", "\ud800"),
    ],
)
def test_anything_else_means_nothing(text: str) -> None:
    assert wish_of(text) is None


def test_words_of_ones_own() -> None:
    assert wish_of("Genug!") is None
    assert wish_of("Genug!", ("genug",)) is Wish.OUT
    # One's own word goes before what we think it means.
    assert wish_of("start", ("START",)) is Wish.OUT


def test_no_word_is_in_both_lists_and_each_stays_as_it_is_written() -> None:
    out = {plain(word) for words in OUT.values() for word in words}
    back = {plain(word) for words in IN.values() for word in words}
    assert not out & back
    assert "" not in out | back
    assert all(len(word) <= 60 for word in out | back)
    assert {wish_of(word) for words in OUT.values() for word in words} == {Wish.OUT}
    assert {wish_of(word) for words in IN.values() for word in words} == {Wish.IN}
