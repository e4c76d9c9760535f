"""Words with which a person ends messages, or asks for them again. The whole text must be such a word.

Upper and lower case, accents, spaces and punctuation around it do not matter: "Stop!", "ARRET" and "arrêt." are one. A
sentence that only has such a word in it means nothing, since "don't stop" does not either. Words that are usual answers to
other questions (cancel, end, no) are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import cache

_MAX_TEXT = 60  # characters; no word here is longer

OUT = {
    "en": ("stop", "stop all", "stopall", "unsubscribe", "opt out", "opt-out", "optout", "remove me"),
    "id": ("berhenti", "stop promosi", "berhenti berlangganan"),
    "ms": ("berhenti", "henti"),
    "tl": ("tigil", "itigil"),
    "es": ("baja", "darme de baja", "dar de baja", "parar", "alto"),
    "pt": ("parar", "pare", "sair", "descadastrar", "cancelar inscrição"),
    "fr": ("arrêt", "arrêter", "arrêtez", "désabonner", "désinscrire", "me désabonner"),
    "de": ("stopp", "abmelden", "abbestellen"),
    "it": ("basta", "disiscrivimi", "cancellami", "annulla iscrizione"),
    "nl": ("afmelden", "uitschrijven"),
    "sv": ("stoppa", "avsluta", "avregistrera"),
    "pl": ("wypisz", "wypisz mnie", "rezygnuję"),
    "tr": ("dur", "durdur", "abonelikten çık"),
    "ru": ("стоп", "отписаться", "отписка", "отпишите"),
    "uk": ("стоп", "відписатися"),
    "ar": ("توقف", "إيقاف", "الغاء الاشتراك", "إلغاء الاشتراك"),
    "he": ("הסר", "הסירו"),
    "hi": ("रोकें", "रोको", "बंद करो", "बंद करें"),
    "vi": ("dừng lại", "hủy đăng ký"),
    "th": ("หยุด", "ยกเลิกการรับข่าวสาร"),
    "zh": ("退订", "退訂", "停止"),
    "ja": ("停止", "配信停止", "解除"),
    "ko": ("중지", "수신거부"),
}
IN = {
    "en": ("start", "unstop", "subscribe", "opt in", "opt-in", "optin"),
    "id": ("mulai", "mulai lagi", "berlangganan"),
    "es": ("alta", "iniciar", "darme de alta"),
    "pt": ("iniciar", "voltar", "começar", "inscrever"),
    "fr": ("démarrer", "reprendre", "abonner"),
    "de": ("anmelden", "starten"),
    "it": ("inizia", "iscrivimi"),
    "nl": ("aanmelden", "inschrijven"),
    "ru": ("старт", "подписаться"),
    "ar": ("ابدأ", "اشتراك"),
    "hi": ("शुरू करो", "शुरू करें"),
    "zh": ("开始", "订阅", "訂閱"),
    "ja": ("開始", "再開"),
}


class Wish(Enum):
    OUT = "out"
    IN = "in"


def plain(text: str) -> str:
    """The text as it is compared; '' where there is nothing but punctuation."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    # Only the accents of Latin letters: in other scripts such marks are letters.
    unaccented = unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", folded))
    first, last = 0, len(unaccented)
    while first < last and not _belongs(unaccented[first]):
        first += 1
    while last > first and not _belongs(unaccented[last - 1]):
        last -= 1
    return " ".join(unaccented[first:last].split())


def _belongs(character: str) -> bool:
    """Letters, digits and the marks that make syllables; not punctuation, symbols, spaces and invisible signs."""
    return unicodedata.category(character)[0] in "LNM"


@cache
def _words(added: tuple[str, ...]) -> dict[str, Wish]:
    def flat(lists: Iterable[Iterable[str]]) -> list[str]:
        return [word for one in lists for word in one]

    words = {plain(word): Wish.IN for word in flat(IN.values())}
    return words | {plain(word): Wish.OUT for word in [*flat(OUT.values()), *added]}


def wish_of(text: str, added: tuple[str, ...] = ()) -> Wish | None:
    """What the text asks for. ``added``: further words that end messages."""
    return _words(added).get(plain(text)) if len(text) <= _MAX_TEXT else None
