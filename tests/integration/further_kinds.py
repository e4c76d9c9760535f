"""A copy of the services that knows two further kinds of message: a video, which has a file, and a location, which has none.

Each is put where a kind is put, into the table and among the request models, and nowhere else.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.servers import ROOT

_NAMES = """\
    VIDEO = "video"
    LOCATION = "location"
"""
_ENTRIES = """\
    Kind.VIDEO: Traits(
        noun="a video",
        path="/send/video",
        stored=(("🎥 {caption}",), ("🎥 Video",)),
        file=FileOfKind(
            part="video",
            url="video_url",
            most_bytes=100_000_000,
            takes="MP4, Matroska or AVI",
            refuses_larger=True,
            wanted="an MP4, Matroska or AVI film",
            formats={
                "mpeg4": Format(("mp4",), "video/mp4"),
                "matroska": Format(("mkv",), "video/x-matroska"),
                "avi": Format(("avi",), "video/x-msvideo"),
            },
        ),
        # It may have to transcode; in earnest this would be minutes.
        extra_seconds=1.0,
    ),
    Kind.LOCATION: Traits(
        noun="a location",
        path="/send/location",
        stored=(("📍 {latitude}, {longitude}",),),
        on_unknown=OnUnknown.HOLD,
    ),
"""
_MODELS = """\
class VideoFields(ReplyFields):
    caption: LongText | None = None
    video_url: Text | None = None
    view_once: bool | None = None
    gif_playback: bool | None = None
    compress: bool | None = None
    hd: bool | None = None


class LocationFields(SendFields):
    latitude: ShortText
    longitude: ShortText


"""
_MODELS_BY_KIND = """\
    Kind.VIDEO: VideoFields,
    Kind.LOCATION: LocationFields,
"""


def make_version_with_further_kinds(target: Path) -> Path:
    """Writes it to ``target``. Raises AssertionError where a kind is no longer put so."""
    for package in ("services", "shared"):
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    table = target / "shared/messages/kinds.py"
    _insert(table, _NAMES, after='    FILE = "file"\n')
    _insert(table, _ENTRIES, after="KINDS: Mapping[Kind, Traits] = {\n")
    models = target / "services/gateway/send_requests.py"
    _insert(models, _MODELS, before="FIELDS_OF: ")
    _insert(models, _MODELS_BY_KIND, after="    Kind.FILE: FileFields,\n")
    return target


def _insert(file: Path, text: str, after: str = "", before: str = "") -> None:
    found = file.read_text(encoding="utf-8")
    assert found.count(after or before) == 1, f"{file.name} has not one place where a kind is put"
    file.write_text(found.replace(after or before, after + text + before), encoding="utf-8")
