"""Texts of forms in the charset that the client says they are in; UTF-8 where it says none.

Older programs send what their system writes: Java's HTTP clients name ISO-8859-1 for each part, PHP and Windows its superset.
"""

from __future__ import annotations

import codecs

from shared.runtime.envelope import InvalidInput

FORM_CHARSET = "_charset_"
"""The field in which HTML forms say what the fields after it are in."""
UTF_8 = "utf-8"
# As browsers take these names (https://encoding.spec.whatwg.org): what calls itself Latin-1 has Windows' quotes and euro in it,
# and ASCII is what both have in common; UTF-8 is likelier there.
_MEANT = {"iso8859-1": "cp1252", "ascii": UTF_8}
# Python's own forms of text, which nobody sends.
_NOT_OF_TEXTS = frozenset(
    {"idna", "punycode", "unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape", "undefined"}
)


def decoded(raw: bytes, charset: str, field: str) -> str:
    """The text. Raises InvalidInput naming the field when the charset is unknown or the bytes are not in it."""
    name = known_charset(charset, field)
    try:
        return raw.decode(name)
    except UnicodeError:
        raise InvalidInput((field, f"it is not {'UTF-8' if name == UTF_8 else charset.strip()[:40]}")) from None


def known_charset(charset: str, field: str) -> str:
    """Python's name for it. Raises InvalidInput naming the field."""
    try:
        found = codecs.lookup(charset.strip() or UTF_8)
    except (LookupError, ValueError):
        found = None
    # What bytes.decode takes, as against such as base64.
    if found is None or not found._is_text_encoding or found.name in _NOT_OF_TEXTS:
        raise InvalidInput((field, f"its charset '{charset.strip()[:40]}' is not known; send UTF-8"))
    return _MEANT.get(found.name, found.name)
