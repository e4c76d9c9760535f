"""Which of the messages in an account's chat storage is ours, and when "none of them" is a proof: pure rules over what
``shared.endpoints.gowa`` reads.

What GOWA writes for each kind stands in ``shared/messages/kinds``. A picture without a caption is stored under a label of its
own alone, and so cannot be told from another one; the time and the id that nobody else claims must do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.endpoints.gowa import StoredMessage
from shared.messages.kinds import FILE_NAME, KINDS, Kind, fields_in, stored_row

SKEW = timedelta(seconds=30)
"""Stored times are WhatsApp's, in whole seconds; started_at and finished_at are Postgres', whose clock may be off."""
AFTER = timedelta(seconds=60)
"""The sender goes on for up to 45 s after its client has gone, and stores within 15 s."""
_UNNAMED = "file_<time>"
_CONTROLS = dict.fromkeys([*range(32), 127], "_")
_DRAWN_AS_EMOJI = "\ufe0f"


def _unnamed_files() -> re.Pattern[str]:
    """Texts that end in a name made by the sender, which makes one of the time where the URL gives none."""
    braces = f"{{{FILE_NAME}}}"
    texts = [text for traits in KINDS.values() for row in traits.stored for text in row if text.endswith(braces)]
    labels = [re.escape(text.removesuffix(braces).replace(_DRAWN_AS_EMOJI, "")) for text in texts]
    return re.compile(rf"^({'|'.join(labels)})file_\d+$")


_UNNAMED_FILE = _unnamed_files()


def stored_contents(
    kind: Kind, content: Mapping[str, Any], filename: str, sent_names: Collection[str]
) -> frozenset[str] | None:
    """What GOWA may have written as the content of such a message, in the form of ``comparable``; None: that is not known, so
    that a chat storage without it proves nothing. ``filename``: of a stored upload, '' where a URL was given; ``sent_names``:
    under which names its file may have been uploaded."""
    row = stored_row(kind, content)
    if not row:
        return None
    found: set[str] = set()
    for text in row:
        named = FILE_NAME in fields_in(text)
        for name in _names_of(kind, content, filename, sent_names) if named else [""]:
            found.add(comparable(text.format_map({**content, FILE_NAME: name})))
    return frozenset(found)


def _names_of(kind: Kind, content: Mapping[str, Any], filename: str, sent_names: Collection[str]) -> set[str]:
    file = KINDS[kind].file
    url = str(content.get(file.url) or "") if file else ""
    names = {filename, *sent_names, *_names_in(url)} - {""}
    if url and not _name_as_the_sender_reads(url):
        names.add(_UNNAMED)
    return {name.translate(_CONTROLS) for name in names}


def _names_in(url: str) -> set[str]:
    """The last segment, as the sender takes it where it fetches the URL itself, and decoded."""
    segment = urlsplit(url).path.rpartition("/")[2]
    return {_name_as_the_sender_reads(url), segment, unquote(segment)}


def _name_as_the_sender_reads(url: str) -> str:
    """GOWA cuts the text of the URL and decodes nothing (``src/pkg/utils/general.go``)."""
    return url.rpartition("/")[2].partition("?")[0]


def comparable(content: str) -> str:
    """Without what a store may change in a text: its outer blanks, the kind of its line breaks, how an emoji is drawn."""
    text = content.replace("\r\n", "\n").replace("\r", "\n").replace(_DRAWN_AS_EMOJI, "").strip()
    return _UNNAMED_FILE.sub(rf"\g<1>{_UNNAMED}", text)


def candidates(
    stored: Sequence[StoredMessage],
    contents: Collection[str],
    started_at: datetime,
    until: datetime,
    known: Collection[str],
) -> list[str]:
    """The ids that may be the attempt's, the most likely first: ours, sent from ``started_at`` to ``until``, of one of these
    contents, nobody else's."""
    matching = [
        line
        for line in stored
        if line.is_from_me
        and line.id not in known
        and started_at - SKEW <= line.timestamp <= until + SKEW
        and comparable(line.content) in contents
    ]
    return [line.id for line in sorted(matching, key=lambda line: abs(line.timestamp - started_at))]


def sent_until(finished_at: datetime, answering_since: datetime) -> datetime:
    """When the attempt's message left at the latest. What waits in a sender that stands still leaves once it is back."""
    return max(finished_at, answering_since) + AFTER


def seconds_to_proof(wanted: float, answering: float, ended: float) -> float:
    """After how many seconds "nothing there" is a proof; 0 or less: now. ``wanted``: for how long the sender must have
    answered without a gap since nobody waited for the attempt any more; ``answering`` and ``ended``: for how long it has
    answered, and the attempt been over, when the look into the storage began."""
    return wanted - min(answering, ended)
