"""Name, content type and bytes of an upload must agree."""

import pytest

from services.gateway.intake.media_types import FILES, HEAD_SIZE, MediaRefused, check_filename, media_type_of
from services.gateway.intake.uploads import plain_filename
from shared.messages import Kind


@pytest.mark.parametrize(
    ("kind", "filename", "content_type", "stored"),
    [
        (Kind.IMAGE, "a.JPG", "image/jpeg", "image/jpeg"),
        (Kind.IMAGE, "a.jpeg", "image/jpg", "image/jpeg"),
        (Kind.IMAGE, "a.png", "image/png", "image/png"),
        (Kind.FILE, "a.pdf", "application/pdf", "application/pdf"),
        (Kind.FILE, "a.pdf", "", "application/pdf"),
        (Kind.FILE, "a.b.csv", "text/csv; charset=utf-8", "text/csv"),
        (Kind.FILE, "a.docx", "application/octet-stream", FILES["docx"].content_type),
    ],
)
def test_what_fits(kind: Kind, filename: str, content_type: str, stored: str) -> None:
    assert media_type_of(kind, filename, content_type).content_type == stored


@pytest.mark.parametrize(
    ("kind", "filename", "content_type"),
    [
        (Kind.IMAGE, "a.gif", "image/gif"),
        (Kind.IMAGE, "a.png", "image/jpeg"),
        (Kind.IMAGE, "a.png", "application/octet-stream"),
        (Kind.IMAGE, "a.png", ""),
        (Kind.IMAGE, "png", "image/png"),
        (Kind.IMAGE, ".png", "image/png"),
        (Kind.FILE, "a.exe", "application/octet-stream"),
        (Kind.FILE, "a.html", "text/html"),
        (Kind.FILE, "a.svg", "image/svg+xml"),
        (Kind.FILE, "a.pdf", "text/html"),
        (Kind.FILE, "a.pdf.exe", "application/pdf"),
    ],
)
def test_what_does_not_fit(kind: Kind, filename: str, content_type: str) -> None:
    with pytest.raises(MediaRefused):
        media_type_of(kind, filename, content_type)


HEADS = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00!\xf9\x04",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1",
    "zip": b"PK\x03\x04\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00",
    "doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00\x00\x00\x00\x00\x00\x00",
    "mp4": b"\x00\x00\x00 ftypisom\x00\x00\x02\x00",
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00TSSE\x00\x00",
    "ogg": b"OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "rtf": b"{\\rtf1\\ansi\\deff",
}
ALIKE = {
    "docx": "zip",
    "xlsx": "zip",
    "pptx": "zip",
    "odt": "zip",
    "ods": "zip",
    "odp": "zip",
    "xls": "doc",
    "ppt": "doc",
}
ALIKE |= {"jpeg": "jpg", "m4a": "mp4"}


@pytest.mark.parametrize("extension", sorted(FILES))
def test_bytes_fit_their_own_type_alone(extension: str) -> None:
    signature = FILES[extension].signature
    if signature is None:
        return
    own = ALIKE.get(extension, extension)
    assert {name for name, head in HEADS.items() if signature(head[:HEAD_SIZE])} == {own}


@pytest.mark.parametrize("filename", ["a.pdf", "Zusage – März.pdf", "报价.xlsx", "a b (1).txt"])
def test_plain_names(filename: str) -> None:
    check_filename(filename)


@pytest.mark.parametrize(
    "filename",
    ["", "../a.pdf", "/etc/a.pdf", "a/b.pdf", "a\\b.pdf", "..", "a\x00.pdf", "a\n.pdf", "\u202efdp.exe", "a" * 201],
)
def test_names_that_are_none(filename: str) -> None:
    with pytest.raises(MediaRefused):
        check_filename(filename)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("Angebot.png", "Angebot.png"),
        ("Sommer%20%E2%80%93%20Angebot.png", "Sommer – Angebot.png"),
        ("..%2Fa.png", "../a.png"),
        ("100% sure.pdf", "100% sure.pdf"),
        ("a %20 b.pdf", "a %20 b.pdf"),
        ("the %22best%22.pdf", 'the "best".pdf'),
        ("%FF.pdf", "%FF.pdf"),
    ],
)
def test_names_that_a_client_encoded(given: str, plain: str) -> None:
    assert plain_filename(given) == plain
