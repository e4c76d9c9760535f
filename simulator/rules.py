"""The kinds of message, and what GOWA v9.2 demands of each before it asks WhatsApp.

The order of a refusal is GOWA's: fields of the struct first (all broken ones in one sentence), then the phone, then
media, then the disappearing timer. Media that cannot be used comes later, after the number lookup, and as 500.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from simulator.answers import Answer, internal, invalid

FieldType = Literal["string", "bool", "int", "strings"]

DURATIONS = frozenset({0, 86_400, 604_800, 7_776_000})
MAX_FILE = 50_000_000
MAX_VIDEO = 100_000_000
MAX_IMAGE = 20_000_000
MAX_DOWNLOAD = 500_000_000

_BASE: Mapping[str, FieldType] = {"phone": "string", "duration": "int", "is_forwarded": "bool"}
_REPLY: Mapping[str, FieldType] = {"reply_message_id": "string"}


@dataclass(frozen=True, slots=True)
class Kind:
    """One ``/send/<name>``: its fields with their Go types, the part that a file comes in, and what success says."""

    name: str
    struct: str
    fields: Mapping[str, FieldType]
    file: str | None = None
    says: str = "Message sent to"

    @property
    def is_presence(self) -> bool:
        """Presence shows something to others and leaves nothing behind: no message, no id of its own, no send lock."""
        return self.name in {"presence", "chat-presence"}


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("message", "MessageRequest", {**_BASE, **_REPLY, "message": "string", "mentions": "strings"}),
        Kind(
            "image",
            "ImageRequest",
            {
                **_BASE,
                **_REPLY,
                "image_url": "string",
                "caption": "string",
                "view_once": "bool",
                "compress": "bool",
                "hd": "bool",
            },
            file="image",
        ),
        Kind(
            "file",
            "FileRequest",
            {**_BASE, **_REPLY, "file_url": "string", "caption": "string"},
            file="file",
            says="Document sent to",
        ),
        Kind(
            "video",
            "VideoRequest",
            {
                **_BASE,
                **_REPLY,
                "video_url": "string",
                "caption": "string",
                "view_once": "bool",
                "gif_playback": "bool",
                "compress": "bool",
                "hd": "bool",
            },
            file="video",
            says="Video sent to",
        ),
        Kind(
            "audio",
            "AudioRequest",
            {**_BASE, **_REPLY, "audio_url": "string", "ptt": "bool"},
            file="audio",
            says="Send audio success",
        ),
        Kind("sticker", "StickerRequest", {**_BASE, "sticker_url": "string"}, file="sticker", says="Sticker sent to"),
        Kind(
            "contact",
            "ContactRequest",
            {**_BASE, "contact_name": "string", "contact_phone": "string"},
            says="Contact sent to",
        ),
        Kind("link", "LinkRequest", {**_BASE, "link": "string", "caption": "string"}, says="Link sent to"),
        Kind(
            "location",
            "LocationRequest",
            {**_BASE, "latitude": "string", "longitude": "string"},
            says="Send location success",
        ),
        Kind(
            "poll",
            "PollRequest",
            {**_BASE, "question": "string", "options": "strings", "max_answer": "int"},
            says="Send poll success",
        ),
        Kind("presence", "PresenceRequest", {"type": "string", "is_forwarded": "bool"}),
        Kind("chat-presence", "ChatPresenceRequest", {"phone": "string", "action": "string"}),
    )
}

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "message": ("message",),
    "contact": ("contact_name", "contact_phone"),
    "link": ("link", "caption"),
    "location": ("latitude", "longitude"),
    "poll": ("question", "max_answer"),
    "chat-presence": ("action",),
}

_AUDIO = (
    *("aac", "amr", "flac", "m4a", "m4r", "mp3", "mpeg", "ogg", "wma", "x-ms-wma"),
    *("wav", "vnd.wav", "vnd.wave", "wave", "x-pn-wav", "x-wav"),
)
CONTENT_TYPES: Mapping[str, frozenset[str]] = {
    "image": frozenset({"image/jpeg", "image/jpg", "image/png"}),
    "video": frozenset({"video/mp4", "video/x-matroska", "video/avi", "video/x-msvideo"}),
    "sticker": frozenset({"image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif"}),
    # Compared with the whole header of the part, so "audio/ogg; codecs=opus" is refused.
    "audio": frozenset(f"audio/{subtype}" for subtype in _AUDIO),
}
_WRONG_CONTENT_TYPE: Mapping[str, str] = {
    "image": "your image is not allowed. please use jpg/jpeg/png",
    "video": "your video type is not allowed. please use mp4/mkv/avi/x-msvideo",
    "sticker": "your sticker is not allowed. please use jpg/jpeg/png/webp/gif",
    "audio": f"your audio type is not allowed. please use ({','.join(sorted(CONTENT_TYPES['audio']))},)",
}


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded part; its bytes are counted and hashed, never kept. ``picture_problem`` is why Go could not decode it,
    for the kinds where it tries."""

    field: str
    filename: str
    content_type: str
    size: int
    sha256: str
    picture_problem: str | None = None


def recipient_jid(phone: str) -> str:
    """The JID that GOWA makes of ``phone``: 16 characters or more without ``@`` become a group, a ``+`` included."""
    if not phone or "@" in phone:
        return phone
    return phone + ("@s.whatsapp.net" if len(phone) <= 15 else "@g.us")


def field_refusal(kind: Kind, fields: Mapping[str, Any], file: File | None) -> Answer | None:
    """GOWA's 400 for these fields, or None. ``fields['phone']`` is what the client sent."""
    sentence = _broken_rule(kind, fields, file)
    return None if sentence is None else invalid(sentence)


def _broken_rule(kind: Kind, fields: Mapping[str, Any], file: File | None) -> str | None:
    if kind.name == "poll" and not fields.get("options"):
        return "options: cannot be blank."
    blank = _blank_fields(kind, fields)
    if blank:
        return "; ".join(f"{name}: {problem}" for name, problem in sorted(blank.items())) + "."
    if kind.name == "presence":
        return None
    if _starts_with_zero(fields["phone"]):
        return _LEADING_ZERO
    if kind.name == "contact" and _starts_with_zero(fields["contact_phone"]):
        return f"contact {_LEADING_ZERO}"
    if kind.file is not None:
        sentence = _media_rule(kind.name, fields, file)
        if sentence is not None:
            return sentence
    if fields.get("duration") not in DURATIONS and fields.get("duration") is not None:
        return "duration must be one of: 0 (no expiry), 86400 (24h), 604800 (7d), 7776000 (90d)"
    for mention in fields.get("mentions", ()):
        # Only that much is checked; whoever is unknown is dropped without a word.
        if mention != "@everyone" and (not mention.removeprefix("+") or _starts_with_zero(mention)):
            return f"mention {mention}: phone number must be in international format"
    if kind.name == "poll" and len(set(fields["options"])) != len(fields["options"]):
        return "options should be unique"
    return None


def _blank_fields(kind: Kind, fields: Mapping[str, Any]) -> dict[str, str]:
    required = _REQUIRED.get(kind.name, ())
    problems = {name: "cannot be blank" for name in required if not fields.get(name)}
    if kind.name == "presence":
        # An empty type passes: the check of allowed values skips empty ones.
        if fields.get("type") and fields["type"] not in {"available", "unavailable"}:
            problems["type"] = "must be a valid value"
        return problems
    if not fields.get("phone"):
        problems["phone"] = "cannot be blank"
    if kind.name == "chat-presence" and fields.get("action") and fields["action"] not in {"start", "stop"}:
        problems["action"] = "must be a valid value"
    if kind.name == "link" and fields.get("link") and not is_url(fields["link"]):
        problems["link"] = "must be a valid URL"
    if kind.name == "location":
        for name, limit in (("latitude", 90.0), ("longitude", 180.0)):
            if fields.get(name) and not _is_coordinate(fields[name], limit):
                problems[name] = f"must be a valid {name}"
    if kind.name == "poll":
        if fields.get("max_answer") and fields["max_answer"] < 1:
            problems["max_answer"] = "must be no less than 1"
        if fields.get("max_answer") and fields["max_answer"] > len(fields["options"]):
            problems["max_answer"] = f"must be no greater than {len(fields['options'])}"
        if not all(fields["options"]):
            problems["options"] = "(0: cannot be blank.)"
    return problems


def _media_rule(name: str, fields: Mapping[str, Any], file: File | None) -> str | None:
    url = fields.get(f"{name}_url")
    title = name.capitalize()
    if file is None and not url:
        return f"either {title} or {title}URL must be provided"
    if name == "sticker" and file is not None and url:
        return "cannot provide both Sticker file and StickerURL"
    if file is not None:
        allowed = CONTENT_TYPES.get(name)
        if allowed is not None and file.content_type not in allowed:
            return _WRONG_CONTENT_TYPE[name]
        limit = {"file": MAX_FILE, "video": MAX_VIDEO}.get(name)
        if limit is not None and file.size > limit:
            size = f"{limit // 1_000_000} MB"
            advice = f"please upload in cloud and send via text if your file is higher than {size}"
            return f"max {name} upload is {size}, {advice}"
    if url == "" and name != "sticker":
        return f"{title}URL cannot be empty"
    if url and not is_url(url):
        return f"{title}URL must be a valid URL"
    return None


_LEADING_ZERO = (
    "phone number must be in international format (should not start with 0). "
    "For Indonesian numbers, use 62xxx format instead of 08xxx"
)


def _starts_with_zero(phone: str) -> bool:
    return phone.removeprefix("+").startswith("0")


def _is_coordinate(value: str, limit: float) -> bool:
    try:
        return abs(float(value)) <= limit
    except ValueError:
        return False


def is_url(value: str) -> bool:
    """GOWA's check is lax: a scheme may be missing, a host must be there and look like one."""
    if re.search(r"\s", value) or not 3 < len(value) < 2083:
        return False
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    known = parts.scheme in {"http", "https", "ftp", "ws", "wss"}
    return known and bool(re.fullmatch(r"localhost|\[?[0-9a-f:]+\]?|[\w-]+(\.[\w-]+)+\.?", host))


_SAVEABLE = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp")


def media_refusal(kind: Kind, fields: Mapping[str, Any], file: File | None) -> Answer | None:
    """GOWA's 500 for an uploaded image that it cannot use, or None."""
    if kind.name != "image" or file is None or fields.get("image_url"):
        return None
    if file.picture_problem is not None:
        return thumbnail_failure(file.filename, file.picture_problem)
    if not file.filename.lower().endswith(_SAVEABLE):
        return internal("failed to save thumbnail imaging: unsupported image format")
    return None


def thumbnail_failure(name: str, problem: str) -> Answer:
    """500: the picture cannot be opened."""
    return internal(
        f"Failed to open image file 'statics/senditems/{name}' for thumbnail generation: {problem}. "
        "Possible causes: file not found, unsupported format, or permission denied."
    )


def stored_content(kind: Kind, fields: Mapping[str, Any], file: File | None) -> str:
    """What GOWA v9.2 writes as ``content`` into chat storage for a sent message."""
    caption: str = fields.get("caption") or ""
    match kind.name:
        case "message":
            return str(fields["message"])
        case "image":
            return caption or "🖼️ Image"
        case "file":
            return caption or f"📄 {media_name(kind, fields, file)}"
        case "video":
            return f"🎥 {caption or 'Video'}"
        case "audio":
            return "🎵 Audio"
        case "sticker":
            return "🎨 Sticker"
        case "contact":
            return f"👤 {fields['contact_name']}"
        case "link":
            return f"🔗 {caption}"
        case "location":
            return f"📍 {fields['latitude']}, {fields['longitude']}"
        case _:
            return f"📊 {fields['question']}"


def media_name(kind: Kind, fields: Mapping[str, Any], file: File | None) -> str:
    """The name that the recipient sees: the last segment of the URL, which wins over an upload, or the part's name."""
    url: str = fields.get(f"{kind.name}_url", "")
    if url:
        return name_in_url(url)
    return "" if file is None else file.filename


def name_in_url(url: str) -> str:
    """The last segment without the query, not decoded and not that of a redirect."""
    return url.rpartition("/")[2].partition("?")[0]
